"""Which command must follow which by how much, in one lane: a channel, or a pseudo channel.

A lane's rules are those of its standard, those of its command set, and those between an ordinary
command and one that acts `like` another: in the banks that both touch, and on the data bus where
it is held. How they are enforced is in `lane_program`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from archsim.core.errors import InputError
from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.set_form import Command, Roles
from archsim.memory.standard import Device, Standard

Sharing = Literal["mode_switch", "bundle", "dual_row_buffer"]
ORDINARY = Roles(
    open_bank="ACT", open_all="ACT", close_bank="PREpb", close_all="PREab", change_mode="",
    refresh="REFab", read="RD", write="WR",
)  # fmt: skip
"""Names of ordinary commands in every standard."""

REASONS = (
    "row_opens", "row_in_use", "precharge", "activate_spacing", "activate_window", "mac_spacing",
    "column_spacing", "turnaround", "mode_change", "refresh",
)  # fmt: skip


class Rule(NamedTuple):
    """After `before` at a node of a level, `after` waits there; level 0 is the whole lane."""

    level: int
    before: str
    after: str
    ticks: int
    reason: str
    sibling: bool


class Window(NamedTuple):
    """At most `size` activates in so many ticks, in the whole lane."""

    size: int
    ticks: int


@dataclass(frozen=True)
class LaneRules:
    """Rules of one lane.

    Attributes:
        groups: Banks of one node, by level; the first has all banks of the lane.
        commands: What is known of each command, ordinary ones among them.
        own: Commands of the set that ordinary accesses do not use.
        roles: Names of ordinary commands.
        rules: Minimum distances.
        window: Window of activates, if there is one.
    """

    groups: tuple[int, ...]
    commands: dict[str, Command]
    own: frozenset[str]
    roles: Roles
    rules: tuple[Rule, ...]
    window: Window | None

    @property
    def banks(self) -> int:
        """Banks of the lane."""
        return self.groups[0]

    def between(self, before: str, after: str) -> int:
        """Least ticks from one command to another in the same banks; 0 where no rule says."""
        found = [r.ticks for r in self.rules if (r.before, r.after) == (before, after)]
        return max(found, default=0)

    def banks_of(self, command: str, bank: int) -> tuple[int, ...]:
        """Banks that a command goes to when its trace names one of them."""
        form = self.commands[command]
        if form.scope == "channel":
            return tuple(range(self.banks))
        if form.scope == "run":
            first = bank - bank % form.banks
            return tuple(range(first, first + form.banks))
        if form.scope == "same_bank":
            size = self.groups[-2]
            return tuple(range(bank % size, self.banks, size))
        return (bank,)


def lane_rules(
    standard: Standard, commands: CommandSet, sharing: Sharing = "mode_switch"
) -> LaneRules:
    """The rules of one lane of a standard with a command set.

    Raises:
        InputError: E102 when the standard has no channel to simulate.
    """
    device = standard.device
    if device is None:
        raise InputError(f"standard {standard.name} has no channel to simulate", code="E102")
    roles = commands.roles or ORDINARY
    levels = _levels(device)
    forms = _ordinary(roles, device) | commands.commands
    plain = {
        *(roles.open_bank, roles.close_bank, roles.close_all, roles.refresh, "REFpb"),
        *(roles.read, roles.write),
    }
    own = frozenset(forms) - plain - {roles.change_mode}
    found: list[Rule] = []
    for key, spacings in commands.rules.items():
        for spacing in spacings:
            ticks = commands.ticks_of(spacing.ticks, standard)
            level = levels.get(spacing.level, 0)
            found += [
                Rule(level, a, b, ticks, key, False) for a in spacing.previous for b in spacing.next
            ]
    window = None
    if commands.by_standard:
        given, window = _of_standard(device, levels, forms)
        found += given
        found += _alike(given, commands, sharing)
    sizes = _sizes(device)
    return LaneRules(sizes, forms, own, roles, tuple(dict.fromkeys(found)), window)


def _levels(device: Device) -> dict[str, int]:
    """Level of a lane by its name; those around the lane count as the lane itself."""
    names = list(device.levels)
    around = names.index("pseudo_channel") if "pseudo_channel" in names else 0
    return {name: max(0, i - around) for i, name in enumerate(names)}


def _sizes(device: Device) -> tuple[int, ...]:
    """Banks of one node of each level of a lane."""
    names = list(device.levels)
    around = names.index("pseudo_channel") if "pseudo_channel" in names else 0
    sizes, banks = [], 1
    for name in reversed(names[around:]):
        sizes.append(banks)
        banks *= device.counts.get(name, 1) if name != names[around] else 1
    return tuple(reversed(sizes))


def _ordinary(roles: Roles, device: Device) -> dict[str, Command]:
    """What is known of ordinary commands."""
    latency = device.read_latency
    return {
        roles.open_bank: Command(scope="bank"),
        roles.close_bank: Command(scope="bank"),
        roles.close_all: Command(scope="channel"),
        roles.refresh: Command(scope="channel"),
        "REFpb": Command(scope="bank"),
        roles.read: Command(scope="bank", row=True, in_flight=latency, bus=True),
        roles.write: Command(scope="bank", row=True, bus=True),
    }


def _of_standard(
    device: Device, levels: dict[str, int], forms: dict[str, Command]
) -> tuple[list[Rule], Window | None]:
    """Rules that a standard gives, for commands that a lane issues."""
    found: list[Rule] = []
    window = None
    own = device.pim.rules if device.pim else ()
    for rule in (*(r for group in device.rules.values() for r in group), *own):
        ticks, level = device.ticks_of(rule.ticks), levels[rule.level]
        if rule.window > 1:
            window = Window(rule.window, ticks)
            continue
        if rule.sibling and device.counts.get(rule.level, 1) == 1:
            continue
        for a in rule.previous:
            for b in rule.next:
                if a in forms and b in forms:
                    reason = reason_of(a, b, forms)
                    if "AW" in str(rule.ticks):  # tFAW, tXAW: as long as a window
                        reason = "activate_window"
                    found.append(Rule(level, a, b, ticks, reason, rule.sibling))
    return found, window


def _alike(given: list[Rule], commands: CommandSet, sharing: Sharing) -> Iterator[Rule]:
    """Rules between ordinary commands and those that act like one of them."""
    own = commands.commands
    names = {"ACT": "ACT", "PRE": "PREpb", "RD": "RD", "WR": "WR"}
    for name, form in own.items():
        if form.like is None:
            continue
        for rule in given:
            for a, b in ((rule.before, rule.after), (rule.after, rule.before)):
                if a != names[form.like] or b in own:
                    continue
                cells = b in ("REFab", "REFpb") or (b == "PREab" and sharing != "dual_row_buffer")
                near = rule.level > 0 and sharing != "dual_row_buffer" and not rule.sibling
                if not (form.bus or cells or (near and _in_bank(rule, given))):
                    continue
                before, after = (name, b) if a == rule.before else (b, name)
                yield rule._replace(before=before, after=after)


def _in_bank(rule: Rule, given: list[Rule]) -> bool:
    """Whether a rule is one of a bank: the innermost level that any has."""
    return rule.level == max(r.level for r in given)


def reason_of(before: str, after: str, forms: dict[str, Command]) -> str:
    """Under which name a report counts the time that a rule costs."""
    a, b = kind_of(before, forms), kind_of(after, forms)
    if "refresh" in (a, b):
        return "refresh"
    if b == "ACT":
        return "activate_spacing" if a == "ACT" else "precharge"
    if b == "PRE":
        return "precharge" if a == "PRE" else "row_in_use"
    if a == "ACT":
        return "row_opens"
    if forms[before].macs and forms[after].macs:
        return "mac_spacing"
    return "column_spacing" if a == b else "turnaround"


def kind_of(name: str, forms: dict[str, Command]) -> str:
    """ACT, PRE, RD, WR or refresh: as which a command acts."""
    if name.startswith("REF"):
        return "refresh"
    like = forms[name].like
    if like:
        return like
    for word in ("ACT", "PRE", "WR"):
        if name.startswith(word):
            return word
    return "RD"
