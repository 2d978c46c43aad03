"""A feed-forward block as one nest: its products share the loops over rows and hidden columns.

For each tile of rows, and each tile of hidden columns, the first products (gate and up, or up
alone) run over their reduction, the activation makes a hidden tile of their sums, and the last
product adds it to its outputs at once: the hidden tensor never leaves the chip. Ranks: b problems
(experts), m rows, f hidden columns, k and n columns of the input and the result.

What stays follows the rule of `nest`: a tile stays while only loops inside its own innermost loop
step. `keep` says that all tiles of the input stay over the loop over f, or all sums of the result.
With `ahead` the array makes the sums of the next hidden tile before it uses this one, so that it
works while the activation is made. Room is in `nest_fused_room`, text in `nest_fused_text`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from archsim.core.errors import Unmappable
from archsim.core.html import Rendered
from archsim.ir.op import Kind, Op
from archsim.ir.tensor import DType, Tensor

if TYPE_CHECKING:
    from archsim.ir.mapping import Mapping as MatrixMapping
    from archsim.ir.nest import NestMapping

RANKS = "bmfkn"
OPERANDS = ("in", "first", "last", "out")
Ranges = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class FusedProblem:
    """A feed-forward block: first products that read the same rows, and the one after them.

    Attributes:
        name: of the first product.
        cases: (problems, rows) of each ragged case.
        k, f, n: columns of the input, of the hidden tensor, and of the result.
        firsts: products before the activation: 2 with a gate.
        dtypes: of `in`, `hidden`, `out`, and of the weights `first` and `last`.
        partial_bits: of sums that are not complete.
    """

    name: str
    cases: tuple[tuple[int, int], ...]
    k: int
    f: int
    n: int
    firsts: int
    dtypes: Mapping[str, DType]
    partial_bits: int

    @property
    def largest(self) -> dict[str, int]:
        """Extents by rank that cover every case."""
        b, m = (max(case[i] for case in self.cases) for i in (0, 1))
        return {"b": b, "m": m, "f": self.f, "k": self.k, "n": self.n}

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all products."""
        rows = sum(b * m for b, m in self.cases)
        return rows * self.f * (self.firsts * self.k + self.n)


def fused_problem(
    ops: Sequence[Op], tensors: Mapping[str, Tensor], partial_bits: int = 32
) -> FusedProblem:
    """The block that first products, an activation and a last product make.

    Raises:
        Unmappable: where they do not read each other's results, or differ in their extents.
    """
    kinds = [op.kind for op in ops]
    if len(ops) < 3 or kinds != [Kind.GEMM] * (len(ops) - 2) + [Kind.VECTOR, Kind.GEMM]:
        raise _no_block(ops)
    *firsts, act, last = ops
    one = firsts[0]
    made = {op.writes[0].tensor for op in firsts}
    chained = (
        all(op.reads[0].tensor == one.reads[0].tensor for op in firsts)
        and made == {access.tensor for access in act.reads}
        and last.reads[0].tensor == act.writes[0].tensor
    )
    rows = [tuple((r["B"], r["M"]) for _, r in op.cases()) for op in (*firsts, last)]
    alike = all(op.ranks["K"] == one.ranks["K"] for op in firsts)
    alike = alike and all(op.ranks["N"] == last.ranks["K"] for op in firsts)
    alike = alike and len({tensors[op.reads[1].tensor].dtype for op in firsts}) == 1
    if not chained or not alike or any(some != rows[0] for some in rows) or act.reduces:
        raise _no_block(ops)
    dtypes = {
        "in": tensors[one.reads[0].tensor].dtype,
        "first": tensors[one.reads[1].tensor].dtype,
        "hidden": tensors[act.writes[0].tensor].dtype,
        "last": tensors[last.reads[1].tensor].dtype,
        "out": tensors[last.writes[0].tensor].dtype,
    }
    r = last.ranks
    return FusedProblem(
        one.name, rows[0], one.ranks["K"], r["K"], r["N"], len(firsts), dtypes, partial_bits
    )


