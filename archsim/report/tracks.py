"""The tracks of a timeline: devices, in them engines, memories and links, in these the units.

One device stands for all that are alike; where devices differ, each kind of them has its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from archsim.report.account import CLASS
from archsim.report.moments import kind_of
from archsim.report.timeline import Timeline

ENGINE = 4  # role of units that compute, or that exchange between devices
ORDER = "sequencing"  # units that order the steps of engines, memories and links


@dataclass(frozen=True)
class Group:
    """Tracks under one heading: `units` are indices into `Timeline.units`."""

    name: str
    memory: str | None  # whose counters stand here too
    units: tuple[int, ...]


@dataclass(frozen=True)
class Device:
    """The tracks of one device, from top to bottom."""

    name: str
    groups: tuple[Group, ...]


def devices(timeline: Timeline) -> tuple[Device, ...]:
    """Each kind of device, in the order of the run; the memories' counters are with the first."""
    pod, run = timeline.run.pod, timeline.run
    if pod is None:
        return (Device(timeline.title, _groups(timeline, timeline.order, counters=True)),)
    found = []
    for i, share in enumerate(pod.shares):
        own = [u for u in timeline.order if kind_of(timeline.units[u].name) == share.name]
        alike = f"one of {share.devices} alike devices" if share.devices > 1 else "one device"
        kind = f"{share.name}, {alike}" if share.name else alike
        groups = _groups(timeline, own, counters=i == 0)
        found.append(Device(f"{run.machine.name} x {run.graph.name}: {kind}", groups))
    return tuple(found)


def _groups(timeline: Timeline, units: list[int], *, counters: bool) -> tuple[Group, ...]:
    """Engines first, then memories from the chip outwards, links, and what orders them all."""
    run = timeline.run
    memories = [run.machine.sram, *(tier.name for tier in run.memory.tiers)]
    network = run.pod.network if run.pod else None
    heads: dict[str, list[int]] = {"engines": []}
    heads |= {f"memory {memory}": [] for memory in memories}
    for u in units:
        unit = timeline.units[u]
        port = (unit.timeline or "").partition(CLASS)[0]
        if port in memories:
            head = f"memory {port}"
        elif network and (port == network or unit.name.startswith(f"{network}.")):
            head = f"link {network}"
        elif port:
            head = port
        else:
            head = "engines" if unit.role == ENGINE else ORDER
        heads.setdefault(head, []).append(u)
    heads[ORDER] = heads.pop(ORDER, [])
    of = {f"memory {memory}": memory for memory in memories} if counters else {}
    return tuple(
        Group(head, of.get(head), tuple(own)) for head, own in heads.items() if own or head in of
    )
