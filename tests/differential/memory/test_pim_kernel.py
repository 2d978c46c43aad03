"""Is the event-skipping kernel of command traces the tick-by-tick rules, compiled or plain?

Beside the kernel and its plain twin stands a model written from the rules alone: every tick of all
32 channels, with minimum distances of its own as the simulator has them.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.memory.pim.command_set import load_set, set_of
from archsim.memory.pim.program import program
from archsim.memory.pim.run import run
from archsim.memory.pim.trace import READ, WRITE, PimTrace, Step, channels_of
from archsim.memory.standard import load_standard

STANDARD = load_standard("GDDR6_AiM")
SET = set_of(STANDARD)
R = ("RD", "MAC", "RDCP", "MAC16", "RDMAC16", "RDAF16")
W = ("WR", "WRCP", "WRA16", "WRGB", "WRMAC16")
ROW = ("ACT", "ACT16", "PRE", "PREA")
ALL = (*R, *W, "EWMUL16", "AF16", *ROW)
CHANNEL = [
    (R, R, 2), (W, W, 2), (("EWMUL16",), (*R, "WR", "WRCP", "WRA16", "WRMAC16", "EWMUL16"), 2),
    ((*R, "WR", "WRCP", "WRA16", "WRMAC16"), ("EWMUL16",), 2),
    (("RDMAC16", "RDAF16"), ("WRGB", "WRMAC16"), 5), (("RD",), ("WR", "WRA16"), 50),
    (("RD",), ("WRGB", "WRMAC16"), 55), (("WRGB",), ("RD", "RDMAC16", "RDAF16"), 12),
    (("WRMAC16",), ("RD", "RDMAC16", "RDAF16"), 14), (("WRA16",), ("RD", "RDMAC16", "RDAF16"), 19),
    (("WR",), ("RDMAC16", "RDAF16"), 19), (("WR",), ("RD",), 17),
    (("RD", "RDCP", "MAC", "MAC16", "AF16"), ("PREA",), 12), (("EWMUL16",), ("PREA", "PRE"), 39),
    (("WR", "WRCP"), ("PREA",), 41), (("ACT", "ACT16"), ("PREA",), 54),
    (("PRE", "PREA"), ("PREA",), 32), (("MAC16", "AF16"), ("PRE",), 12),
    (("ACT16",), ("PRE",), 54), (("PREA",), ("PRE",), 32), (("ACT", "ACT16"), ("ACT16",), 89),
    (("PRE", "PREA"), ("ACT16",), 32),
    (("WRA16",), ("ACT16", "ACT"), 73), (("ACT16",), ("ACT",), 89), (("PREA",), ("ACT",), 32),
    (("ACT",), ("ACT",), 5), (("ACT", "ACT16"), ("MAC16",), 56), (("ACT", "ACT16"), ("AF16",), 86),
    (("ACT", "ACT16"), ("EWMUL16",), 25), (("ACT", "ACT16"), ("WRA16",), 28),
    (("ACT16",), ("MAC",), 56), (("ACT16",), ("RDCP",), 66), (("ACT16",), ("WRCP",), 48),
    (("ACT16",), ("RD",), 36), (("ACT16",), ("WR",), 28), (("TMOD",), ALL, 32),
]  # fmt: skip
GROUP = [
    (("RD", "MAC", "RDCP"), ("RD", "MAC", "RDCP"), 2), (("WR", "WRCP"), ("WR", "WRCP"), 2),
    (("WR",), ("RD",), 19), (("ACT",), ("ACT",), 6),
]  # fmt: skip
BANK = [
    (("ACT",), ("MAC",), 56), (("ACT",), ("RDCP",), 66), (("ACT",), ("WRCP",), 48),
    (("ACT",), ("RD",), 36), (("ACT",), ("WR",), 28), (("ACT",), ("PRE",), 54),
    (("ACT",), ("ACT",), 89), (("RD", "RDCP", "MAC"), ("PRE",), 12), (("WR", "WRCP"), ("PRE",), 41),
    (("PRE",), ("ACT", "PRE"), 32),
]  # fmt: skip
APART = [
    {(a, b): n for before, after, n in table for a in before for b in after}
    for table in (CHANNEL, GROUP, BANK)
]
SINGLE = {"ACT", "PRE", "RD", "WR", "MAC", "RDCP", "WRCP"}
REGISTER = {"WRGB", "WRMAC16", "RDMAC16", "RDAF16"}
FLIGHT = {
    "WRGB": 3, "WRMAC16": 3, "RDMAC16": 2, "RDAF16": 2, "WRA16": 40, "RD": 52, "WR": 8,
}  # fmt: skip
FINAL = {
    "WR_GB": "WRGB", "WR_BIAS": "WRMAC16", "RD_MAC": "RDMAC16", "RD_AF": "RDAF16",
    "MAC_ABK": "MAC16", "EWMUL": "EWMUL16", "AF": "AF16", "MAC_SBK": "MAC", "COPY_BKGB": "RDCP",
    "COPY_GBBK": "WRCP", "WR_ABK": "WRA16", "RD_SBK": "RD", "WR_SBK": "WR", READ: "RD", WRITE: "WR",
}  # fmt: skip


class Channel:
    """One channel, tick by tick."""

    def __init__(self, number):
        self.number, self.lines = number, {"aim": [], "read": [], "write": []}
        self.active, self.fifo, self.due = [], [], []
        self.open, self.register, self.writing = {}, False, False
        self.last = [{}, {}, {}]
        self.log, self.left, self.arrived = [], [], 0

    def accepts(self, request, now):
        final, step = request
        kind = {"RD": "read", "WR": "write"}.get(final, "aim")
        if kind == "aim" and (self.lines["read"] or self.lines["write"]):
            return False
        if kind != "aim" and self.lines["aim"]:
            return False
        if kind == "read" and self.lines["write"]:
            self.fifo.append((now + 1, None))
            return True
        if len(self.lines[kind]) == 33:
            return False
        self.arrived += 1
        self.lines[kind].append((final, step, self.arrived))
        return True

    def legal(self, command, bank, now):
        nodes = [None, bank // 4, bank] if command in SINGLE else [None]
        for level, node in enumerate(nodes):
            for (at, before), tick in self.last[level].items():
                if at == node and now < tick + APART[level].get((before, command), 0):
                    return False
        return True

    def needed(self, final, step):
        row = (1 << 29) if final == "AF16" else step.row
        if final in REGISTER:
            return final
        if final in SINGLE:
            if step.bank not in self.open:
                return "ACT"
            return final if self.open[step.bank] == row else "PRE"
        if any(found != row for found in self.open.values()):
            return "PREA"
        return final if len(self.open) == 16 else "ACT16"

    def tick(self, now, decoder):
        if self.fifo and self.fifo[0][0] <= now and (self.fifo[0][1] != "fence" or not self.due):
            kind = self.fifo.pop(0)[1]
            if kind is not None:
                decoder.returned()
        self.due = [due for due in self.due if due > now]
        chosen = None
        for request in sorted(self.active, key=lambda r: r[2]):
            if self.legal(self.needed(*request[:2]), request[1].bank, now):
                chosen = (self.active, request)
                break
        if chosen is None and self.lines["aim"]:
            request = self.lines["aim"][0]
            if request[0] in ("SYNC", "EOC"):
                self.lines["aim"].pop(0)
                self.fifo.append((now, "fence"))
                return
            if self.legal(self.needed(*request[:2]), request[1].bank, now):
                chosen = (self.lines["aim"], request)
        elif chosen is None:
            reads, writes = len(self.lines["read"]), len(self.lines["write"])
            if not self.writing:
                self.writing = writes > 25.6 or reads == 0
            elif writes < 6.4 and reads > 0:
                self.writing = False
            line = self.lines["write" if self.writing else "read"]
            for request in line:
                if self.legal(self.needed(*request[:2]), request[1].bank, now):
                    chosen = (line, request)
                    break
        if chosen is not None:
            self.issue(*chosen, now)

    def issue(self, line, request, now):
        final, step = request[:2]
        command = self.needed(final, step)
        if command == "PRE" and any(r[1].bank == step.bank for r in self.active):
            return
        if (final in REGISTER) != self.register:
            command, self.register = "TMOD", not self.register
        self.log.append((now, command, step.bank if command in SINGLE else -1))
        nodes = [None, step.bank // 4, step.bank] if command in SINGLE else [None]
        for level, node in enumerate(nodes):
            self.last[level][node, command] = now
        row = (1 << 29) if final == "AF16" else step.row
        if command == "ACT16":
            self.open = dict.fromkeys(range(16), row)
        elif command in ("PREA", "WRA16"):
            self.open = {}
        elif command == "ACT":
            self.open[step.bank] = row
        elif command == "PRE":
            del self.open[step.bank]
        if command == final:
            line.remove(request)
            due = now + FLIGHT.get(final, 1)
            if final in ("RDMAC16", "RDAF16", "RD"):
                self.fifo.append((due, None if final == "RD" else "data"))
            else:
                self.due.append(due)
        elif command == "ACT" and final in ("RD", "WR") and line is not self.active:
            line.remove(request)
            self.active.append(request)


class Machine:
    """The decoder and its 32 channels."""

    def __init__(self, steps):
        self.steps, self.head, self.outstanding = steps, 0, 0
        self.channels = [Channel(number) for number in range(32)]

    def returned(self):
        self.outstanding -= 1
        if self.outstanding == 0:
            self.head += 1

    def decode(self, now):
        had = any(channel.left for channel in self.channels)
        for channel in self.channels:
            while channel.left and channel.accepts(channel.left[0], now):
                channel.left.pop(0)
        remain = any(channel.left for channel in self.channels)
        if self.outstanding or remain:
            return
        if had:
            self.head += 1
            return
        step = self.steps[self.head]
        if step.word in ("SYNC", "EOC"):
            numbers, final, count, blocks = range(32), step.word, 1, True
        elif step.word in FINAL:
            final, count = FINAL[step.word], step.opsize
            numbers, blocks = channels_of(step.mask, SET), step.word in ("RD_MAC", "RD_AF")
        else:
            numbers, final, count, blocks = (), "", 0, False
        for number in numbers:
            channel = self.channels[number]
            for _ in range(count):
                request = (final, step)
                if channel.left or not channel.accepts(request, now):
                    channel.left.append(request)
                self.outstanding += blocks
        if not self.outstanding and not any(channel.left for channel in self.channels):
            self.head += 1

    def run(self):
        now = 0
        while self.head < len(self.steps):
            now += 1
            assert now < 1_000_000
            self.decode(now)
            for channel in self.channels:
                channel.tick(now, self)
        return now


@st.composite
def steps(draw, plain_share=3):
    """A trace with few rows and banks, unequal masks, and plain accesses in places."""
    masks = draw(st.sampled_from(((1,), (0xFFFFFFFF,), (1, 3, 0x80000000, 0xFFFFFFFF))))
    words = [w for w in SET.instructions if w != "EOC"]
    accesses = (READ, WRITE, "RD_SBK", "WR_SBK")
    found = []
    for _ in range(draw(st.integers(1, 14))):
        plain = draw(st.integers(0, 9)) < plain_share
        word = draw(st.sampled_from(accesses if plain else words))
        mask, bank, row = (
            draw(st.sampled_from(masks)),
            draw(st.integers(0, 5)),
            draw(st.integers(0, 2)),
        )
        if word in (READ, WRITE) or word == "WR_ABK":
            mask = 1 << draw(st.sampled_from((0, 0, 1, 31)))
        fields = SET.instructions[word].fields if word in SET.instructions else ("bank", "row")
        size = draw(st.sampled_from((1, 2, 5, 40, 64))) if "opsize" in fields else 1
        times = draw(st.sampled_from((1, 1, 3, 40))) if plain else 1
        banks = [(bank + i * plain) % 16 if "bank" in fields else -1 for i in range(times)]
        found += [Step(word, size, mask, b, row if "row" in fields else -1) for b in banks]
    return found


def ran(trace, plain=True, exact=False, refresh=False):
    made = program(STANDARD, SET, PimTrace.of("t", trace, SET), refresh=refresh, exact=exact)
    log = np.full(5 * 40_000, -1, np.int64)
    result = run(made, plain=plain, log=log)
    lines = log.reshape(-1, 5)
    return made, result, lines[lines[:, 0] >= 0]


@settings(max_examples=40, deadline=None)
@given(trace=steps())
def test_the_kernel_issues_what_the_rules_say_tick_by_tick(trace):
    made, result, log = ran(trace)
    machine = Machine(PimTrace.of("t", trace, SET).steps)
    assert result.cycles == machine.run()
    for i, numbers in enumerate(made.groups):
        mine = [(int(t), made.names[c], int(b)) for t, g, c, b, _ in log if g == i]
        for number in numbers:
            assert mine == machine.channels[number].log


@settings(max_examples=40, deadline=None)
@given(trace=steps(), refresh=st.booleans())
def test_the_compiled_kernel_issues_the_plain_ones_commands(trace, refresh):
    _, plain, plain_log = ran(trace, refresh=refresh)
    _, fast, fast_log = ran(trace, plain=False, refresh=refresh)
    assert plain == fast
    assert np.array_equal(plain_log, fast_log)


@settings(max_examples=40, deadline=None)
@given(trace=steps(), refresh=st.booleans())
def test_alike_channels_counted_are_channels_simulated(trace, refresh):
    _, once, _ = ran(trace, refresh=refresh)
    _, each, _ = ran(trace, exact=True, refresh=refresh)
    assert once.cycles == each.cycles
    assert once.counts == each.counts
    assert len(each.groups) == 32


@settings(max_examples=40, deadline=None)
@given(trace=steps(), refresh=st.booleans())
def test_every_tick_of_a_channel_has_one_owner(trace, refresh):
    _, result, _ = ran(trace, refresh=refresh)
    for group in result.groups:
        assert sum(group.counts.values()) + sum(group.waits.values()) == result.cycles
        assert min(group.waits.values()) >= 0
        assert 0 <= group.row_ticks <= result.cycles
        assert group.row_ticks <= group.open_bank_ticks <= 16 * group.row_ticks


@settings(max_examples=40, deadline=None)
@given(trace=steps(plain_share=0))
def test_every_request_ends_with_its_command(trace):
    _, result, _ = ran(trace)
    want = {}
    for step in trace:
        if step.word in FINAL and SET.instructions[step.word].command not in ("RD", "WR"):
            name = FINAL[step.word]
            want[name] = want.get(name, 0) + step.opsize * step.mask.bit_count()
    assert {name: result.counts[name] for name in want} == want


def broken(made, log):
    """The first command that a rule of the command set forbids, or whose row is not open."""
    rules = [
        (rule, SET.ticks_of(rule.ticks, STANDARD)) for group in SET.rules.values() for rule in group
    ]
    past, rows, last = [], {}, 0
    for tick, _, command, bank, row in log.tolist():
        name = made.names[command]
        if tick <= last:
            return tick, name, "two commands in one tick"
        last = tick
        for before, at, then in past:
            for rule, ticks in rules:
                if before in rule.previous and name in rule.next and tick < then + ticks:
                    same = {"channel": True, "bank_group": at // 4 == bank // 4, "bank": at == bank}
                    alone = rule.level == "channel" or (before in SINGLE and name in SINGLE)
                    if same[rule.level] and alone:
                        return tick, name, rule
        past = [entry for entry in past if entry[2] > tick - 300] + [(name, bank, tick)]
        form = SET.commands[name]
        touched = [bank] if form.scope == "bank" else list(range(16))
        if form.row and any(rows.get(b) != row for b in touched):
            return tick, name, "row not open"
        if name in ("ACT", "ACT16"):
            if any(b in rows for b in touched) and name == "ACT":
                return tick, name, "row open already"
            rows |= dict.fromkeys(touched, row)
        elif name in ("PRE", "PREA", "WRA16"):
            rows = {b: r for b, r in rows.items() if b not in touched}
        elif name == "REFab" and rows:
            return tick, name, "refresh with an open row"
    return None


@settings(max_examples=40, deadline=None)
@given(trace=steps(), refresh=st.booleans())
def test_a_replay_of_the_log_breaks_no_rule(trace, refresh):
    made, _, log = ran(trace, refresh=refresh)
    for group in range(len(made.groups)):
        assert broken(made, log[log[:, 1] == group]) is None


@pytest.mark.parametrize("command", ["PREA", "ACT16", "MAC16", "TMOD"])
def test_the_replay_itself_sees_a_command_a_tick_early(command):
    trace = [Step("MAC_ABK", 2, 1, -1, r) for r in (0, 1)] + [Step("WR_GB", 2, 1)]
    made, _, log = ran(trace)
    log = log[log[:, 1] == 1]
    place = np.flatnonzero(log[:, 2] == made.names.index(command))[-1]
    log[place + (command == "TMOD"), 0] -= 1
    assert broken(made, log) is not None


def test_the_set_that_ships_is_found_by_its_standard():
    assert SET is load_set("AiM")


def test_distances_of_the_set_are_those_of_the_model():
    found = [{}, {}, {}]
    levels = ("channel", "bank_group", "bank")
    for rules in SET.rules.values():
        for rule in rules:
            table, ticks = found[levels.index(rule.level)], SET.ticks_of(rule.ticks, STANDARD)
            for pair in ((a, b) for a in rule.previous for b in rule.next if "REFab" not in (a, b)):
                assert table.setdefault(pair, ticks) == ticks
    assert found == APART
