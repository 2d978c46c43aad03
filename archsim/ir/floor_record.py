"""What the network on a chip leaves behind: its flows, its links, and who sits where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """Bytes between two parts of a chip.

    Attributes:
        name: the two parts, and how many receivers get a byte at once where several do.
        bytes_per_s: effective bandwidth; None where no byte passes a link.
        reached: share of the links' bandwidth that routers reach.
        hops: links that a byte passes, on the mean.
        mean_ps, worst_ps: latency of the way.
        share: of a byte that passes each link, [links].
    """

    name: str
    bytes_per_s: float | None
    reached: float
    hops: float
    mean_ps: float
    worst_ps: int
    share: tuple[float, ...]


@dataclass(frozen=True)
class FloorRecord:
    """The network on the chip.

    Attributes:
        name: of the network.
        kind: of its topology.
        place: nodes of each part.
        flows: by the key that their bytes count under.
        ends: names of the two ends of each link, [links].
        bytes_per_s: of each link, [links].
        wires: link whose wire each link uses: itself, or its other direction, [links].
    """

    name: str
    kind: str
    place: Mapping[str, tuple[str, ...]]
    flows: Mapping[str, FlowRecord]
    ends: tuple[tuple[str, str], ...]
    bytes_per_s: tuple[float, ...]
    wires: tuple[int, ...]
