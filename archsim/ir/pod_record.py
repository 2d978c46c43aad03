"""What a run over several devices leaves behind beside its rows: shares, and what was exchanged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from archsim.ir.graph import Block, OpGraph


@dataclass(frozen=True)
class ShareRecord:
    """What alike devices ran.

    Attributes:
        name: empty where all devices are alike.
        devices: how many.
        graph: of one device and one microbatch.
        runs: times that a block of it was run through, by name of the block.
        held_bytes: behind the chip of one device, by class of tensors.
    """

    name: str
    devices: int
    graph: OpGraph
    runs: Mapping[str, int]
    held_bytes: Mapping[str, int]

    def times(self, block: Block) -> int:
        """Times that an op of a block ran on all of these devices."""
        return self.devices * self.runs[block.name] * block.count


@dataclass(frozen=True, slots=True)
class CollectiveRecord:
    """One exchange of every device of a share.

    Attributes:
        path: of its stage.
        pattern, axis, size_bytes: what is exchanged, see `ir.collective`.
        group: devices in a group.
        devices: that take part, in all groups.
        algorithm, reason: how, and why so.
        repeats: times that each of them does so.
        time_ps: of one.
        latency_ps: of it, what a message without bytes would take: launch, steps, ways.
        transfer_ps: of it, what the bytes take: on the fullest links.
        least_ps: least bytes of any algorithm, at the bandwidth of a device.
        sent_bytes: of all devices of the axis in one; of a message, those of the share.
        least_bytes: that they send at least in one.
    """

    path: str
    pattern: str
    axis: str
    size_bytes: int
    group: int
    devices: int
    algorithm: str
    reason: str
    repeats: int
    time_ps: int
    latency_ps: int
    transfer_ps: int
    least_ps: int
    sent_bytes: int
    least_bytes: int


@dataclass(frozen=True)
class PodRecord:
    """All devices of a run.

    Attributes:
        network: name of the network between them.
        kind: of its topology.
        devices: all of them.
        plan: the parallel plan with nothing left open, as data.
        groups: groups of each axis that divides anything: (how many, of how many devices).
        notes: code and text of what a user should know of the plan.
        shares: in the order of the pipeline.
        collectives: in the order of stages.
        links: bytes a second of all links together, by the key that their bytes count under.
        busiest_ps: that the bytes of the link with most work take.
        bubble_ps: that all devices of each share stand still because of others; empty where
            nothing ran through time.
    """

    network: str
    kind: str
    devices: int
    plan: Mapping[str, Any]
    groups: Mapping[str, tuple[int, int]]
    notes: tuple[tuple[str, str], ...]
    shares: tuple[ShareRecord, ...]
    collectives: tuple[CollectiveRecord, ...]
    links: Mapping[str, float]
    busiest_ps: int = 0
    bubble_ps: tuple[int, ...] = ()

    def exchange(self, path: str) -> CollectiveRecord | None:
        """The exchange that a stage is, by the path that reports give it."""
        return self._by_path.get(path)

    @cached_property
    def _by_path(self) -> Mapping[str, CollectiveRecord]:
        return {one.path: one for one in self.collectives}
