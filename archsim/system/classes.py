"""Classes of devices: those that do the same at the same time are simulated once.

Two devices are alike when they run the same share on the same hardware, and whatever they exchange
with others, they exchange with alike ones. Found by refinement: classes are split until no group of
any axis tells two devices of a class apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from archsim.core.errors import LawViolation
from archsim.ir.partition import Partition, Share

MESSAGES = ("send", "receive")  # patterns of two devices that are at different places of the plan
Key = dict[int, int]  # device -> number of its class


@dataclass(frozen=True)
class Meetings:
    """Whom a class meets.

    Attributes:
        name: of the class.
        members: by axis, names of the classes that its groups have devices of, in order of device.
        peers: by axis and steps along it, name of the class that is there.
        devices: in the class.
        before: devices in the classes before it.
        total: devices of the plan.
    """

    name: str
    members: Mapping[str, tuple[str, ...]]
    peers: Mapping[tuple[str, int], str]
    devices: int
    before: int
    total: int

    def leads(self, axis: str) -> bool:
        """True for the class that writes the rows of the whole group."""
        return self.members[axis][0] == self.name

    def portion(self, counts: Mapping[str, int], sharers: int = 0) -> dict[str, int]:
        """The class's part of what devices count together; parts add up to the whole.

        `sharers` devices do: all by default, or those of a share, whose classes follow each other.
        """
        total = sharers or self.total
        first, end = self.before, self.before + self.devices
        return {key: n * end // total - n * first // total for key, n in counts.items()}


@dataclass(frozen=True)
class DeviceClass:
    """Devices that are alike.

    Attributes:
        name: in reports and names of units; empty where all devices are alike.
        share: number of the share that they run.
        devices: their numbers, in order.
        meetings: whom they meet; None where all devices are alike.
    """

    name: str
    share: int
    devices: tuple[int, ...]
    meetings: Meetings | None = field(default=None, repr=False)


def classes_of(
    partition: Partition, odd: Mapping[int, Hashable] | None = None, *, exact: bool = False
) -> tuple[DeviceClass, ...]:
    """The classes of the devices of a partition, in the order of shares, then of devices.

    Args:
        partition: what is divided over which devices.
        odd: what is unlike other devices about some, by number.
        exact: let every device be a class of its own.
    """
    odd = odd or {}
    first = {
        d: (i, odd.get(d), d if exact else -1)
        for i, share in enumerate(partition.shares)
        for d in share.devices
    }
    axes, steps = exchanges(partition)
    groups = {axis: partition.plan.groups(axis) for axis in axes | {a for a, _ in steps}}
    of = _numbered(first)
    while True:
        seen = _seen(of, groups, axes, steps)
        finer = _numbered({d: (of[d], seen[d]) for d in of})
        if len(set(finer.values())) == len(set(of.values())):
            break
        of = finer
    return _named(partition, of, groups, axes, steps)


def exchanges(partition: Partition) -> tuple[set[str], set[tuple[str, int]]]:
    """Axes of collectives, and (axis, steps along it) of messages, in any share."""
    axes, steps = set(), set()
    for share in partition.shares:
        for _, op in share.graph.ops():
            what = op.collective
            if what is None or what.devices < 2:
                continue
            if what.pattern in MESSAGES:
                steps.add((what.axis, what.peer))
            else:
                axes.add(what.axis)
    return axes, steps


Groups = Mapping[str, tuple[tuple[int, ...], ...]]


def _seen(
    of: Key, groups: Groups, axes: Collection[str], steps: Collection[tuple[str, int]]
) -> dict[int, tuple[object, ...]]:
    """What each device sees: classes of its groups, and of those that it messages."""
    seen: dict[int, list[object]] = defaultdict(list)
    for axis in sorted(axes):
        for group in groups[axis]:
            members = tuple(sorted(of[d] for d in group))
            for d in group:
                seen[d].append(members)
    for axis, step in sorted(steps):
        for group in groups[axis]:
            for i, d in enumerate(group):
                seen[d].append(of[group[(i + step) % len(group)]])
    return {d: tuple(seen[d]) for d in of}


def _numbered(keys: Mapping[int, object]) -> Key:
    """Numbers of classes by device, in order of their first device."""
    number: dict[object, int] = {}
    return {d: number.setdefault(keys[d], len(number)) for d in sorted(keys)}


def _named(
    partition: Partition,
    of: Key,
    groups: Groups,
    axes: Collection[str],
    steps: Collection[tuple[str, int]],
) -> tuple[DeviceClass, ...]:
    shares = {d: i for i, share in enumerate(partition.shares) for d in share.devices}
    devices: dict[int, list[int]] = defaultdict(list)
    for d in sorted(of):
        devices[of[d]].append(d)
    if len(devices) == 1:
        return (DeviceClass("", 0, tuple(of)),)
    names = {n: _name(partition.shares[shares[ds[0]]], ds) for n, ds in devices.items()}
    if len(set(names.values())) != len(names):
        raise LawViolation(f"two classes of devices have one name: {sorted(names.values())}")
    members: dict[int, dict[str, tuple[str, ...]]] = defaultdict(dict)
    peers: dict[int, dict[tuple[str, int], str]] = defaultdict(dict)
    for axis in axes:
        for group in groups[axis]:
            together = tuple(names[n] for n in sorted({of[d] for d in group}))
            for d in group:
                members[of[d]].setdefault(axis, together)
    for axis, step in steps:
        for group in groups[axis]:
            for i, d in enumerate(group):
                peers[of[d]][axis, step] = names[of[group[(i + step) % len(group)]]]
    found: list[DeviceClass] = []
    before = 0
    for n, ds in sorted(devices.items(), key=lambda one: (shares[one[1][0]], one[1][0])):
        met = Meetings(names[n], members[n], peers[n], len(ds), before, len(of))
        found.append(DeviceClass(names[n], shares[ds[0]], tuple(ds), met))
        before += len(ds)
    return tuple(found)


def _name(share: Share, devices: Sequence[int]) -> str:
    """The share's name where all its devices are alike; else the number of the first is added."""
    if len(devices) == len(share.devices) and share.name:
        return share.name
    return f"{share.name}.{devices[0]}" if share.name else f"device{devices[0]}"
