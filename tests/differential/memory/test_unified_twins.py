"""Does the compiled inner loop issue the very commands of the plain one, and in legal order?"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.memory.address import AddressMap, Decoded
from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers.unified import Unified
from archsim.memory.controllers.unified_program import COMMANDS
from archsim.memory.requests import Pacing, Requests
from archsim.memory.standard import load_standard
from archsim.memory.tables import LEVEL, NEXT, PREVIOUS, SIBLING, TICKS, WINDOW

STANDARDS = {
    "DDR4_3200AA": ("all_bank", "none"),
    "DDR5_4800BN": ("all_bank", "none"),
    "GDDR6_14000_1350mV_double": ("all_bank", "none"),
    "HBM2_2000Mbps": ("all_bank", "per_bank"),
    "HBM3_6400Mbps": ("all_bank", "per_bank_interleaved"),
    "HBM4_8000Mbps": ("all_bank", "per_bank_interleaved"),
    "LPDDR5_6400": ("all_bank", "per_bank"),
}
POLICIES = (
    {},
    {"row_policy": "closed"},
    {"row_policy": "closed_after", "cap": 2},
    {"row_policy": "timeout", "timeout": 60},
)


@st.composite
def drives(draw):
    """A device's description, a list over few banks and rows, and a pace."""
    name = draw(st.sampled_from(sorted(STANDARDS)))
    tables = load_standard(name).tables()
    options = dict(draw(st.sampled_from(POLICIES)))
    options["refresh"] = draw(st.sampled_from(STANDARDS[name]))
    options["scheduler"] = draw(st.sampled_from(("fcfs", "frfcfs", "frfcfs_row_hit")))
    options["read_queue"] = draw(st.integers(1, 12))
    options["write_queue"] = draw(st.integers(1, 12))
    channels = draw(st.sampled_from((1, 1, 2)))
    n = draw(st.integers(0, 120))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    banks = rng.integers(0, tables.banks, draw(st.integers(1, 6)))
    place = Decoded(
        rng.integers(0, channels, n), rng.choice(banks, n), rng.integers(0, 3, n),
        rng.integers(0, 4, n),
    )  # fmt: skip
    address_map = AddressMap(tables, channels, "RoBaRaCoCh")
    write = (rng.random(n) < draw(st.sampled_from((0.0, 0.4, 1.0)))).astype(np.int64)
    requests = Requests(address_map.encode(place), write)
    pacing = Pacing(
        outstanding=draw(st.sampled_from((0, 0, 3))),
        per_tick=draw(st.integers(1, 3)),
        gap_ticks=draw(st.sampled_from((0, 0, 7, 400))),
    )
    return tables, ControllerSpec(**options), address_map, channels, requests, pacing


def run(drive, plain):
    tables, controller, address_map, channels, requests, pacing = drive
    device = Unified(tables, controller, address_map, channels, plain=plain)
    log = np.full(40_000, -1, np.int64)
    result = device.drive(requests, pacing, log=log)
    steps = log.reshape(-1, 4)
    return result, steps[steps[:, 0] >= 0]


@settings(max_examples=60, deadline=None)
@given(drive=drives())
def test_the_compiled_loop_issues_the_plain_loops_commands(drive):
    plain, plain_steps = run(drive, plain=True)
    fast, fast_steps = run(drive, plain=False)
    assert np.array_equal(plain_steps, fast_steps)
    assert plain.read_latency_ticks.tolist() == fast.read_latency_ticks.tolist()
    assert plain.commands == fast.commands
    assert plain.ticks == fast.ticks


@settings(max_examples=60, deadline=None)
@given(drive=drives())
def test_every_request_is_served_once(drive):
    requests = drive[4]
    result, steps = run(drive, plain=False)
    columns = np.isin(steps[:, 2], [COMMANDS.index(name) for name in ("RD", "WR", "RDA", "WRA")])
    assert columns.sum() + result.forwarded + result.merged == len(requests)
    assert result.reads + result.writes == len(requests)
    touched = result.row_hits + result.row_misses + result.row_conflicts
    assert touched == len(requests) - result.forwarded - result.merged
    assert (result.read_latency_ticks > 0).all()


def broken(tables, steps):
    """The first command of a channel that a rule of the standard forbids, by the tables alone."""
    scope = tables.banks_below(tables.refresh_level)
    names = [
        ("ACT1" if "ACT2" in tables.commands else "ACT") if n == "ACT" else n for n in COMMANDS
    ]
    for level, before, after, ticks, window, sibling in tables.constraints[
        :, [LEVEL, PREVIOUS, NEXT, TICKS, WINDOW, SIBLING]
    ].tolist():
        below = tables.banks_below(level)
        past = []
        for tick, _, command, bank in steps.tolist():
            wide = scope if names[command] in ("PREab", "REFab") else 1
            nodes = set(range(bank // below, (bank + wide - 1) // below + 1))
            if names[command] == tables.commands[after]:
                for node in nodes:
                    if sibling:
                        outer = tables.banks_below(level - 1) // below
                        same = {
                            n for n in range(tables.nodes(level)) if n // outer == node // outer
                        }
                        watched = same - {node}
                        times = [t for t, seen in past if seen & watched]
                    else:
                        times = [t for t, seen in past if node in seen]
                    if len(times) >= window and tick < times[-window] + ticks:
                        return tick, names[command], bank, (tables.commands[before], ticks, window)
            if names[command] == tables.commands[before]:
                past.append((tick, nodes))
    return None


@settings(max_examples=40, deadline=None)
@given(drive=drives())
def test_no_command_comes_before_any_rule_allows_it(drive):
    tables, channels = drive[0], drive[3]
    _, steps = run(drive, plain=False)
    for channel in range(channels):
        assert broken(tables, steps[steps[:, 1] == channel]) is None


@pytest.mark.parametrize("name", STANDARDS)
def test_the_check_of_rules_itself_sees_a_command_a_tick_early(name):
    tables = load_standard(name).tables()
    device = (tables, ControllerSpec(), AddressMap(tables, 1, "RoBaRaCoCh"), 1)
    requests = Requests(np.zeros(1, np.int64), np.zeros(1, np.int64))
    _, steps = run((*device, requests, Pacing()), plain=False)
    read = np.flatnonzero(steps[:, 2] == COMMANDS.index("RD"))[0]
    # some wait for a half-clock edge or a CAS besides the rule
    steps[read, 0] -= 2 if tables.slots == "half_clock" or "ACT2" in tables.commands else 1
    assert broken(tables, steps) is not None
