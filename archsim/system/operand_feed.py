"""How an array's lanes ask for their operands, and what counted banks make of it.

The stationary operand of a mapping decides along which rank the lanes of an edge of the array lie
and along which the next vector follows; the order of the tensor's dimensions decides the strides.
Banks and their arithmetic are in `memory.banks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from archsim.components.base import MacEngine
from archsim.ir.op import Access as Reach
from archsim.ir.op import Kind
from archsim.ir.problem import Problem
from archsim.ir.target import Cost, Tiles
from archsim.memory.banks import Access, Banks, sweep
from archsim.memory.sram import Sram

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Radix = tuple[tuple[int, int], ...]

OPERANDS = ("in", "weight", "out", "partial")  # partial: sums that come back
RANKS = {"in": "mk", "weight": "kn", "out": "mn", "partial": "mn"}
# by stationary operand: (rank of the rows, rank of the columns, rank that streams)
AXES = {"weight": ("k", "n", "m"), "input": ("k", "m", "n"), "output": ("m", "n", "k")}

FOLDS = 8  # of a tile that are counted one by one; more repeat their mean


@dataclass(frozen=True)
class Layout:
    """Where the elements of a tile lie: dense, in its tensor's order, each row from a word on.

    A row is the innermost dimension of the tile, or, by lanes, what an edge of the array asks for.
    A convolution's input lies as its whole image does, channel by channel; positions in the padding
    are taken to lie beyond its edges.
    """

    view: Problem
    word_bits: int
    by_lanes: bool

    def radix(self, operand: str, rank: str, lane: str, size: dict[str, int]) -> Radix:
        """Extents and strides in bits in which a rank of an operand walks through a tile.

        The last extent has no bound and reads 0. `lane` is the rank along the array's edge.
        """
        if self.by_lanes:
            bits = self.element_bits(operand)
            return ((0, bits if rank == lane else self._padded(size[lane] * bits)),)
        if operand == "in" and self.view.op.kind is Kind.CONV:
            return self._window(rank)
        order, bits = self._order[operand], self.element_bits(operand)
        inner = order[-1]
        return ((0, bits if rank == inner else self._padded(size[inner] * bits)),)

    def element_bits(self, operand: str) -> int:
        """Bits of an element; scales lie elsewhere."""
        if operand == "weight":
            return self.view.weight.bits
        return self.view.bits["in" if operand == "in" else "partial"]

    def _padded(self, bits: int) -> int:
        return -(-bits // self.word_bits) * self.word_bits

    @cached_property
    def _order(self) -> dict[str, str]:
        """Ranks of each operand as its tensor has them, the innermost last."""
        op = self.view.op
        if op.kind is Kind.CONV:  # weights OC, IC, FH, FW; results B, OC, OH, OW
            return {"weight": "nk", "out": "nm", "partial": "nm"}
        reaches = {"in": op.reads[0], "weight": op.reads[1], "out": op.writes[0]}
        found = {word: _ranks(reach, RANKS[word]) for word, reach in reaches.items()}
        return found | {"partial": found["out"]}

    def _window(self, rank: str) -> Radix:
        """An im2col window: taps, then channels along K; outputs, then images along M."""
        r, w, bits = self.view.op.ranks, self.view.op.window, self.view.bits["in"]
        assert w is not None
        row = self._padded(w.in_size[1] * bits)
        plane = w.in_size[0] * row
        if rank == "k":
            taps = (r["FW"], w.dilation[1] * bits), (r["FH"], w.dilation[0] * row)
            return (*taps, (0, plane))
        places = (r["OW"], w.stride[1] * bits), (r["OH"], w.stride[0] * row)
        return (*places, (0, r["G"] * r["IC"] * plane))


def _ranks(reach: Reach, ranks: str) -> str:
    """The two ranks of an operand in the order of its tensor's dimensions, the innermost last."""
    found = [
        rank.lower()
        for dim in reach.dims
        for rank, _ in sorted(dim.terms, key=lambda term: -abs(term[1]))
    ]
    known = [rank for rank in found if rank in ranks]
    return "".join(known) if sorted(known) == sorted(ranks) else ranks


@dataclass(frozen=True)
class Asked:
    """What the accesses of an operand take of the banks, one array element a tile.

    Attributes:
        accesses: of all lanes of an edge of an array together.
        cycles: of them one after another.
        words: that banks serve.
        conflict_cycles: that they wait for a bank.
    """

    accesses: Ints
    cycles: Ints
    words: Ints
    conflict_cycles: Ints


