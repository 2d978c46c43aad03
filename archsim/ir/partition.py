"""A partition: what each class of alike devices runs, and in which order, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archsim.ir.graph import OpGraph
from archsim.ir.parallel import ParallelPlan


@dataclass(frozen=True, slots=True)
class Turn:
    """Parts of a share's graph that run one behind the other, so many times over."""

    times: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Share:
    """What alike devices run: all of one pipeline stage, unless something tells them apart.

    Attributes:
        name: in reports; empty where all devices are alike.
        devices: numbers of the devices.
        graph: of one microbatch on one device, collectives included; its MACs are the device's own.
        parts: names of blocks by part (`forward`, `backward`, `update`), each in the graph's order.
        turns: order of the parts; the whole graph once where empty.
        held: times that the graph's KV cache (and activations kept for a backward pass) are held at
            once: microbatches in flight.
    """

    name: str
    devices: tuple[int, ...]
    graph: OpGraph
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    turns: tuple[Turn, ...] = ()
    held: int = 1


@dataclass(frozen=True)
class Partition:
    """A graph divided over devices.

    Attributes:
        plan: with nothing left open.
        shares: in the order of the pipeline; every device is in exactly one.
        whole: the graph that was divided.
        notes: what a user should know, such as replicated KV heads: code and text.
    """

    plan: ParallelPlan
    shares: tuple[Share, ...]
    whole: OpGraph
    notes: tuple[tuple[str, str], ...] = ()
