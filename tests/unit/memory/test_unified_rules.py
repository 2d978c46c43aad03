"""Is every timing rule tight: no command a tick before it, and legal at its tick?"""

import numpy as np
import pytest

from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers import unified_words as w
from archsim.memory.controllers.unified_issue import obey
from archsim.memory.controllers.unified_program import COMMANDS, NUMBER, program
from archsim.memory.requests import Pacing
from archsim.memory.standard import load_standard
from archsim.memory.tables import LEVEL, NEXT, PREVIOUS, SIBLING, TICKS, WINDOW

STANDARDS = {
    "DDR4_3200AA": ("all_bank",),
    "DDR5_4800BN": ("all_bank",),
    "GDDR6_14000_1350mV_double": ("all_bank",),
    "HBM2_2400Mbps": ("all_bank", "per_bank"),
    "HBM3_6400Mbps": ("all_bank", "per_bank_interleaved"),
    "HBM4_8000Mbps": ("all_bank", "per_bank_interleaved"),
    "LPDDR5_6400": ("all_bank", "per_bank"),
}
CASES = [(name, refresh) for name, kinds in STANDARDS.items() for refresh in kinds]
START = 1000


class Device:
    """A channel's rules, by themselves."""

    def __init__(self, name, refresh):
        self.tables = load_standard(name).tables()
        controller = ControllerSpec(row_policy="closed", refresh=refresh)
        made = program(self.tables, controller, Pacing())
        self.options, self.rules = made.options.tolist(), made.rules.tolist()
        self.state = made.reset.tolist()
        self.scope = self.tables.banks_below(self.tables.refresh_level)
        columns = {w.RD, w.WR, w.ACT, w.PRE, w.RDA, w.WRA}
        self.followers = columns | ({w.PREAB, w.REFAB} if refresh == "all_bank" else {w.REFPB})

    def issue(self, command, bank, tick):
        obey(self.state, self.options, self.rules, 0, command, bank, tick)

    def legal_from(self, command, bank):
        if command in (w.PREAB, w.REFAB):
            bank -= bank % self.scope
        return self.state[self.options[w.READY] + command * self.tables.banks + bank]

    def expected(self, before, after, one, other):
        """First tick of `after` at `other` by the tables alone; `before` was issued at `one`."""
        found = 0
        for row in self.tables.constraints.tolist():
            names = self.tables.commands[row[PREVIOUS]], self.tables.commands[row[NEXT]]
            if [NUMBER.get(name) for name in names] != [before, after] or row[WINDOW] > 1:
                continue
            below = self.tables.banks_below(row[LEVEL])
            wide = self.scope if before in (w.PREAB, w.REFAB) else 1
            nodes = range(one // below, (one + wide - 1) // below + 1)
            inside = other // below in nodes
            if row[SIBLING]:
                outer = self.tables.banks_below(row[LEVEL] - 1)
                inside = other // outer == one // outer and not inside
            if inside and row[TICKS] > 0:
                found = max(found, START + row[TICKS])
        return found


@pytest.mark.parametrize(("name", "refresh"), CASES)
def test_every_command_is_legal_at_its_tick_and_not_before(name, refresh):
    banks = Device(name, refresh).tables.banks
    rng = np.random.default_rng(3)
    for before in range(w.CAS):
        device = Device(name, refresh)
        wide = device.scope if before in (w.PREAB, w.REFAB) else 1
        for bank in {0, banks - 1, int(rng.integers(banks))}:
            one = bank - bank % wide
            device = Device(name, refresh)
            device.issue(before, one, START)
            for after in device.followers:
                for other in range(banks):
                    at = other
                    if after in (w.PREAB, w.REFAB):
                        at -= at % device.scope
                    wanted = device.expected(before, after, one, at)
                    got = device.legal_from(after, other)
                    assert got == wanted, (COMMANDS[before], one, COMMANDS[after], other)


@pytest.mark.parametrize(("name", "refresh"), CASES)
def test_the_fifth_activation_waits_for_the_window_of_the_first(name, refresh):
    device = Device(name, refresh)
    tables = device.tables
    (ticks,) = {
        row[TICKS]
        for row in tables.constraints.tolist()
        if row[WINDOW] == 4 and NUMBER[tables.commands[row[PREVIOUS]]] == w.ACT
    }
    for n in range(4):
        device.issue(w.ACT, n, START + n)
    free = tables.banks // 2 - 1 if tables.has_pseudo_channels else tables.banks - 1
    assert device.legal_from(w.ACT, free) == START + ticks
    device.issue(w.ACT, 4, START + 4)
    assert device.legal_from(w.ACT, free) == START + 1 + ticks
