"""What a mapping may know of a machine: sizes, rates and one cost function, never a component."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsim.ir.line import Line

if TYPE_CHECKING:
    from archsim.ir.meter import Meter

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tiles:
    """Shapes of tiles, one array element a tile, as an engine is asked for their cost.

    `first` marks the first tile of an op (nothing is loaded yet), `resumed` a tile that goes on
    streaming against the stationary operand of the tile before, `opens` and `closes` the first and
    last tile of a reduction.
    """

    stationary: str  # weight | output | input | line
    b: Ints
    m: Ints
    n: Ints
    k: Ints
    first: NDArray[np.bool_]
    resumed: NDArray[np.bool_]
    opens: NDArray[np.bool_]
    closes: NDArray[np.bool_]


@dataclass(frozen=True)
class LineTiles(Tiles):
    """Tiles of one-dimensional convolutions, a line a row of cells."""

    line: Line

    @classmethod
    def of(cls, tiles: Tiles, line: Line) -> LineTiles:
        """Tiles whose lines are known."""
        return cls(**vars(tiles), line=line)


@dataclass(frozen=True)
class Cost:
    """What tiles cost, one array element a tile; counts are elements, cycles of the engine.

    `crossing` are bytes over the network on the chip, by the flow that they are of, where one is
    told from others.
    """

    cycles: Ints
    lag_cycles: Ints
    folds: Ints
    in_reads: Ints
    weight_reads: Ints
    out_writes: Ints
    out_reads: Ints
    crossing: Mapping[str, Ints] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class Target:
    """One engine as a mapping sees it.

    Attributes:
        engine: name in the machine description.
        rows, cols, count: spatial extents, and alike instances.
        clock_hz: clock of the engine.
        buffer_bytes: on-chip bytes that this op's tiles may occupy.
        dram_bytes_per_s: bandwidth behind the buffer.
        dram_latency_s: time until the first byte of a transfer.
        depth: tiles of an operand on chip at once, where there are several.
        cost: pure function from tiles to cost (MAC engines).
        cost_key: equal for targets whose `cost` is; None where that is not known.
        resident: tensors that already lie on chip: they move no bytes and need no buffer.
        vector_cycles: pure function (points, rows) -> cycles for fused or vector ops.
        vector_clock_hz: clock of the engine that `vector_cycles` counts in.
        whole_rows: a fused reduction follows: tiles must hold whole output rows.
        objective: latency | compute | energy | edp | traffic; what the choice of tiles minimises
            first.
        fused: vector ops take the output tiles on, so they pass through a buffer.
        fused_bits: bits beside each output element that fused ops read from and write to DRAM.
        weights_first: all weights have room on chip at once, and come in once, before the rest.
        meter: what counts take in time and energy, for a search that weighs them.
    """

    engine: str
    rows: int
    cols: int
    count: int
    clock_hz: float
    buffer_bytes: int
    dram_bytes_per_s: float
    dram_latency_s: float = 0.0
    depth: int = 2
    cost: Callable[[Tiles], Cost] | None = None
    resident: frozenset[str] = frozenset()
    vector_cycles: Callable[[Ints, Ints], Ints] | None = None
    vector_clock_hz: float = 1e9
    whole_rows: bool = False
    objective: str = "latency"
    fused: bool = False
    fused_bits: int = 0
    whole_k: bool = False
    operand_bytes: Mapping[str, int] = field(default_factory=dict)
    weights_first: bool = False
    meter: Meter | None = None
    cost_key: Hashable | None = None
