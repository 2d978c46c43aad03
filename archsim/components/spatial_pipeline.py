"""A spatial pipeline: compute units and memory units joined by FIFOs, ops side by side on them.

What a unit costs is here; which op gets which units, and the tiles between them, is not.
"""

from __future__ import annotations

from fractions import Fraction as Ratio
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from archsim.components._lanes import lane_cycles, tile_cycles
from archsim.components.base import EngineSpec, MacEngine, VectorEngine
from archsim.core.spec import PositiveInt, Seconds, problem
from archsim.ir.op import Kind, Op
from archsim.ir.target import Cost, Tiles

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable

Ints = NDArray[np.int64]


class SpatialPipeline(MacEngine, VectorEngine):
    """A fabric whose units are given to ops, so that a chain of ops runs as one pipeline.

    A compute unit is rows x cols multiply-accumulate cells, or `lanes` lanes of other arithmetic.
    Cells hold a stationary tile and the third rank streams past, one beat a cycle; the next tile
    loads behind the running one, so that a *fold* occupies a unit max(T, rows) cycles for a stream
    of T. Every fold may go to a unit of its own: partial sums of a reduction that is cut over units
    are added on their way through the network.
    """

    kind = "spatial_pipeline"
    KINDS = frozenset({Kind.GEMM, Kind.CONV, Kind.VECTOR, Kind.GATHER, Kind.MOVE, Kind.STREAM})
    ACTIONS = (
        *(("mac", "*"), ("vector", "*"), ("sram", "read"), ("sram", "write")),
        *(("register", "read"), ("register", "write")),  # short FIFOs of streams
    )
    KNOBS: ClassVar = {"busy": {"compute_units": 2}}

    class Spec(EngineSpec):
        """Units, what one of them does a cycle, and who launches what runs on them."""

        kind: Literal["spatial_pipeline"] = "spatial_pipeline"

        compute_units: PositiveInt
        """Units that host nodes, or pieces of ops."""

        memory_units: PositiveInt
        """Units of on-chip memory that hold stage buffers; together they are the sram."""

        rows: PositiveInt = 1
        """Rows of multiply-accumulate cells of a compute unit."""

        cols: PositiveInt = 1
        """Columns of cells of a compute unit."""

        lanes: PositiveInt = 1
        """Points of other primitives that a compute unit takes per cycle."""

        rates: dict[str, PositiveInt] = {"bf16": 1, "fp16": 1, "int8": 1}
        """Multiply-accumulates a cell performs per cycle, by dtype; one not listed cannot run."""

        cycles_per_primitive: dict[
            Literal["add", "mul", "max", "exp", "div", "rsqrt", "gather"], PositiveInt
        ] = {}
        """Cycles a lane spends on a primitive; 1 where it is not listed."""

        latency_cycles: int = Field(default=8, ge=0)
        """Depth of a compute unit's vector pipeline: delays a result, not the unit."""

        orchestration: Literal["host", "hardware"] = "host"
        """Who launches the next kernel: software on the host, or the chip itself."""

        host_launch: Seconds = 0.0
        """Time to launch a kernel from the host."""

        hardware_launch: Seconds = 0.0
        """Time to launch a kernel that is in a schedule the chip works through by itself."""

        @model_validator(mode="after")
        def _launched_either_way(self) -> Self:
            if self.launch is not None:
                raise problem(
                    "E202",
                    "a spatial_pipeline is launched by the host or by itself: launch has no effect",
                    "host_launch, hardware_launch and orchestration",
                )
            return self

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Sixteen units of 8 x 4 cells or 8 lanes."""
        return {
            "kind": cls.kind,
            "compute_units": 16,
            "memory_units": 16,
            "rows": 8,
            "cols": 4,
            "lanes": 8,
            "clock": "core",
        }

    @property
    def grid(self) -> tuple[int, int, int]:
        """Rows, columns and compute units."""
        return self.spec.rows, self.spec.cols, self.spec.compute_units

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Those that have a rate."""
        return tuple(self.spec.rates)

    @property
    def launch_s(self) -> float:  # never None: what runs here is launched
        """Seconds to launch a kernel, as this machine's orchestration does."""
        s = self.spec
        return s.host_launch if s.orchestration == "host" else s.hardware_launch

    def part(self, units: int) -> SpatialPipeline:
        """So many of the compute units: what an op that they were given to sees."""
        spec = self.spec.model_copy(update={"compute_units": units})
        return SpatialPipeline(self.name, spec, self.clock_hz)

    def macs_per_s(self, dtype: str) -> float:
        """Peak multiply-accumulates per second at a dtype; 0 when it has no rate."""
        s = self.spec
        return s.rows * s.cols * s.compute_units * s.rates.get(dtype, 0) * self.clock_hz

    def cost(self, tiles: Tiles, dtype: str) -> Cost:
        """Cycles, lag and element counts of tiles; one array element a tile.

        Folds are dealt to the units. Where there are fewer folds than units the stream is cut too,
        and each piece has its own copy of the stationary tile.
        """
        s, stationary = self.spec, tiles.stationary
        high, wide, stream = {
            "weight": (tiles.k, tiles.n, tiles.m),
            "input": (tiles.k, tiles.m, tiles.n),
            "output": (tiles.m, tiles.n, tiles.k),
        }[stationary]
        down, across = -(-high // s.rows), -(-wide // s.cols)
        folds = tiles.b * down * across
        beats = -(-stream // s.rates[dtype])
        least = np.zeros_like(beats) + s.rows
        copies = np.maximum(1, np.minimum(s.compute_units // folds, -(-beats // least)))
        each = np.maximum(-(-beats // copies), least)
        cycles = -(-folds * copies // s.compute_units) * each
        skew = np.minimum(high, s.rows) + np.minimum(wide, s.cols) - 2
        opening = np.where(tiles.first & (stationary != "output"), s.rows, 0)
        inputs, weights = tiles.b * tiles.m * tiles.k, tiles.b * tiles.k * tiles.n
        outs = tiles.b * tiles.m * tiles.n
        reads, loads, writes = {
            "weight": (inputs * across, weights * copies, outs),
            "input": (inputs * copies, weights * across, outs),
            "output": (inputs * across, weights * down, outs * copies),
        }[stationary]
        return Cost(
            cycles=cycles + opening,
            lag_cycles=skew,
            folds=folds,
            in_reads=reads,
            weight_reads=loads,
            out_writes=writes,
            out_reads=np.maximum(writes - outs * tiles.opens, 0),
        )

    @property
    def lag_cycles(self) -> int:
        """Depth of a unit's vector pipeline."""
        return self.spec.latency_cycles

    def lane_cycles(self, op: Op) -> tuple[Ratio, Ratio]:
        """Lane-cycles per point and per row of an op."""
        return lane_cycles(self.spec.cycles_per_primitive, op)

    def cycles(self, point: Ratio, row: Ratio, points: Ints, rows: Ints) -> Ints:
        """Cycles of tiles of so many points and rows; one array element a tile."""
        return tile_cycles(self.spec.lanes * self.spec.compute_units, point, row, points, rows)

    def area_mm2(self, table: EnergyTable) -> float:
        """Cells and lanes of the compute units; memory units are the sram's."""
        s = self.spec
        cells = s.rows * s.cols * table.area("mac", "cell").mm2
        return s.compute_units * (cells + s.lanes * table.area("vector", "lane").mm2)

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power of that area."""
        return self.area_mm2(table) * table.leakage("logic", "mm2").w
