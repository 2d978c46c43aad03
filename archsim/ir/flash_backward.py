"""A mapping of the backward pass of attention in which no tensor of scores leaves the chip.

For each tile of keys, which stays with its values and the sums of their gradients, all tiles of
queries that see it pass by; scores and shares are made again from one number a row that the forward
pass has kept (Dao et al., FlashAttention, 2022, algorithm 4, in the order of FlashAttention-2,
2023). The gradient of the queries is summed in memory: read and written once a visit. The same
object is timed, prints, counts in closed form, and is executed by
`testing.functional_attention_backward`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from archsim.core.errors import Unmappable
from archsim.core.html import Rendered
from archsim.ir.attention_problem import AttentionProblem, Heads
from archsim.ir.flash_backward_room import OPERANDS, PRODUCTS, ROW_BITS, room
from archsim.ir.reuse import Segment, segments


@dataclass(frozen=True, slots=True)
class BackwardRun:
    """Alike steps, one after the other: a tile of keys against tiles of queries.

    Attributes:
        count: steps.
        b, q, keys: problems, rows and keys of a tile.
        opens, closes: first and last step of the tile of keys.
        first, last: first and last visit of the tiles of queries.
    """

    count: int
    b: int
    q: int
    keys: int
    opens: bool
    closes: bool
    first: bool
    last: bool

    @property
    def kind(self) -> BackwardRun:
        """One of its steps: runs of one kind cost the same, and move the same."""
        return replace(self, count=1)

    def like(self, other: BackwardRun | None) -> bool:
        """True when the first halves of both are alike, and what moves for them."""
        return other is not None and self.kind == other.kind


@dataclass(frozen=True, slots=True)
class BackwardStep:
    """One step as index ranges: problems, rows and keys, and what begins or ends with it.

    Attributes:
        b, q, keys: problems, rows and keys.
        case: ragged case.
        opens, closes: first and last step of the tile of keys.
        first, last: first and last visit of the tile of queries.
    """

    b: tuple[int, int]
    q: tuple[int, int]
    keys: tuple[int, int]
    case: int
    opens: bool
    closes: bool
    first: bool
    last: bool


@dataclass(frozen=True)
class FlashBackwardMapping(Rendered):
    """Tiles of the backward pass of one attention, outermost first: problems, keys, queries.

    Attributes:
        problem: the attention.
        engine: name in the machine.
        tile: problems (`b`), rows (`q`) and keys (`kv`) of a tile.
        depth: tiles of an operand on chip at once.
        stationary: operand that stays in the array, by product in the order of `PRODUCTS`.
        resident: operands that lie on chip: they move no bytes.
    """

    problem: AttentionProblem
    engine: str
    tile: dict[str, int] = field(default_factory=dict)
    depth: int = 2
    stationary: tuple[str, ...] = ("weight",) * len(PRODUCTS)
    resident: frozenset[str] = frozenset()
    dataflow: str = "flash_attention_backward"

    @property
    def name(self) -> str:
        """Name of the op that scores."""
        return self.problem.name

    @property
    def keep(self) -> frozenset[str]:
        """Operands held across the loop that does not change them."""
        return frozenset({"k", "v", "d_k", "d_v"})

    @property
    def order(self) -> tuple[str, ...]:
        """The loops over tiles, outermost first."""
        return ("b", "kv", "q")

    def rows(self, case: Heads) -> list[tuple[int, int]]:
        """Tiles of queries: their first row, and the one after the last."""
        size = self.tile["q"]
        return [(low, min(low + size, case.m)) for low in range(0, case.m, size)]

    def window(self, case: Heads, low: int, high: int) -> tuple[int, int]:
        """Tiles of keys that a tile of queries sees: the first, and the one after the last."""
        first, end = self.problem.seen(case, low, high)
        return int(first) // self.tile["kv"], -(-int(end) // self.tile["kv"])

    def batches(self, case: Heads) -> tuple[Segment, ...]:
        """Runs of alike tiles of problems."""
        return segments(case.b, self.tile["b"])

    def nest(self, case: Heads, b: int) -> list[tuple[int, tuple[BackwardRun, ...]]]:
        """Tiles of keys of `b` problems, alike ones together, and the runs of each."""
        kv, tiles = self.tile["kv"], self.rows(case)
        windows = [self.window(case, *tile) for tile in tiles]
        bodies = []
        for j in range(-(-case.keys // kv)):
            seen = [i for i, (first, end) in enumerate(windows) if first <= j < end]
            keys = min((j + 1) * kv, case.keys) - j * kv
            steps = [
                BackwardRun(
                    1, b, tiles[i][1] - tiles[i][0], keys,
                    i == seen[0], i == seen[-1], j == windows[i][0], j == windows[i][1] - 1,
                )
                for i in seen
            ]  # fmt: skip
            runs = [(step, len(list(alike))) for step, alike in groupby(steps)]
            if runs:
                bodies.append(tuple(replace(step, count=n) for step, n in runs))
        return [(len(list(alike)), body) for body, alike in groupby(bodies)]

    def tiles(self) -> Iterator[BackwardStep]:
        """Every step in execution order, cases one after the other."""
        base, kv = 0, self.tile["kv"]
        for number, case in enumerate(self.problem.cases):
            tiles = self.rows(case)
            windows = [self.window(case, *tile) for tile in tiles]
            for low in range(0, case.b, self.tile["b"]):
                some = base + low, base + min(low + self.tile["b"], case.b)
                for j in range(-(-case.keys // kv)):
                    seen = [i for i, (first, end) in enumerate(windows) if first <= j < end]
                    keys = j * kv, min((j + 1) * kv, case.keys)
                    for i in seen:
                        first, end = windows[i]
                        yield BackwardStep(
                            some, tiles[i], keys, number,
                            i == seen[0], i == seen[-1], j == first, j == end - 1,
                        )  # fmt: skip
            base += case.b

    @property
    def executed(self) -> int:
        """Scores that are made again: all of every tile that some query of it sees."""
        kv, total = self.tile["kv"], 0
        for case in self.problem.cases:
            for low, high in self.rows(case):
                first, end = self.window(case, low, high)
                total += case.b * (high - low) * (min(end * kv, case.keys) - first * kv)
        return total

    @property
    def macs(self) -> int:
        """Of five products: q k, dO v, P dO, dS k and dS q."""
        return self.executed * (3 * self.problem.key_dim + 2 * self.problem.value_dim)

    def traffic(self) -> dict[str, int]:
        """Bytes of each operand through memory, in closed form.

        Keys, values and their gradients pass once, where some query sees them; queries, the
        gradient of the result and the numbers of a row once a visit; the gradient of the queries is
        a partial sum that all visits but the last write and all but the first read.
        """
        p, total = self.problem, dict.fromkeys(OPERANDS, 0)
        for case in p.cases:
            for low, high in self.rows(case):
                first, end = self.window(case, low, high)
                for s in segments(case.b, self.tile["b"]):
                    rows, visits = s.size * (high - low), end - first
                    sums = -(-rows * p.key_dim * p.partial_bits // 8)
                    total["q"] += s.count * visits * p.dtypes["q"].bytes(rows * p.key_dim)
                    total["d_out"] += s.count * visits * p.dtypes["out"].bytes(rows * p.value_dim)
                    for word in ("stats", "delta"):
                        total[word] += s.count * visits * rows * ROW_BITS // 8
                    total["sums"] += s.count * 2 * (visits - 1) * sums
                    total["d_q"] += s.count * p.dtypes["q"].bytes(rows * p.key_dim)
            for size in self._key_tiles(case):
                for s in segments(case.b, self.tile["b"]):
                    for word, width in (("k", p.key_dim), ("v", p.value_dim)):
                        moved = s.count * p.dtypes[word].bytes(s.size * size * width)
                        total[word] += moved
                        total[f"d_{word}"] += moved
        return {word: 0 if word in self.resident else n for word, n in total.items()}

    def _key_tiles(self, case: Heads) -> Iterator[int]:
        """Keys of each tile that some query sees: they are all between the first and the last."""
        windows = [self.window(case, *tile) for tile in self.rows(case)]
        kv = self.tile["kv"]
        for j in range(min(first for first, _ in windows), max(end for _, end in windows)):
            yield min((j + 1) * kv, case.keys) - j * kv

    def room_bytes(self) -> int:
        """On-chip bytes of everything that the tiles need."""
        t = self.tile
        return int(room(self.problem, t["b"], t["q"], t["kv"], self.depth, self.resident))

    def check(self, buffer_bytes: int) -> None:
        """Refuse tiles that do not fit.

        Raises:
            Unmappable: with both sizes.
        """
        held = self.room_bytes()
        if held > buffer_bytes:
            name = self.problem.name
            raise Unmappable(f"{name}: tiles need {held} bytes on chip, {buffer_bytes} are free")

    def render(self) -> str:
        """The loop nest as text."""
        p, t, e = self.problem, self.tile, self.problem.largest
        head = f"{p.name}: {self.dataflow} on {self.engine}   "
        lines = [head + f"[b {e.b}  q {e.m}  kv {e.keys}  d {p.key_dim}+{p.value_dim}]"]
        indent = "  "
        for rank, extent in (("b", e.b), ("kv", e.keys), ("q", e.m)):
            steps = -(-extent // t[rank])
            if steps > 1:
                seen = " (those that see it)" if rank == "q" and p.masked else ""
                lines.append(f"{indent}for {rank} in {steps} tiles of {t[rank]}{seen}")
                indent += "  "
            if rank == "kv":
                lines.append(f"{indent}hold k, v and the sums of d_k, d_v: a tile of {t['kv']}")
        body = (
            "scores = q k, shares = exp(scores - their row's logarithm)",
            "d_v += shares d_out",
            "d_shares = d_out v, d_scores = shares (d_shares - delta)",
            "d_k += d_scores q",
            "d_q += d_scores k, summed in memory",
        )
        return "\n".join([*lines, *(indent + text for text in body)])
