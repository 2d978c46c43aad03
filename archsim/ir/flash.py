"""A mapping of attention in which scores never leave the chip: tiles of queries and of keys.

For each tile of queries all keys that it sees pass by, tile by tile, with a running maximum and a
running sum (Dao, FlashAttention-2, 2023). Tiles that a mask rules out as a whole are not there.
The same object is timed, printed, counted in closed form, and executed on small arrays by
`archsim.testing.functional_attention`. What its tiles occupy is in `flash_room`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise

from archsim.core.errors import Unmappable
from archsim.core.html import Rendered
from archsim.ir.attention_problem import AttentionProblem, AttentionTarget, Heads
from archsim.ir.flash_room import fits_split, room
from archsim.ir.reuse import Segment, segments


@dataclass(frozen=True, slots=True)
class Run:
    """Alike steps, one after the other: a tile of queries against tiles of keys.

    Attributes:
        count: steps.
        b, q: problems and rows of a tile.
        parts, keys: parts of the context that a step works on, and the keys of all of them.
        opens, closes: first and last step of the tile of queries.
        fresh: these keys have not been on chip for these problems.
        leaves: no later tile of queries of these problems needs them.
        at: the first step's place among the tiles of keys of a part.
    """

    count: int
    b: int
    q: int
    parts: int
    keys: int
    opens: bool
    closes: bool
    fresh: bool
    leaves: bool
    at: int = field(default=0, compare=False)

    def like(self, other: Run | None) -> bool:
        """True when the scores of both are made from the same sizes, moved in the same way."""
        return other is not None and replace(self, count=1) == replace(other, count=1)


Rows = tuple[int, tuple[Run, ...]]  # so many alike tiles of queries, and the runs of each


@dataclass(frozen=True, slots=True)
class FlashStep:
    """One step as index ranges: problems, rows, keys of each part, and what moves."""

    b: tuple[int, int]
    q: tuple[int, int]
    keys: tuple[tuple[int, int], ...]
    case: int
    opens: bool
    closes: bool
    enter: bool
    leave: bool


@dataclass(frozen=True)
class FlashMapping(Rendered):
    """Tiles of one attention, outermost first: problems, queries, keys.

    Attributes:
        problem: the attention.
        engine: name in the machine.
        tile: problems (`b`), rows (`q`) and keys of a part (`kv`) of a tile.
        split: parts of the context that are worked on at once and joined at the end.
        held: keys and values stay on chip for all tiles of queries of their problems.
        depth: tiles of an operand on chip at once; with 1 nothing overlaps.
        stationary: operand that stays in the array, for `score` and for `value`.
        resident: operands (`q`, `k`, `v`, `out`) that lie on chip: they move no bytes.
    """

    problem: AttentionProblem
    engine: str
    tile: dict[str, int]
    split: int = 1
    held: bool = False
    depth: int = 2
    stationary: tuple[str, str] = ("weight", "weight")
    resident: frozenset[str] = frozenset()
    dataflow: str = "flash_attention"

    @property
    def name(self) -> str:
        """Name of the op that scores."""
        return self.problem.name

    @property
    def order(self) -> tuple[str, ...]:
        """The loops over tiles, outermost first."""
        return ("b", "q", "kv")

    @property
    def keep(self) -> frozenset[str]:
        """Operands held across the loop that does not change them."""
        return frozenset({"q", "out"} | ({"k", "v"} if self.held else set()))

    def batches(self, case: Heads) -> tuple[Segment, ...]:
        """Runs of alike tiles of problems."""
        return segments(case.b, self.tile["b"])

    def rows(self, case: Heads) -> list[tuple[int, int]]:
        """Tiles of queries: their first row, and the one after the last."""
        size = self.tile["q"]
        return [(low, min(low + size, case.m)) for low in range(0, case.m, size)]

    def window(self, case: Heads, low: int, high: int) -> tuple[int, int]:
        """Tiles of keys that a tile of queries sees: the first, and the one after the last."""
        first, end = self.problem.seen(case, low, high)
        return int(first) // self.tile["kv"], -(-int(end) // self.tile["kv"])

    def nest(self, case: Heads, b: int) -> list[Rows]:
        """Tiles of queries of `b` problems, alike ones together, first and last by themselves."""
        tiles = self.rows(case)
        windows = [self.window(case, *tile) for tile in tiles]
        bodies = []
        for i, (low, high) in enumerate(tiles):
            known = windows[i - 1][1] if i else windows[0][0]
            wanted = windows[i + 1][0] if i + 1 < len(tiles) else windows[i][1]
            bodies.append(self._runs(case, b, high - low, windows[i], known, wanted))
        ends = {0, len(tiles) - 1}
        keyed = [(i if i in ends else -1, body) for i, body in enumerate(bodies)]
        return [(len(list(alike)), body) for (_, body), alike in groupby(keyed)]

    def _runs(
        self, case: Heads, b: int, q: int, window: tuple[int, int], known: int, wanted: int
    ) -> tuple[Run, ...]:
        """Steps of one tile of queries; tiles below `known` were here, from `wanted` on stay."""
        kv, (first, end) = self.tile["kv"], window
        total = -(-case.keys // kv)
        edge = case.keys - (total - 1) * kv
        each = -(-(end - first) // self.split)  # steps, with so many parts
        last = (end - first) - (self.split - 1) * each  # steps in which the last part takes part
        ragged = last - 1 if end == total and edge < kv else each
        marks = {0, 1, each - 1, each, last, ragged, ragged + 1, known - first, wanted - first}
        cuts = sorted(m for m in marks if 0 <= m <= each)
        found = []
        for low, high in pairwise(cuts):
            parts = self.split if low < last else self.split - 1
            keys = parts * kv - (kv - edge if low == ragged else 0)
            fresh, leaves = low >= known - first, low < wanted - first
            ends = low == 0, high == each
            found.append(Run(high - low, b, q, parts, keys, *ends, fresh, leaves, first + low))
        return tuple(found)

    def tiles(self) -> Iterator[FlashStep]:
        """Every step in execution order, cases one after the other."""
        base, kv = 0, self.tile["kv"]
        for number, case in enumerate(self.problem.cases):
            for low in range(0, case.b, self.tile["b"]):
                size = min(self.tile["b"], case.b - low)
                rows = iter(self.rows(case))
                for count, runs in self.nest(case, size):
                    for _ in range(count):
                        q = next(rows)
                        shift = self.window(case, *q)[0] - runs[0].at
                        first, end = self.window(case, *q)
                        each = -(-(end - first) // self.split)
                        for run in runs:
                            for at in range(run.at + shift, run.at + shift + run.count):
                                starts = (at + p * each for p in range(run.parts))
                                keys = ((s * kv, min((s + 1) * kv, case.keys)) for s in starts)
                                yield FlashStep(
                                    (base + low, base + low + size), q, tuple(keys), number,
                                    run.opens, run.closes,
                                    run.fresh or not self.held, run.leaves or not self.held,
                                )  # fmt: skip
            base += case.b

    @property
    def executed(self) -> int:
        """Scores that are computed: all of every tile that some query of it sees."""
        return sum(
            s.count * count * run.count * run.b * run.q * run.keys
            for case in self.problem.cases
            for s in self.batches(case)
            for count, runs in self.nest(case, s.size)
            for run in runs
        )

    def traffic(self) -> dict[str, int]:
        """Bytes of each operand through memory, in closed form."""
        p = self.problem
        total = dict.fromkeys(("q", "k", "v", "out", *(("stats",) if p.row_bits else ())), 0)
        for case in p.cases:
            for s in self.batches(case):
                for rows in segments(case.m, self.tile["q"]):
                    elements = s.size * rows.size
                    times = s.count * rows.count
                    total["q"] += times * p.dtypes["q"].bytes(elements * p.key_dim)
                    total["out"] += times * p.dtypes["out"].bytes(elements * p.value_dim)
                    if p.row_bits:
                        total["stats"] += times * elements * p.row_bits // 8
                for word, width in (("k", p.key_dim), ("v", p.value_dim)):
                    total[word] += s.count * self._cache_bytes(case, word, s.size * width)
        if p.one_cache:
            total["v"] = 0
        return {word: 0 if word in self.resident else n for word, n in total.items()}

    def _cache_bytes(self, case: Heads, word: str, per_key: int) -> int:
        """Bytes of keys or values that enter for one tile of problems."""
        windows = [self.window(case, *rows) for rows in self.rows(case)]
        if self.held:
            windows = [(windows[0][0], windows[-1][1])]
        kv, dtype = self.tile["kv"], self.problem.dtypes[word]
        total = -(-case.keys // kv)
        edge = case.keys - (total - 1) * kv
        size = 0
        for first, end in windows:
            each = -(-(end - first) // self.split)
            last = (end - first) - (self.split - 1) * each  # tiles of the last part
            short = kv - edge if end == total else 0
            whole, least = self.split * kv, (self.split - 1) * kv
            size += (last - 1) * dtype.bytes(whole * per_key)
            size += dtype.bytes((whole - short) * per_key)
            size += (each - last) * dtype.bytes(least * per_key) if least else 0
        return size

    def slots(self) -> dict[str, int]:
        """Tiles of keys and values on chip at once."""
        most = max(
            -(-(end - first) // self.split)
            for case in self.problem.cases
            for first, end in (self.window(case, *rows) for rows in self.rows(case))
        )
        if self.held:
            several = len(self.problem.cases) > 1 or self.tile["b"] < self.problem.cases[0].b
            keys = most + (self.depth - 1 if several else 0)
        else:
            keys = self.depth
        # a key that is its value too is needed until the step's second product
        return {"k": keys + self.problem.one_cache, "v": keys}

    def room_bytes(self) -> int:
        """On-chip bytes of everything that the tiles need."""
        t = self.tile
        return int(
            room(self.problem, t["b"], t["q"], t["kv"], self.split, self.depth, self.slots(),
                 self.resident)
        )  # fmt: skip

    def check(self, target: AttentionTarget) -> None:
        """Refuse a mapping that does not fit, or that splits what a mask shortens.

        Raises:
            Unmappable: with the reason.
        """
        held = self.room_bytes()
        if held > target.buffer_bytes:
            raise Unmappable(
                f"{self.name}: tiles need {held} bytes on chip, {target.buffer_bytes} are free"
            )
        for case in self.problem.cases:
            tiles = -(-case.keys // self.tile["kv"])
            if self.split > 1 and (self.problem.masked or not fits_split(tiles, self.split)):
                raise Unmappable(f"{self.name}: {tiles} tiles of keys do not make {self.split}")

    def render(self) -> str:
        """The loop nest as text, with what each operand holds."""
        p, t, e = self.problem, self.tile, self.problem.largest
        head = f"{self.name}: {self.dataflow} on {self.engine}   "
        lines = [head + f"[b {e.b}  q {e.m}  kv {e.keys}  d {p.key_dim}+{p.value_dim}]"]
        indent = "  "
        if self.split > 1:
            lines.append(f"{indent}{self.split} parts of each context at once, joined at the end")
        extents = (("b", e.b), ("q", e.m), ("kv", -(-e.keys // self.split)))
        for rank, extent in extents:
            steps = -(-extent // t[rank])
            if steps > 1:
                seen = " (those it sees)" if rank == "kv" and p.masked else ""
                lines.append(f"{indent}for {rank} in {steps} tiles of {t[rank]}{seen}")
                indent += "  "
        for word, n in self.slots().items():
            if word not in self.resident and not (word == "v" and p.one_cache):
                held = " (held over q)" if self.held else ""
                lines.append(f"{indent}hold {word}: {n} tiles of {t['kv']}{held}")
        lines.append(f"{indent}scores = q k: {self.stationary[0]} stationary")
        lines.append(f"{indent}running softmax of the scores on the vector unit")
        lines.append(f"{indent}out += shares v: {self.stationary[1]} stationary")
        return "\n".join(lines)
