"""Random operands of a MAC op over its own ranks, positions of tiles, and the op's definition."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from archsim.ir.nest_ranks import case_extents, largest_extents
from archsim.ir.nest_walk import Ranges
from archsim.ir.op import Kind
from archsim.ir.problem import Problem

Array = NDArray[np.int64]

# ranks in the order of an operand's dimensions; those of a window go together
POSITIONED: dict[Kind, dict[str, tuple[str, ...]]] = {
    Kind.GEMM: {"in": ("B", "M", "K"), "weight": ("B", "K", "N"), "out": ("B", "M", "N")},
    Kind.CONV: {
        "in": ("B", "G", "IC", "OH", "FH", "OW", "FW"),
        "weight": ("G", "OC", "IC", "FH", "FW"),
        "out": ("B", "G", "OC", "OH", "OW"),
    },
}


class NestValues:
    """Operands as DRAM holds them, addressed by flat position."""

    def __init__(self, problem: Problem, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.op, self.cases = problem.op, case_extents(problem.op)
        e = largest_extents(self.op)
        self.conv = self.op.kind is Kind.CONV
        if self.conv:
            w = self.op.window
            assert w is not None
            shapes: dict[str, tuple[int, ...]] = {
                "in": (e["B"], e["G"], e["IC"], *w.in_size),
                "weight": (e["G"], e["OC"], e["IC"], e["FH"], e["FW"]),
                "out": (e["B"], e["G"], e["OC"], e["OH"], e["OW"]),
            }
        else:
            batch = sum(case["B"] for case in self.cases)
            shapes = {
                "in": (batch, e["M"], e["K"]),
                "weight": (batch, e["K"], e["N"]),
                "out": (batch, e["M"], e["N"]),
            }
        self.shapes = shapes
        self.data: dict[str, Array] = {
            operand: rng.integers(-8, 8, shapes[operand]) for operand in ("in", "weight")
        }
        self._known = lru_cache(maxsize=1 << 16)(self._positions)

    def base(self, case: int) -> int:
        """First problem of a ragged case."""
        return sum(one["B"] for one in self.cases[:case])

    def read(self, operand: str, positions: list[int]) -> dict[int, int]:
        """Values at flat positions."""
        values = self.data[operand].ravel()[positions].tolist() if positions else []
        return dict(zip(positions, values, strict=True))

    def positions(self, operand: str, ranges: Ranges) -> list[int]:
        """Flat positions of the elements that a tile reaches, padding left out."""
        own = POSITIONED[self.op.kind][operand]
        return self._known(operand, tuple(ranges[rank] for rank in own))

    def _positions(self, operand: str, ranges: tuple[tuple[int, int], ...]) -> list[int]:
        axes = [np.arange(*r) for r in ranges]
        if self.conv and operand == "in":
            axes = [*axes[:3], self._reached(0, *axes[3:5]), self._reached(1, *axes[5:])]
        grid = np.meshgrid(*axes, indexing="ij")
        flat = np.ravel_multi_index(tuple(g.ravel() for g in grid), self.shapes[operand])
        return [int(p) for p in flat]

    def _reached(self, i: int, outputs: Array, taps: Array) -> Array:
        w = self.op.window
        assert w is not None
        at = outputs[:, None] * w.stride[i] + taps[None, :] * w.dilation[i] - w.pad[i]
        return np.unique(at[(at >= 0) & (at < w.in_size[i])])

    def defined(self) -> dict[int, int]:
        """The op's result by its definition, by flat position."""
        out = np.zeros(self.shapes["out"], dtype=np.int64)
        there = np.zeros(self.shapes["out"], dtype=np.bool_)
        if self.conv:
            out, there[...] = self._convolved(), True
        for i, case in enumerate(() if self.conv else self.cases):
            b = slice(self.base(i), self.base(i) + case["B"])
            m, n, k = case["M"], case["N"], case["K"]
            out[b, :m, :n] = self.data["in"][b, :m, :k] @ self.data["weight"][b, :k, :n]
            there[b, :m, :n] = True
        places = np.flatnonzero(there)
        return dict(zip(places.tolist(), out.ravel()[places].tolist(), strict=True))

    def _convolved(self) -> Array:
        """Tap by tap over a padded input."""
        w = self.op.window
        assert w is not None
        oh, ow = self.shapes["out"][3:]
        taps = self.shapes["weight"][3:]
        reach = [
            (n - 1) * w.stride[i] + (taps[i] - 1) * w.dilation[i] + 1
            for i, n in enumerate((oh, ow))
        ]
        after = [max(0, reach[i] - w.in_size[i] - w.pad[i]) for i in (0, 1)]
        margin = [(0, 0)] * 3 + [(w.pad[i], after[i]) for i in (0, 1)]
        padded = np.pad(self.data["in"], margin)
        total = np.zeros(self.shapes["out"], dtype=np.int64)
        for y in range(taps[0]):
            for x in range(taps[1]):
                rows = slice(y * w.dilation[0], y * w.dilation[0] + reach[0], w.stride[0])
                columns = slice(x * w.dilation[1], x * w.dilation[1] + reach[1], w.stride[1])
                part = padded[:, :, :, rows, columns][..., :oh, :ow]
                total += np.einsum("bgchw,gfc->bgfhw", part, self.data["weight"][..., y, x])
        return total
