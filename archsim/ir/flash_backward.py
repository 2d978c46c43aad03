"""A mapping of the backward pass of attention in which no tensor of scores leaves the chip.

For each tile of keys, which stays with its values and the sums of their gradients, all tiles of
queries that see it pass by; scores and shares are made again from one number a row that the forward
pass has kept (Dao et al., FlashAttention, 2022, algorithm 4, in the order of FlashAttention-2,
2023). The gradient of the queries is summed in memory: read and written once a visit. The same
object prints, counts in closed form, and is executed by `testing.functional_attention_backward`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil

from archsim.core.errors import Unmappable
from archsim.ir.attention_problem import AttentionProblem, Heads
from archsim.ir.reuse import segments

OPERANDS = ("q", "d_out", "rows", "k", "v", "d_q", "d_k", "d_v")
STATS_BITS = 64  # of a row: the logarithm of its sum, and delta, 32 bits each


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
class FlashBackwardMapping:
    """Tiles of the backward pass of one attention, outermost first: problems, keys, queries.

    Attributes:
        problem: the attention.
        engine: name in the machine.
        tile: problems (`b`), rows (`q`) and keys (`kv`) of a tile.
        depth: tiles of an operand on chip at once.
    """

    problem: AttentionProblem
    engine: str
    tile: dict[str, int] = field(default_factory=dict)
    depth: int = 2
    dataflow: str = "flash_attention_backward"

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
                    total["rows"] += s.count * visits * rows * STATS_BITS // 8
                    total["d_q"] += s.count * 2 * (visits - 1) * sums
                    total["d_q"] += s.count * p.dtypes["q"].bytes(rows * p.key_dim)
            for size in self._key_tiles(case):
                for s in segments(case.b, self.tile["b"]):
                    for word, width in (("k", p.key_dim), ("v", p.value_dim)):
                        moved = s.count * p.dtypes[word].bytes(s.size * size * width)
                        total[word] += moved
                        total[f"d_{word}"] += moved
        return total

    def _key_tiles(self, case: Heads) -> Iterator[int]:
        """Keys of each tile that some query sees: they are all between the first and the last."""
        windows = [self.window(case, *tile) for tile in self.rows(case)]
        kv = self.tile["kv"]
        for j in range(min(first for first, _ in windows), max(end for _, end in windows)):
            yield min((j + 1) * kv, case.keys) - j * kv

    def room_bytes(self) -> int:
        """On-chip bytes: operands in slots, sums of keys and values, three tiles of scores."""
        p, (b, q, kv) = self.problem, (self.tile[r] for r in ("b", "q", "kv"))
        bits = {word: dtype.stored_bits for word, dtype in p.dtypes.items()}
        held = kv * (p.key_dim * bits["k"] + p.value_dim * bits["v"])
        sums = kv * (p.key_dim + p.value_dim) * p.partial_bits
        passing = q * (p.key_dim * bits["q"] + p.value_dim * bits["out"] + STATS_BITS)
        passing += q * p.key_dim * p.partial_bits
        scores = q * kv * (2 * p.partial_bits + bits["shares"])
        return ceil(b * (self.depth * (held + passing) + sums + scores) / 8)

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
