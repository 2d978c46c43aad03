"""What a tile of a product of a fused nest takes of the array that runs it.

A systolic array is asked for the cost of the tile; a spatial array counts the nest of the product,
whose tiles stand alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from archsim.components.base import MacEngine
from archsim.components.spatial_array import SpatialArray
from archsim.ir.mapping import Mapping as MatrixMapping
from archsim.ir.nest import NestMapping
from archsim.ir.problem import Problem
from archsim.ir.target import Cost, Tiles
from archsim.system.array_cost import array_cost, banked_counts, tile_work
from archsim.system.nest_counts import Tile
from archsim.system.nest_work import SpatialWork
from archsim.system.rows import Draft
from archsim.system.writer import Writer, duration_ps


@dataclass(frozen=True)
class ProductTile:
    """A tile of a product.

    Attributes:
        size: extents of b, m, n and k, as the product has them.
        opens, closes: first and last tile of the sums that it adds to.
        first: of the whole stage: nothing is in the array yet.
        case: ragged case.
    """

    size: tuple[int, int, int, int]
    opens: bool
    closes: bool
    first: bool
    case: int


class ProductWork:
    """Rows of the array for tiles of one product."""

    def __init__(
        self, writer: Writer, engine: MacEngine, view: Problem, inner: MatrixMapping | NestMapping
    ) -> None:
        self.w, self.engine, self.view, self.inner = writer, engine, view, inner
        self.array = writer.unit(engine.name, "compute")
        self._known: dict[ProductTile, tuple[Cost, dict[str, int]]] = {}
        if isinstance(inner, NestMapping):
            assert isinstance(engine, SpatialArray)
            self.nested = SpatialWork(writer, engine, inner)

    def row(self, tile: ProductTile) -> Draft:
        """The array's row of a tile."""
        if isinstance(self.inner, NestMapping):
            return self.nested.row(self._nested(tile))
        cost, counts = self._priced(tile)
        hz = self.engine.clock_hz
        lag_ps = duration_ps(int(cost.lag_cycles[0]), hz) + self.w.machine.sram.latency_ps
        row = self.w.draft(self.array, duration_ps(int(cost.cycles[0]), hz), lag_ps)
        row.counts = dict(counts)
        return row

    def _nested(self, tile: ProductTile) -> Tile:
        """The same as the nest of a spatial array knows it."""
        ranks = ("B", "M", "N", "K")
        first = dict.fromkeys(ranks, True) | {"K": tile.opens}
        last = dict.fromkeys(ranks, True) | {"K": tile.closes}
        size: Mapping[str, int] = dict(zip(ranks, tile.size, strict=True))
        return Tile(size, dict.fromkeys(ranks, 0), first, last, tile.case, tile.first)

    def _priced(self, tile: ProductTile) -> tuple[Cost, dict[str, int]]:
        """Cost of a tile on a systolic array, and what it counts."""
        if tile in self._known:
            return self._known[tile]
        assert isinstance(self.inner, MatrixMapping)
        view, engine = self.view, self.engine
        size = dict(zip("bmnk", tile.size, strict=True))
        price = array_cost(engine, view, self.w.machine, engine.rated(view.weight))
        extent = {rank: np.array([n], dtype=np.int64) for rank, n in size.items()}
        cost = price(
            Tiles(
                self.inner.stationary,
                extent["b"],
                extent["m"],
                extent["n"],
                extent["k"],
                first=np.array([tile.first]),
                resumed=np.array([False]),
                opens=np.array([tile.opens]),
                closes=np.array([tile.closes]),
            )
        )
        partial = view.bits["partial"]
        reads = int(cost.in_reads[0]) * view.bits["in"]
        reads += ceil(int(cost.weight_reads[0]) * view.weight_bits)
        counts = {
            **tile_work(engine, view, size),
            "array.cycles": int(cost.cycles[0]),
            "array.folds": int(cost.folds[0]),
            "array.in_reads": int(cost.in_reads[0]),
            "array.weight_reads": int(cost.weight_reads[0]),
            "array.out_writes": int(cost.out_writes[0]),
            "sram.read": -(-(reads + int(cost.out_reads[0]) * partial) // 8),
            "sram.write": -(-int(cost.out_writes[0]) * partial // 8),
        } | banked_counts(cost, 0)
        return self._known.setdefault(tile, (cost, counts))
