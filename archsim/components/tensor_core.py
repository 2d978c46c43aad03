"""Tensor cores: the matrix units of a GPU, fed by kernels that deal output tiles to its SMs.

Here lives what one tile costs and which tiles a library would choose. Attention kernels have their
own physics in `_gpu_attention`; rows through time are written in `archsim.system`.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from archsim.components._gpu_attention import (
    AttentionKernels,
    Dealing,
    Grid,
    PrefillKernel,
    deal,
    softmax_cycles,
)
from archsim.components._tile_catalogues import CATALOGUES
from archsim.components.base import EngineSpec, KernelEngine
from archsim.core.spec import Fraction, PositiveInt, Seconds
from archsim.core.units import PS_PER_S
from archsim.ir.kernel import TileGrid
from archsim.ir.op import Kind
from archsim.ir.problem import Problem
from archsim.ir.target import Cost, Tiles
from archsim.ir.tensor import DTYPES

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

OUT_BYTES = 2  # of an element that leaves through the epilogue port: kernels write 16 bit


class TensorCore(KernelEngine):
    """Tensor cores of alike SMs, one output tile on each SM over its whole reduction.

    A tile of m x n over k takes the longer of two: its multiply-accumulates at the rate that the
    MMA pipes sustain, and the feed of (m + n) k operands out of the on-chip memory. The trip to
    memory and back at its start, and its results through the epilogue port, are added. Tiles at an
    edge cost as much as full ones. All tiles of a kernel go to the first free SM in launch order.
    """

    kind = "tensor_core"
    KINDS = frozenset({Kind.GEMM, Kind.CONV})
    ACTIONS = (("mac", "*"), ("sram", "read"), ("sram", "write"))
    KNOBS: ClassVar = {"busy": {"count": 2}}

    class Spec(EngineSpec):
        """SMs, their rates, what a kernel pays, and the tiles that kernels exist for."""

        kind: Literal["tensor_core"] = "tensor_core"

        count: PositiveInt
        """SMs."""

        tensor_cores: PositiveInt = 4
        """Tensor cores of one SM."""

        mma: Annotated[str, Field(pattern=r"^[1-9]\d*x[1-9]\d*x[1-9]\d*$")] = "8x4x16"
        """Rows x columns x reduction that one tensor core multiplies and adds in a cycle, at the
        element types of rate 1."""

        rates: dict[str, Annotated[float, Field(gt=0)]] = {"bf16": 1, "fp16": 1}
        """Peak rate by element type, over that of `mma`; a type not listed cannot run."""

        sustained: dict[str, Fraction] = {}
        """Share of the peak rate that kernels reach, by element type: power-limited clock and pipe
        efficiency together. 1 where it is not listed."""

        block_scaled: Fraction = 1.0
        """Share of the sustained rate that is left where weights of the type computed in come in
        blocks with scales of their own: sums are scaled outside the MMA pipes."""

        operand_bytes_per_cycle: Annotated[float, Field(gt=0)] = 64
        """Operand bytes that an SM takes out of the on-chip memory in a cycle."""

        memory_bytes_per_cycle: Annotated[float | None, Field(gt=0)] = None
        """Bytes from memory that an SM draws in a cycle, its loads in flight over their latency:
        too few tiles leave bandwidth unused. Default: as many as come."""

        epilogue_bytes_per_cycle: Annotated[float, Field(gt=0)] = 64
        """Bytes of results that an SM hands over in a cycle."""

        tile_latency: Seconds = 0.0
        """Start of a tile: a trip to memory and back that nothing hides."""

        memory_efficiency: Fraction | None = None
        """Share of the memory's peak bandwidth under a matrix kernel. Default: the memory's own."""

        overlap_norm: Annotated[float, Field(ge=1)] = 5.0
        """p of (compute^p + memory^p)^(1/p): how well a kernel's two sides hide each other."""

        catalogue: Literal["ampere", "hopper"] = "hopper"
        """Tiles that kernels exist for."""

        tiles: tuple[Annotated[str, Field(pattern=r"^[1-9]\d*x[1-9]\d*$")], ...] = ()
        """Tiles, such as `256x128`, in place of the catalogue's."""

        split_k: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (
            *(1, 2, 3, 4, 5, 6, 8, 12, 16),
        )
        """Parts that kernels may cut the reduction into."""

        dealing: Dealing = "first_free"
        """How tiles come to SMs: as the hardware does it, or as work that divides evenly, to see
        what the last, half-empty wave costs."""

        split_launch: Seconds = 0.0
        """A second kernel that sums the parts up, beside the time its bytes take."""

        k_step: PositiveInt = 64
        """Reduction length of one step; a tile takes whole steps."""

        exp_per_cycle: Annotated[float, Field(gt=0)] = 16
        """Exponentials that an SM computes in a cycle."""

        fp32_per_cycle: Annotated[float, Field(gt=0)] = 128
        """FP32 operations that an SM computes in a cycle."""

        attention: AttentionKernels = AttentionKernels()
        """Attention kernels."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Four SMs."""
        return {"kind": cls.kind, "count": 4, "clock": "core", "launch": "3 us"}

    @property
    def grid(self) -> tuple[int, int, int]:
        """Rows and columns of the largest tile, and SMs."""
        return *max(self.tiles, key=prod), self.spec.count

    @property
    def tiles(self) -> tuple[tuple[int, int], ...]:
        """Tiles that kernels exist for."""
        given = [tuple(int(x) for x in text.split("x")) for text in self.spec.tiles]
        return tuple((m, n) for m, n in given) or CATALOGUES[self.spec.catalogue]

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Those that have a rate."""
        return tuple(self.spec.rates)

    @property
    def memory_efficiency(self) -> float | None:
        """Share of the peak bandwidth under a matrix kernel."""
        return self.spec.memory_efficiency

    @property
    def macs_per_cycle(self) -> int:
        """Of one SM at the element types of rate 1."""
        return self.spec.tensor_cores * prod(int(x) for x in self.spec.mma.split("x"))

    def macs_per_s(self, dtype: str) -> float:
        """Peak multiply-accumulates per second at a dtype; 0 when it has no rate."""
        rate = self.spec.rates.get(dtype, 0)
        return self.spec.count * self.macs_per_cycle * rate * self.clock_hz

    def sustained(self, dtype: str) -> float:
        """Share of the peak rate that kernels reach at a dtype."""
        return self.spec.sustained.get(dtype, 1.0)

    def softmax_cycles(self, kernel: PrefillKernel) -> float:
        """SM cycles of softmax per score that the MMA does not hide."""
        if kernel.softmax_cycles is not None:
            return kernel.softmax_cycles
        return softmax_cycles(self.spec.exp_per_cycle, self.spec.fp32_per_cycle)

    def tile_s(
        self,
        m: Ints,
        n: Ints,
        k: Ints,
        dtype: str,
        in_bits: float,
        weight_bits: float,
        share: float = 1.0,
    ) -> Floats:
        """Seconds of output tiles of m x n over a reduction of k, one array element a tile.

        Args:
            m: rows of the tiles.
            n: columns of the tiles.
            k: reduction length, taken as it is, in whole steps or not.
            dtype: that it computes in.
            in_bits: of an element of the operand of m rows.
            weight_bits: of an element of the operand of n columns.
            share: of the sustained rate that is reached.
        """
        s = self.spec
        rate = self.macs_per_cycle * s.rates[dtype] * self.sustained(dtype) * share
        feed = k * (m * in_bits + n * weight_bits) / 8 / s.operand_bytes_per_cycle
        epilogue = m * n * OUT_BYTES / s.epilogue_bytes_per_cycle
        cycles = np.maximum(m * n * k / rate, feed) + epilogue
        return np.asarray(cycles / self.clock_hz + s.tile_latency)

    def cost(self, tiles: Tiles, dtype: str) -> Cost:
        """Cycles and operand elements of tiles as an SM runs them, all of a tile on one SM."""
        bits, t = DTYPES[dtype].bits, tiles
        cycles = np.ceil(t.b * self.tile_s(t.m, t.n, t.k, dtype, bits, bits) * self.clock_hz)
        zero = np.zeros_like(t.b)
        return Cost(
            cycles=cycles.astype(np.int64),
            lag_cycles=zero,
            folds=t.b,
            in_reads=t.b * t.m * t.k,
            weight_reads=t.b * t.k * t.n,
            out_writes=t.b * t.m * t.n,
            out_reads=zero,
        )

    def kernel(self, view: Problem, dtype: str, moved_bytes: int, bytes_per_s: float) -> TileGrid:
        """The tile and split of the catalogue with the least time in closed form."""
        s = self.spec
        found = [(m, n, split) for m, n in self.tiles for split in s.split_k]
        m, n, split = (np.array(column, dtype=np.int64) for column in zip(*found, strict=True))
        cases = [np.array([[e.of(rank)] for e in view.cases], dtype=np.int64) for rank in "bmnk"]
        b, rows, cols, depth = cases
        k = -(-depth // (split * s.k_step)) * s.k_step  # (case, candidate)
        share = s.block_scaled if _block_scaled(view, dtype) else 1.0
        tile_s = self.tile_s(m, n, k, dtype, view.bits["in"], view.weight_bits, share)
        tiles = b * -(-rows // m) * -(-cols // n) * split
        waves = -(-tiles.sum(axis=0) // s.count)
        fair = tiles.sum(axis=0) / s.count if s.dealing == "ideal" else waves
        compute_s = fair * (tiles * tile_s).sum(axis=0) / tiles.sum(axis=0)
        outputs = int((b * rows * cols).sum())
        join_s = np.where(split > 1, self._join_s(outputs * split, view.bits["partial"]), 0.0)
        drawn_s = self._drawn_s(moved_bytes * fair / tiles.sum(axis=0))
        memory_s = self._together(drawn_s, moved_bytes / bytes_per_s)
        best = int((self._together(compute_s, memory_s) + join_s).argmin())
        dealt = [
            Grid(int(count), np.array([round(seconds * PS_PER_S)], dtype=np.int64))
            for count, seconds in zip(tiles[:, best], tile_s[:, best], strict=True)
        ]
        compute_ps = deal(dealt, s.count, s.dealing)
        sides_s = np.array([compute_ps / PS_PER_S]), memory_s[[best]]
        return TileGrid(
            m=int(m[best]),
            n=int(n[best]),
            k=int(k[:, best].max()),
            k_step=s.k_step,
            split=int(split[best]),
            tiles=int(tiles[:, best].sum()),
            cores=s.count,
            waves=int(waves[best]),
            compute_ps=compute_ps,
            join_ps=round(float(join_s[best]) * PS_PER_S),
            memory_ps=round(float(memory_s[best]) * PS_PER_S),
            stretch=float(self._together(*sides_s)[0] / np.maximum(*sides_s)[0]),
        )

    def _join_s(self, sums: Ints, bits: int) -> Floats:
        """Seconds in which partial sums are written and read again, and the second kernel's own."""
        rate = self.spec.count * self.spec.operand_bytes_per_cycle * self.clock_hz
        return np.asarray(2 * sums * bits / 8 / rate + self.spec.split_launch)

    def _drawn_s(self, share_bytes: Floats) -> Floats:
        """Seconds in which the busiest SM draws its share of the operands from memory."""
        rate = self.spec.memory_bytes_per_cycle
        if rate is None:
            return np.zeros_like(share_bytes)
        return np.asarray(share_bytes / (rate * self.clock_hz))

    def _together(self, one_s: Floats, other_s: Floats | float) -> Floats:
        """Seconds of two sides of a kernel, neither wholly hidden behind the other."""
        p, longest = self.spec.overlap_norm, np.maximum(one_s, other_s)
        per = np.where(longest > 0, longest, 1.0)
        shares = (one_s / per) ** p + (other_s / per) ** p
        return np.asarray(longest * shares ** (1 / p))

    def area_mm2(self, table: EnergyTable) -> float:
        """Multiply-accumulate cells only: register files and shared memory are not modelled."""
        return self.spec.count * self.macs_per_cycle * table.area("mac", "cell").mm2

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power of the cells' area."""
        return self.area_mm2(table) * table.leakage("logic", "mm2").w


def _block_scaled(view: Problem, dtype: str) -> bool:
    """True for weights in blocks with scales that are multiplied as they are stored."""
    alike = dtype in DTYPES and view.weight.bits == DTYPES[dtype].bits
    return view.weight.group > 0 and alike
