"""Timing rules between the commands of a product, with those of its command set and standard.

Here the rules of a channel are looked up by the command that must wait. What they cost along a
stream of commands is in `gemv_stream`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.product_form import ProductForm
from archsim.memory.standard import Device, Standard

OWN = ("bank_group", "bank")
"""Levels whose rules hold among commands to the same banks, whatever goes to others."""


@dataclass(frozen=True)
class Gap:
    """Ticks that a command waits after another one.

    Attributes:
        previous: the other one.
        ticks: from its issue.
        window: counts from the n-th most recent of them.
        own: holds between commands to the same banks only.
    """

    previous: str
    ticks: int
    window: int
    own: bool


@dataclass(frozen=True)
class StreamRules:
    """What one channel asks of a stream of commands.

    Attributes:
        form: which commands do what.
        gaps: rules by the command that must wait.
        register: commands that need the other mode.
        change_mode: command that changes it, where the set has modes.
        reserved: transfers that go to a reserved row, which must be open for them.
        flight: ticks from issue until it is done.
        queued: whether a decoder with queues feeds the channel, from tick 1 on; else from tick 0.
        blocks: commands behind which nothing is decoded until they have returned.
        base_mac: ticks between MAC commands without a limit of power.
        data_mac: ticks that what one of them reads takes to the units.
        burst: ticks of the data bus for one access.
        slots: accesses that a unit holds, with the one that it works on; 1: no buffer.
        refresh_every, refresh: ticks between refreshes, and of one.
        fills: ticks for which a command that opens rows fills the window of activates.
    """

    form: ProductForm
    gaps: Mapping[str, tuple[Gap, ...]]
    register: frozenset[str]
    change_mode: str | None
    reserved: frozenset[str]
    flight: Mapping[str, int]
    queued: bool
    blocks: frozenset[str]
    base_mac: int
    data_mac: int
    burst: int
    slots: int
    refresh_every: int
    refresh: int
    fills: int

    def spacing(self, command: str) -> int:
        """Ticks between two of the same command."""
        own = [g.ticks for g in self.gaps.get(command, ()) if g.previous == command]
        waits = self.flight[command] + 1 if command in self.blocks else 1
        return max([waits, *own])

    def end(self, command: str) -> int:
        """Ticks behind the last command's flight, until a decoder has seen that all has ended."""
        if not self.queued:
            return -1
        return 2 if command in self.blocks else 1

    @cached_property
    def row_ticks(self) -> int:
        """Ticks between the MACs of two rows of the same banks, less one spacing."""
        form = self.form
        turns = ((form.mac, form.close), (form.close, form.open), (form.open, form.mac))
        return sum(
            max((g.ticks for g in self.gaps.get(after, ()) if g.previous == before), default=0)
            for before, after in turns
        ) - self.spacing(form.mac)

    @property
    def furthest(self) -> int:
        """Ticks after which no command matters to a later one."""
        return max((gap.ticks for gaps in self.gaps.values() for gap in gaps), default=0) + 1

    @property
    def most(self) -> int:
        """Commands of a kind that later ones depend on."""
        return max((gap.window for gaps in self.gaps.values() for gap in gaps), default=1)


def rules_of(standard: Standard, commands: CommandSet) -> StreamRules:
    """The rules of a set on a standard that has its commands."""
    device, form = standard.device, commands.product
    assert device is not None
    assert form is not None
    transfers = {name for name in (form.input, form.bias, form.result) if name is not None}
    names = {form.open, form.close, form.mac} | transfers
    change = commands.roles.change_mode if commands.roles is not None else None
    timed = names | ({change} if change is not None else set())
    gaps: dict[str, list[Gap]] = {}
    for previous, following, level, ticks, window in _all_rules(device, standard, commands):
        own = level in OWN
        # Transfers that go to one bank each take banks of other groups in turn.
        if following not in timed or previous not in timed or (own and following in transfers):
            continue
        gaps.setdefault(following, []).append(Gap(previous, ticks, window, own))
    described = commands.commands
    modes = {name for name in names if name in described and described[name].mode == "register"}
    blocking = {one.command for one in commands.instructions.values() if one.blocks}
    flights = {
        name: commands.ticks_of(described[name].in_flight, standard)
        for name in names
        if name in described
    }
    base = _timing(device, "nCCDL", "tCCDL", "tCCD_L")
    return StreamRules(
        form=form,
        gaps={name: tuple(dict.fromkeys(found)) for name, found in gaps.items()},
        register=frozenset(modes),
        change_mode=change if modes else None,
        reserved=frozenset(name for name in transfers if described[name].row),
        flight=flights,
        queued=commands.queue is not None,
        blocks=frozenset(names & blocking),
        base_mac=base,
        data_mac=base,
        burst=device.ticks_of(device.burst_ticks),
        slots=max(form.ahead_bytes // (int(device.access_bytes) * (form.bundle_banks or 1)), 1),
        refresh_every=_timing(device, "nREFI", "tREFI"),
        refresh=_timing(device, "nRFC", "tRFC"),
        fills=_fills(device, described[form.open].activates if form.open in described else 0),
    )


def _fills(device: Device, activates: int) -> int:
    """Ticks of the windows in which so many activates leave room for no other."""
    windows = [r for group in device.rules.values() for r in group if r.window > 1]
    return max((device.ticks_of(r.ticks) for r in windows if r.window <= activates), default=0)


def _all_rules(
    device: Device, standard: Standard, commands: CommandSet
) -> Iterator[tuple[str, str, str, int, int]]:
    """Rules of the set and, where it lives by them, those of its standard."""
    for group in commands.rules.values():
        for rule in group:
            ticks = commands.ticks_of(rule.ticks, standard)
            for previous in rule.previous:
                for following in rule.next:
                    yield previous, following, rule.level, ticks, 1
    if not commands.by_standard:
        return
    for found in (device.pim.rules if device.pim else (), *device.rules.values()):
        for each in found:
            ticks = commands.ticks_of(each.ticks, standard)
            if not each.sibling:
                for previous in each.previous:
                    for following in each.next:
                        yield previous, following, each.level, ticks, each.window


def _timing(device: Device, *names: str) -> int:
    return next(device.timings[name] for name in names if name in device.timings)