def _no_block(ops: Sequence[Op]) -> Unmappable:
    names = ", ".join(op.name for op in ops)
    return Unmappable(
        f"{names} are no feed-forward block that shares its rows", code="E302",
        help="products that read the same rows, one vector op of their sums, and the product that "
        "reads its result, in this order",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class FusedStep:
    """One tile of a first product (its k in `ranges`) or of the last one (its n).

    Attributes:
        case: ragged case.
        last: of the last product; else of the first ones, which run together.
        ranges: (low, high) by rank.
        enter, leave: by operand: `in` and `first` of first products, `last` and `out` of the last.
        opens, closes: of the sums that the step adds to.
    """

    case: int
    last: bool
    ranges: Ranges
    enter: dict[str, bool]
    leave: dict[str, bool]
    opens: bool
    closes: bool


@dataclass(frozen=True)
class FusedNest(Rendered):
    """Tiles of a feed-forward block, loops b, m, f outermost first, then k and after it n.

    Attributes:
        problem: the block.
        engine: name in the machine.
        tile: tile extent by rank.
        keep: of `in` and `out`: all tiles of a tile of rows stay over the loop over f.
        depth: tiles of an operand on chip at once where there are several.
        ahead: the sums of the next hidden tile are made before this one is used; two have room.
        resident: of `in` and `out`: they lie on chip as whole tensors, and need no tiles.
        inner: how the engine runs a tile of the first products, and one of the last.
    """

    problem: FusedProblem
    engine: str
    tile: Mapping[str, int]
    keep: frozenset[str] = frozenset({"out"})
    depth: int = 2
    ahead: bool = False
    resident: frozenset[str] = frozenset()
    inner: tuple[MatrixMapping | NestMapping, ...] = ()
    dataflow: str = "fused_feed_forward"

    @property
    def name(self) -> str:
        """Name of the first product."""
        return self.problem.name

    @property
    def order(self) -> tuple[str, ...]:
        """Ranks of the loops, outermost first; those over k and n follow one another."""
        return tuple(RANKS)

    def steps(self, rank: str) -> int:
        """Tiles of a rank, of the largest case."""
        return -(-self.problem.largest[rank] // self.tile[rank])

    def held(self, operand: str) -> bool:
        """True when an operand stays over the loop that does not change it.

        That is the loop over f for `in` and `out`, the one over m for the weights.
        """
        inner = {"in": "k", "out": "n", "first": "fk", "last": "fn"}[operand]
        return operand in self.keep or all(self.steps(rank) == 1 for rank in inner)

    @property
    def spills(self) -> bool:
        """True when sums of the result leave the chip between hidden tiles."""
        return self.steps("f") > 1 and not self.held("out")

    @property
    def hidden_tiles(self) -> int:
        """Hidden tiles on chip at once."""
        several = self.steps("b") * self.steps("m") * self.steps("f") * len(self.problem.cases) > 1
        return 2 if self.ahead and several else 1

    def tiles(self) -> Iterator[FusedStep]:
        """Every step in execution order, cases one after the other."""
        waiting: deque[list[FusedStep]] = deque()
        base = 0
        for case, (b, m) in enumerate(self.problem.cases):
            for bs in _cut((base, base + b), self.tile["b"]):
                for ms in _cut((0, m), self.tile["m"]):
                    for fs in _cut((0, self.problem.f), self.tile["f"]):
                        firsts, lasts = self._hidden(case, {"b": bs, "m": ms, "f": fs})
                        yield from firsts
                        waiting.append(lasts)
                        if len(waiting) == self.hidden_tiles:
                            yield from waiting.popleft()
            base += b
        for lasts in waiting:
            yield from lasts

    def _hidden(self, case: int, at: Ranges) -> tuple[list[FusedStep], list[FusedStep]]:
        """One hidden tile: its sums are made, and used up."""
        p, m = self.problem, self.problem.cases[case][1]
        first_m, last_m = at["m"][0] == 0, at["m"][1] == m
        first_f, last_f = at["f"][0] == 0, at["f"][1] == p.f

        def moves(rows: str, weight: str) -> tuple[dict[str, bool], dict[str, bool]]:
            row, w = self.held(rows), self.held(weight)
            enter = {rows: first_f or not row, weight: first_m or not w}
            return enter, {rows: last_f or not row, weight: last_m or not w}

        ks, ns = _cut((0, p.k), self.tile["k"]), _cut((0, p.n), self.tile["n"])
        return [
            FusedStep(
                case, False, {**at, "k": k}, *moves("in", "first"), k[0] == 0, k[1] == p.k
            )
            for k in ks
        ], [
            FusedStep(case, True, {**at, "n": n}, *moves("out", "last"), first_f, last_f)
            for n in ns
        ]  # fmt: skip

    def traffic(self) -> dict[str, tuple[int, int]]:
        """Elements that each operand reads from and writes to memory behind the chip, exact."""
        p, fs = self.problem, self.steps("f")
        total = {operand: [0, 0] for operand in OPERANDS}
        for b, m in p.cases:
            ms = -(-m // self.tile["m"])
            total["in"][0] += b * m * p.k * (1 if self.held("in") else fs)
            total["first"][0] += p.firsts * b * p.k * p.f * (1 if self.held("first") else ms)
            total["last"][0] += b * p.f * p.n * (1 if self.held("last") else ms)
            times = 1 if self.held("out") else fs
            total["out"][1] += b * m * p.n * times
            total["out"][0] += b * m * p.n * (times - 1)
        return {operand: (reads, writes) for operand, (reads, writes) in total.items()}

    def slots(self, operand: str) -> int:
        """Tiles of an operand on chip at once."""
        rank = {"in": "k", "out": "n"}.get(operand, "")
        held = self.steps(rank) if rank and self.held(operand) else 1
        own = {"in": "bmk", "out": "bmn", "first": "bfk", "last": "bfn"}[operand]
        every = prod(self.steps(r) for r in own) > held or len(self.problem.cases) > 1
        return held + (self.depth - 1) * every

    def room_bytes(self) -> dict[str, int]:
        """On-chip bytes of each operand's tiles, sums and hidden tiles included."""
        from archsim.ir.nest_fused_room import room_bytes

        return room_bytes(self)

    def check(self, buffer_bytes: int) -> None:
        """Refuse a nest that misses a rank, or that does not fit.

        Raises:
            Unmappable: with the reason.
        """
        from archsim.ir.nest_fused_room import check

        check(self, buffer_bytes)

    def render(self) -> str:
        """The nest as text, with what each operand holds."""
        from archsim.ir.nest_fused_text import render

        return render(self)


def _cut(of: tuple[int, int], tile: int) -> list[tuple[int, int]]:
    return [(low, min(low + tile, of[1])) for low in range(of[0], of[1], tile)]
