"""A systolic array: rows x cols multiply-accumulate cells, operands skewed in from two edges."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from archsim.components._line_cost import line_cost
from archsim.components.base import EngineSpec, MacEngine
from archsim.core.spec import Fraction, PositiveInt, problem
from archsim.energy.pe_arrays import DesignName, design
from archsim.ir.op import Kind
from archsim.ir.target import Cost, LineTiles, Tiles
from archsim.ir.tensor import DTYPES, DType

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable

Ints = NDArray[np.int64]


class SystolicArray(MacEngine):
    """Alike systolic arrays that share the folds of a tile.

    A *fold* is one filling of the array. With R rows, C columns and a stream of T:

    - `fill: exposed`, weight- or input-stationary: R cycles to load the stationary operand, then
      T + R + C - 2 until the last partial sum is out: 2R + C + T - 2.
    - `fill: exposed`, output-stationary: R + C + T - 2, the results leave with the next skew.
    - `row_broadcast`, one-dimensional convolutions, a line a row: see `_line_cost`.
    - `fill: overlapped`: the next stationary tile loads into shadow registers behind the running
      one, so a fold occupies max(T, R); skew and drain delay its result, not the array.

    Source of the exposed forms: SCALE-Sim (Samajdar et al., ISPASS 2020), section on runtime.
    """

    kind = "systolic_array"
    KINDS = frozenset({Kind.GEMM, Kind.CONV})
    ACTIONS = (("mac", "*"), ("sram", "read"), ("sram", "write"))
    KNOBS: ClassVar = {"busy": {"count": 2}}

    class Spec(EngineSpec):
        """Cells, instances and how folds follow each other."""

        kind: Literal["systolic_array"] = "systolic_array"

        rows: PositiveInt
        """Rows of cells of one array."""

        cols: PositiveInt
        """Columns of cells of one array."""

        count: PositiveInt = 1
        """Alike arrays; the folds of a tile are dealt to them."""

        rates: dict[str, PositiveInt] = {"bf16": 1, "fp16": 1, "int8": 1}
        """Stream elements a cell row takes per cycle, by dtype; a dtype not listed cannot run."""

        sustained: Fraction = 1.0
        """Share of those rates that it keeps: a clock under load that is lower, and what the model
        does not see. Folds take so many more cycles."""

        fill: Literal["exposed", "overlapped"] = "overlapped"
        """Whether the next stationary tile loads behind the running one or not."""

        skew: Literal["array", "tile"] = "array"
        """Whether fill and drain cross the whole array or only the part a fold uses."""

        pe: DesignName | None = Field(default=None, examples=["opt1-os-systolic-16x16-322mhz"])
        """A synthesised array whose cells it is made of: their area, and the fastest clock. They
        multiply int8, so `rates` names that alone. Default: cells of the energy table's area."""

        skips: Literal["none", "weights", "activations", "both"] | None = None
        """Which zeros it leaves out, in cycles and energy: weights that are not stored, and
        activations. Default: none."""

        dequantises: bool | tuple[str, ...] | None = None
        """Forms of storage that it brings by itself, for nothing, to the type that MACs run at:
        all, or a list of names. Others pass a vector unit, tile by tile: a multiply an element."""

        flush_cycles: Annotated[int, Field(ge=0)] = 0
        """Cycles from the last multiplication of a fold until the next one starts; of exposed folds
        only."""

        row_broadcast: bool = False
        """Whether a link along each row brings one weight to all of its cells, beside the systolic
        links: what the dataflow of that name needs."""

        @model_validator(mode="after")
        def _flushed(self) -> Self:
            if self.pe and set(self.rates) != {"int8"}:
                message = f"cells of {self.pe} multiply int8, and rates are {', '.join(self.rates)}"
                raise problem("E202", message, "rates: {int8: 1}")
            if self.flush_cycles and self.fill == "overlapped":
                raise problem("E202", "flush_cycles is of exposed folds", "set fill: exposed")
            return self

    spec: Spec

    def __init__(self, name: str, spec: Any, clock_hz: float) -> None:
        """An array; its cells must be as fast as its clock.

        Raises:
            InputError: for a design that is unknown, or too slow.
        """
        super().__init__(name, spec, clock_hz)
        self.pe = design(spec.pe, clock_hz, name, serial=False) if spec.pe else None

    @classmethod
    def example(cls) -> dict[str, Any]:
        """An 8 x 8 array."""
        return {"kind": cls.kind, "rows": 8, "cols": 8, "clock": "core"}

    @property
    def grid(self) -> tuple[int, int, int]:
        """Rows, columns and arrays."""
        return self.spec.rows, self.spec.cols, self.spec.count

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Those that have a rate."""
        return tuple(self.spec.rates)

    @property
    def broadcasts(self) -> bool:
        """Whether its rows have weight links."""
        return self.spec.row_broadcast

    def unpacks(self, weight: DType) -> bool:
        """Forms that it has a rate for, those it says it dequantises, and other names of a word."""
        own = self.spec.dequantises
        math = DTYPES.get(self.rated(weight), weight)
        same = (math.bits, weight.group) == (weight.bits, 0)
        named = weight.name in own if isinstance(own, tuple) else own is True
        return named or same or weight.name == self.rated(weight)

    def macs_per_s(self, dtype: str) -> float:
        """Peak multiply-accumulates per second at a dtype; 0 when it has no rate."""
        s = self.spec
        return s.rows * s.cols * s.count * s.rates.get(dtype, 0) * self.clock_hz

    @property
    def cost_content(self) -> Hashable:
        """Its cells and how folds follow each other; cycles do not depend on their length."""
        return str(self.spec.model_dump_json(exclude={"clock"}))

    def cost(self, tiles: Tiles, dtype: str) -> Cost:
        """Cycles, lag and element counts of tiles; one array element a tile.

        Folds that do not depend on each other are dealt to the instances, or, where that is
        faster, each fold's stream is split over them. `resumed` tiles of a single fold go on
        streaming: no new fill.
        """
        s, stationary = self.spec, tiles.stationary
        if isinstance(tiles, LineTiles):
            flush = s.flush_cycles if s.fill == "exposed" else None
            lines = line_cost(tiles, self.grid, s.rates[dtype], flush)
            return replace(lines, cycles=self._slowed(lines.cycles))
        rows, cols, stream = {
            "weight": (tiles.k, tiles.n, tiles.m),
            "input": (tiles.k, tiles.m, tiles.n),
            "output": (tiles.m, tiles.n, tiles.k),
        }[stationary]
        row_folds, col_folds = -(-rows // s.rows), -(-cols // s.cols)
        free = tiles.b * col_folds * (row_folds if stationary == "output" else 1)
        bound = np.ones_like(free) if stationary == "output" else row_folds
        high = np.full_like(rows, s.rows) if s.skew == "array" else np.minimum(rows, s.rows)
        wide = np.full_like(cols, s.cols) if s.skew == "array" else np.minimum(cols, s.cols)
        beats = -(-stream // s.rates[dtype])

        dealt = -(-free // s.count) * bound
        resumed = tiles.resumed & (dealt == 1)
        cycles, lag = self._folds(stationary, dealt, beats, high, wide, tiles.first, resumed)
        copies = np.ones_like(free)
        if s.count > 1 and stationary != "output":
            part = -(-beats // s.count)
            again = tiles.resumed & (free * bound == 1)
            split, _ = self._folds(stationary, free * bound, part, high, wide, tiles.first, again)
            copies = np.where(split < cycles, s.count, 1)
            resumed = np.where(split < cycles, again, resumed)
            cycles = np.minimum(split, cycles)
        cycles = self._slowed(cycles)
        return self._counts(tiles, cycles, lag, row_folds, col_folds, copies, resumed)

    def _slowed(self, cycles: Ints) -> Ints:
        """Cycles at the share of the rate that is kept."""
        share = self.spec.sustained
        return cycles if share == 1 else np.ceil(cycles / share).astype(np.int64)

    def _folds(
        self,
        stationary: str,
        folds: Ints,
        beats: Ints,
        high: Ints,
        wide: Ints,
        first: NDArray[np.bool_],
        resumed: NDArray[np.bool_],
    ) -> tuple[Ints, Ints]:
        """Cycles that folds in sequence occupy an array, and the lag of the last result."""
        loads = stationary != "output"
        if self.spec.fill == "exposed":
            fold = (2 if loads else 1) * high + wide + beats - 2 + self.spec.flush_cycles
            whole = folds * fold
            return np.where(resumed, beats, whole), np.zeros_like(folds)
        lag = high + wide - 2 + (0 if loads else high)
        # nothing runs before the first tile of an op: its stationary operand loads in the open
        opening = np.where(first & loads, high, 0)
        whole = folds * np.maximum(beats, high) + opening
        return np.where(resumed, beats, whole), lag

    def _counts(
        self,
        t: Tiles,
        cycles: Ints,
        lag: Ints,
        row_folds: Ints,
        col_folds: Ints,
        copies: Ints,
        resumed: NDArray[np.bool_],
    ) -> Cost:
        """Element accesses of the on-chip memory: what streams is read once a fold it passes."""
        inputs, weights, outs = t.b * t.m * t.k, t.b * t.k * t.n, t.b * t.m * t.n
        fresh = np.where(resumed, 0, 1)
        if t.stationary == "weight":
            reads, loads, writes = inputs * col_folds, weights * copies * fresh, outs * row_folds
        elif t.stationary == "input":
            reads, loads, writes = inputs * copies * fresh, weights * col_folds, outs * row_folds
        else:
            reads, loads = inputs * col_folds, weights * row_folds
            writes = np.where(resumed, 0, outs)
        return Cost(
            cycles=cycles,
            lag_cycles=lag,
            folds=t.b * row_folds * col_folds * fresh,
            in_reads=reads,
            weight_reads=loads,
            out_writes=writes,
            out_reads=np.maximum(writes - outs * t.opens, 0),
        )

    def area_mm2(self, table: EnergyTable) -> float:
        """Cells only, as large as their largest format: control and skew are within its figure."""
        s = self.spec
        each = self.pe.area_at(table.node_nm) if self.pe else table.cell_mm2(s.rates)
        return s.rows * s.cols * s.count * each

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power of the cells' area."""
        return self.area_mm2(table) * table.leakage("logic", "mm2").w
