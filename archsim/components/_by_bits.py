"""What engines have in common whose cycles follow from the bits of a weight, of any width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from archsim.components.base import EngineSpec, MacEngine
from archsim.core.spec import Bytes, PositiveInt, problem
from archsim.ir.mapping import Loop
from archsim.ir.op import Kind
from archsim.ir.target import Cost, Tiles
from archsim.ir.tensor import DTYPES, DType

Ints = NDArray[np.int64]
Blocks = tuple[Ints, Ints, Ints]  # cycles, and blocks of outputs along channels and along tokens


class ByBitsSpec(EngineSpec):
    """Fields of such an engine: its grid of outputs, and what it multiplies."""

    rows: PositiveInt
    """Units along output channels."""

    cols: PositiveInt
    """Units along tokens."""

    count: PositiveInt = 1
    """Alike arrays; blocks of rows x columns outputs are dealt to them."""

    max_bits: int = Field(default=8, ge=1, le=32)
    """Widest weight that it multiplies."""

    types: tuple[str, ...] = ("bf16", "fp16", "int8")
    """Element types that it computes in; weights narrower than these come in any form."""

    operands: dict[str, Bytes] = {}
    """Room for tiles of `in` or `weight`, where its part of the on-chip memory is apart. Default:
    all operands share what there is."""

    skips: Literal["none", "weights", "activations", "both"] | None = None
    """Which zeros it leaves out, in cycles and energy: weights that are not stored, activations.
    Default: none."""

    pipeline_cycles: int = Field(default=0, ge=0)
    """Depth of a unit: delays a result, not the array."""

    @field_validator("types")
    @classmethod
    def _known(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in types if name not in DTYPES]
        if unknown or not types:
            raise problem("E108", f"types: {', '.join(unknown) or 'none'} is no element type")
        return types

    @field_validator("operands")
    @classmethod
    def _operands(cls, operands: dict[str, int]) -> dict[str, int]:
        unknown = sorted(set(operands) - {"in", "weight"})
        if unknown:
            raise problem("E108", f"operands: {', '.join(unknown)} is not one of in, weight")
        return operands


class ByBits(MacEngine):
    """An engine that takes weights by their bits, whose outputs stay in place over a tile."""

    KINDS = frozenset({Kind.GEMM, Kind.CONV})
    KNOBS: ClassVar = {"busy": {"count": 2}}

    spec: Any

    @property
    def grid(self) -> tuple[int, int, int]:
        """Units along tokens, along output channels, and arrays: m, n as outputs stay in place."""
        return self.spec.cols, self.spec.rows, self.spec.count

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Types that it computes in."""
        types: tuple[str, ...] = self.spec.types
        return types

    @property
    def limits(self) -> dict[str, Any]:
        """Room of each operand, where that is apart."""
        return {"operand_bytes": self.spec.operands}

    def rated(self, weight: DType) -> str:
        """The type that MACs run at, whatever the form of a weight."""
        return weight.computes_as

    def takes(self, weight: DType) -> bool:
        """Types that it computes in, integers, and any form that is narrower than those types.

        None is wider than its units.
        """
        whole = weight.math is None and weight.name.startswith("int")
        known = whole or weight.computes_as in self.spec.types
        narrow = weight.bits < max(DTYPES[name].bits for name in self.spec.types)
        return (known or narrow) and weight.bits <= self.spec.max_bits

    def macs_per_s(self, dtype: str) -> float:
        """Peak multiply-accumulates per second by weights of a named type; 0 for one it refuses."""
        return self.peak(DTYPES[dtype]) if dtype in DTYPES else 0.0

    def cost(self, tiles: Tiles, dtype: str) -> Cost:
        """Cycles and element counts of tiles by weights of a named type."""
        return self.cost_of(tiles, DTYPES[dtype])

    def cost_of(self, tiles: Tiles, weight: DType) -> Cost:
        """Cycles and element counts of tiles; one array element a tile.

        A row of inputs is read once for all rows of units and once a block of output channels;
        weights likewise.
        """
        size = {"b": tiles.b, "m": tiles.m, "n": tiles.n, "k": tiles.k}
        cycles, high, wide = self.blocks(size, weight)
        outs = tiles.b * tiles.m * tiles.n
        return Cost(
            cycles=cycles,
            lag_cycles=np.full_like(cycles, self.spec.pipeline_cycles),
            folds=tiles.b * high * wide,
            in_reads=tiles.b * tiles.m * tiles.k * high,
            weight_reads=tiles.b * tiles.k * tiles.n * wide,
            out_writes=outs,
            out_reads=outs * ~tiles.opens,
        )

    def blocks(self, size: Mapping[str, Ints], weight: DType) -> Blocks:
        """Cycles of tiles of b x m x n x k, and their blocks of outputs."""
        raise NotImplementedError

    def block_cycles(self, size: Mapping[str, int], weight: DType) -> tuple[int, int]:
        """Cycles of one tile, and its blocks along output channels."""
        one = {rank: np.array([size[rank]], dtype=np.int64) for rank in "bmnk"}
        cycles, high, _ = self.blocks(one, weight)
        return int(cycles[0]), int(high[0])

    def sides(self, size: Mapping[str, int], weight: DType) -> tuple[int, int]:
        """Rows and columns of its units, as a tile takes them."""
        return self.spec.rows, self.spec.cols

    def lies(self, tile: Mapping[str, int], weight: DType) -> tuple[Loop, ...]:
        """Output channels over rows, tokens over columns, and the reduction that streams."""
        rows, cols = self.sides(tile, weight)
        n, m, k = tile["n"], tile["m"], tile["k"]
        return (
            Loop("n", n, min(n, rows), True, "rows"),
            Loop("m", m, min(m, cols), True, "cols"),
            Loop("k", k, k, False, "stream"),
        )

    def macs(self, size: Mapping[str, int], weight: DType) -> dict[str, int]:
        """MACs of a tile, which cost nothing by themselves: what its units do is priced."""
        return {f"mac.in_pe.{self.rated(weight)}": size["b"] * size["m"] * size["n"] * size["k"]}
