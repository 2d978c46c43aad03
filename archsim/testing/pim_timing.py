"""Replays a log of one lane against the rules as their files state them, bank by bank.

Nothing of the scheduler is used: every command meets every earlier one that a rule could still
reach, and the rows are followed bank by bank.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.lanes import Logged
from archsim.memory.pim.trace import lane_banks
from archsim.memory.standard import Device, Rule, Standard

LIKE = {"ACT": "ACT", "PRE": "PREpb", "RD": "RD", "WR": "WR"}
OPENS = ("ACT", "G_ACT")
CLOSES = ("PRE", "PIM_PRE")


def violations(
    standard: Standard, commands: CommandSet, log: Sequence[Logged], *, dual: bool = False
) -> list[str]:
    """What a log does against the rules of its standard and its set; empty where all is well.

    Args:
        standard: The memory, with its timing rules.
        commands: Its command set, one whose rules are the standard's.
        log: Commands in order of ticks.
        dual: Whether commands of the set have row buffers of their own.
    """
    device = standard.device
    assert device is not None
    rules = list(_rules(device))
    named: dict[tuple[str, str], list[tuple[Rule, int]]] = {}
    for rule in rules:
        for pair in product(rule.previous, rule.next):
            if rule.window == 1:
                named.setdefault(pair, []).append((rule, device.ticks_of(rule.ticks)))
    reach = max(device.ticks_of(rule.ticks) for rule in rules)
    state = _Rows(lane_banks(device), commands, dual)
    found: list[str] = []
    first = 0
    for i, now in enumerate(log):
        while log[first].tick < now.tick - reach:
            first += 1
        for before in log[first:i]:
            for names, alike in _names(commands, before, now, dual):
                for rule, ticks in named.get(names, ()):
                    if now.tick - before.tick < ticks and (not alike or _inside(rule, alike)):
                        found += _pair(device, rule, before, now, ticks)
        found += state.take(now)
        found += _slots(device, log[first : i + 1])
    for rule in rules:
        if rule.window > 1:
            found += _window(commands, log, rule.window, device.ticks_of(rule.ticks))
    return found


def _rules(device: Device) -> Iterator[Rule]:
    for group in device.rules.values():
        yield from group
    yield from device.pim.rules if device.pim else ()


def _nodes(device: Device, level: str, banks: tuple[int, ...]) -> set[int]:
    """Nodes of a level around banks, of a lane."""
    names: list[str] = list(device.levels)
    around = names.index("pseudo_channel") if "pseudo_channel" in names else 0
    if names.index(level) <= around:
        return {0}
    size = 1
    for inner in names[names.index(level) + 1 :]:
        size *= device.counts.get(inner, 1)
    return {b // size for b in banks}


def _names(
    commands: CommandSet, a: Logged, b: Logged, dual: bool
) -> Iterator[tuple[tuple[str, str], str]]:
    """Names under which rules may speak of two commands.

    As they are; or as what one of them acts like beside the other, whose name comes with it.
    """
    yield (a.command, b.command), ""
    own = commands.commands
    for one, other in ((a, b), (b, a)):
        form = own.get(one.command)
        if form is None or form.like is None or other.command in own:
            continue
        if dual and not form.bus and not other.command.startswith("REF"):
            continue
        alias = LIKE[form.like]
        names = (alias, b.command) if one is a else (a.command, alias)
        yield names, "bus" if form.bus else other.command


def _inside(rule: Rule, alike: str) -> bool:
    """Whether a rule holds for a command that only acts like an ordinary one in its banks."""
    return alike == "bus" or rule.level == "bank" or alike in ("PREab", "REFab", "REFpb")


def _pair(device: Device, rule: Rule, a: Logged, b: Logged, ticks: int) -> Iterator[str]:
    """Two commands closer than a rule allows, where they meet at one of its nodes."""
    near = _nodes(device, rule.level, a.banks) & _nodes(device, rule.level, b.banks)
    if rule.sibling:
        near = set() if near or device.counts.get(rule.level, 1) == 1 else {0}
    if near:
        yield f"{b.command} at {b.tick}, {a.command} at {a.tick}: {ticks} ticks apart"


@dataclass
class _Rows:
    """Open rows of each bank, by buffer."""

    banks: int
    commands: CommandSet
    dual: bool
    open: dict[tuple[int, int], int] = field(default_factory=dict)

    def take(self, now: Logged) -> Iterator[str]:
        """What a command may not do to rows as they are."""
        name, form = now.command, self.commands.commands.get(now.command)
        buffer = int(self.dual and form is not None)
        where = f"{name} at {now.tick}"
        if name.startswith(OPENS):
            for b in now.banks:
                if (buffer, b) in self.open:
                    yield f"{where}: bank {b} is open"
                self.open[buffer, b] = now.row
        elif name.startswith(CLOSES):
            for b in now.banks:
                self.open.pop((buffer, b), None)
        elif name.startswith("REF"):
            for b in now.banks:
                if (0, b) in self.open or (1, b) in self.open:
                    yield f"{where}: bank {b} is open"
        elif form is None or form.row:
            for b in now.banks:
                if self.open.get((buffer, b)) != now.row:
                    yield f"{where}: row {now.row} of bank {b} is not open"


def _slots(device: Device, log: Sequence[Logged]) -> Iterator[str]:
    """More commands in one tick than its bus has room for."""
    now = [entry.command for entry in log if entry.tick == log[-1].tick]
    rows = sum(name.startswith((*OPENS, *CLOSES, "REF")) for name in now)
    if len(now) > 1 and (device.slots == "single" or rows > 1 or len(now) - rows > 1):
        yield f"{', '.join(now)} in tick {log[-1].tick}"


def _window(commands: CommandSet, log: Sequence[Logged], size: int, ticks: int) -> Iterator[str]:
    """More activates than a window has room for."""
    own = commands.commands
    opened = [
        entry.tick
        for entry in log
        for _ in range(own[entry.command].activates if entry.command in own else 1)
        if entry.command.startswith(OPENS)
    ]
    for before, after in zip(opened, opened[size:], strict=False):
        if after - before < ticks:
            yield f"more than {size} activates from {before} to {after}"