@dataclass(frozen=True)
class Feed:
    """What tiles ask of the banks, by operand.

    Attributes:
        memory: whose banks serve them.
        asked: by operand; `partial` are sums that come back.
        share: of an operand's accesses that are those of the array with the most.
    """

    memory: Sram
    asked: dict[str, Asked]
    share: dict[str, Floats]

    @property
    def words_read(self) -> Ints:
        """Words that banks deliver."""
        return self.asked["in"].words + self.asked["weight"].words + self.asked["partial"].words

    @property
    def words_written(self) -> Ints:
        """Words that banks take."""
        return self.asked["out"].words

    def cycles(self) -> Floats:
        """Cycles of the memory that tiles take at least.

        The larger of the words over all ports of all banks, and of the accesses that the busiest
        array makes of one operand, one after another.
        """
        reads, writes = (_serving(self.memory, word) for word in ("in", "out"))
        read = self.words_read / (reads.count * reads.ports)
        written = self.words_written / (writes.count * writes.ports)
        least = read + written if self.memory.shares_ports else np.maximum(read, written)
        for word, some in self.asked.items():
            least = np.maximum(least, some.cycles * self.share[word])
        return np.asarray(least, dtype=np.float64)


def _serving(memory: Sram, operand: str) -> Banks:
    """The banks as an operand finds them."""
    banks = memory.write_banks if operand == "out" else memory.read_banks
    assert banks is not None
    return banks


class Lanes:
    """The lanes of an array and what they ask the banks of a memory for; remembers what it counted.

    `rate` elements of the operand that streams enter a row of the array in a cycle.
    """

    def __init__(self, engine: MacEngine, view: Problem, memory: Sram, dtype: str) -> None:
        self.memory = memory
        self.rows, self.cols, self.count = engine.grid
        cells = self.rows * self.cols * self.count
        self.rate = max(1, round(engine.macs_per_s(dtype) / (cells * engine.clock_hz)))
        self.layout = Layout(view, memory.spec.width_bits, memory.spec.tile_order == "lanes")
        self.banks = {word: _serving(memory, word) for word in OPERANDS}
        self._known: dict[tuple[str | int, ...], tuple[int, ...]] = {}

    def feed(self, tiles: Tiles, bare: Cost) -> Feed:
        """Count the accesses of tiles whose cost with a perfect memory is known."""
        moved = (bare.in_reads, bare.weight_reads, bare.out_writes, bare.out_reads)
        size = {"m": tiles.m, "n": tiles.n, "k": tiles.k}
        asked = {
            word: self._asked(word, tiles.stationary, size, elements)
            for word, elements in zip(OPERANDS, moved, strict=True)
        }
        row, col, _ = AXES[tiles.stationary]
        free = tiles.b * -(-size[col] // self.cols)
        if tiles.stationary == "output":
            free = free * -(-size[row] // self.rows)
        own = -(-free // self.count) / free
        # an array that nothing holds up has an access of an operand a cycle, and no more
        share = {
            word: np.minimum(own, bare.cycles / np.maximum(some.accesses, 1))
            for word, some in asked.items()
        }
        return Feed(self.memory, asked, share)

    def _asked(self, operand: str, stationary: str, size: dict[str, Ints], elements: Ints) -> Asked:
        """What the accesses that bring so many elements of tiles take."""
        row, col, stream = AXES[stationary]
        ranks = RANKS[operand]
        # an operand that streams in enters by the rows, and all others by the columns
        by_rows = operand in ("in", "weight") and row in ranks and stream in ranks
        lane = row if by_rows else col
        other = ranks.replace(lane, "")
        keys = size[lane] * (int(size[other].max()) + 1) + size[other]
        _, found, which = np.unique(keys, return_index=True, return_inverse=True)
        pairs = zip(size[lane][found].tolist(), size[other][found].tolist(), strict=True)
        together = self.rate if other == stream else 1
        wide = self.rows if by_rows else self.cols
        once = np.array(
            [self._pass(operand, lane, other, pair, wide, together) for pair in pairs],
            dtype=np.int64,
        )[which.reshape(-1)]
        passes = elements // (size[lane] * size[other])
        return Asked(*(passes * once[:, i] for i in range(4)))

    def _pass(
        self,
        operand: str,
        lane: str,
        other: str,
        extents: tuple[int, int],
        wide: int,
        together: int,
    ) -> tuple[int, ...]:
        """One pass over a tile: accesses, their cycles, words and cycles of conflicts."""
        key = (operand, lane, *extents, wide, together)
        if key in self._known:
            return self._known[key]
        size = {lane: extents[0], other: extents[1]}
        lanes, steps = (self.layout.radix(operand, rank, lane, size) for rank in (lane, other))
        accesses = -(-extents[1] // together)
        bits = self.layout.element_bits(operand)
        full, edge = divmod(extents[0], wide)
        folds = min(full, FOLDS)
        if len(lanes) == 1:
            folds = min(folds, self.banks[operand].recur(wide * lanes[0][1]))
        total = (0, 0, 0, 0)
        for fold in (*range(folds), full):
            width = wide if fold < full else edge
            times = full // folds + (fold < full % folds) if fold < full else bool(edge)
            if times:
                access = Access(lanes, width, bits, first=fold * wide)
                some = sweep(self.banks[operand], access, steps, accesses, together)
                total = (
                    total[0] + times * some.accesses,
                    total[1] + times * some.cycles,
                    total[2] + times * some.words,
                    total[3] + times * some.conflict_cycles,
                )
        return self._known.setdefault(key, total)
