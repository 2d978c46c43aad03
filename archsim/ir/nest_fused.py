"""A feed-forward block as one nest: its products share the loops over rows and hidden columns.

For each tile of rows, and each tile of hidden columns, the first products (gate and up, or up
alone) run over their reduction, the activation makes a hidden tile of their sums, and the last
product adds it to its outputs at once: the hidden tensor never leaves the chip. Ranks: b problems
(experts), m rows, f hidden columns, k and n columns of the input and the result.

What stays follows the rule of `nest`: a tile stays while only loops inside its own innermost loop
step. `keep` says that all tiles of the input stay over the loop over f, or all sums of the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from archsim.core.errors import Unmappable
from archsim.ir.op import Op
from archsim.ir.tensor import DType, Tensor

RANKS = "bmfkn"
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
    *firsts, act, last = ops
    one = firsts[0]
    made = {op.writes[0].tensor for op in firsts}
    chained = (
        all(op.reads[0].tensor == one.reads[0].tensor for op in firsts)
        and made <= {access.tensor for access in act.reads}
        and last.reads[0].tensor == act.writes[0].tensor
    )
    rows = [tuple((r["B"], r["M"]) for _, r in op.cases()) for op in (*firsts, last)]
    alike = all(op.ranks["K"] == one.ranks["K"] for op in firsts)
    alike = alike and all(op.ranks["N"] == last.ranks["K"] for op in firsts)
    if not chained or not alike or any(some != rows[0] for some in rows) or act.reduces:
        names = ", ".join(op.name for op in ops)
        raise Unmappable(f"{names} are no feed-forward block that shares its rows", code="E302")
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
class FusedNest:
    """Tiles of a feed-forward block, loops b, m, f outermost first, then k and after it n.

    Attributes:
        problem: the block.
        engine: name in the machine.
        tile: tile extent by rank.
        keep: of `in` and `out`: all tiles of a tile of rows stay over the loop over f.
        depth: tiles of an operand on chip at once where there are several.
    """

    problem: FusedProblem
    engine: str
    tile: Mapping[str, int]
    keep: frozenset[str] = frozenset({"out"})
    depth: int = 2
    dataflow: str = "fused_feed_forward"

    @property
    def name(self) -> str:
        """Name of the first product."""
        return self.problem.name

    def steps(self, rank: str) -> int:
        """Tiles of a rank, of the largest case."""
        return -(-self.problem.largest[rank] // self.tile[rank])

    def held(self, operand: str) -> bool:
        """True when an operand stays over the loop that does not change it.

        That is the loop over f for `in` and `out`, the one over m for the weights.
        """
        inner = {"in": "k", "out": "n", "first": "fk", "last": "fn"}[operand]
        return operand in self.keep or all(self.steps(rank) == 1 for rank in inner)

    def tiles(self) -> Iterator[FusedStep]:
        """Every step in execution order, cases one after the other."""
        base = 0
        for case, (b, m) in enumerate(self.problem.cases):
            for bs in _cut((base, base + b), self.tile["b"]):
                for ms in _cut((0, m), self.tile["m"]):
                    for fs in _cut((0, self.problem.f), self.tile["f"]):
                        yield from self._hidden(case, {"b": bs, "m": ms, "f": fs})
            base += b

    def _hidden(self, case: int, at: Ranges) -> Iterator[FusedStep]:
        """One hidden tile: its sums are made, and used up."""
        p, m = self.problem, self.problem.cases[case][1]
        first_m, last_m = at["m"][0] == 0, at["m"][1] == m
        first_f, last_f = at["f"][0] == 0, at["f"][1] == p.f

        def moves(rows: str, weight: str) -> tuple[dict[str, bool], dict[str, bool]]:
            row, w = self.held(rows), self.held(weight)
            enter = {rows: first_f or not row, weight: first_m or not w}
            return enter, {rows: last_f or not row, weight: last_m or not w}

        for ks in _cut((0, p.k), self.tile["k"]):
            opens, closes = ks[0] == 0, ks[1] == p.k
            yield FusedStep(case, False, {**at, "k": ks}, *moves("in", "first"), opens, closes)
        for ns in _cut((0, p.n), self.tile["n"]):
            yield FusedStep(case, True, {**at, "n": ns}, *moves("out", "last"), first_f, last_f)

    def traffic(self) -> dict[str, tuple[int, int]]:
        """Elements that each operand reads from and writes to memory behind the chip, exact."""
        p, fs = self.problem, self.steps("f")
        total = {operand: [0, 0] for operand in ("in", "first", "last", "out")}
        for b, m in p.cases:
            ms = -(-m // self.tile["m"])
            total["in"][0] += b * m * p.k * (1 if self.held("in") else fs)
            total["first"][0] += p.firsts * b * p.k * p.f * (1 if self.held("first") else ms)
            total["last"][0] += b * p.f * p.n * (1 if self.held("last") else ms)
            times = 1 if self.held("out") else fs
            total["out"][1] += b * m * p.n * times
            total["out"][0] += b * m * p.n * (times - 1)
        return {operand: (reads, writes) for operand, (reads, writes) in total.items()}

    def stays_on_chip(self) -> int:
        """Elements of hidden tensors that op by op would be written and read again."""
        return (
            2
            * (self.problem.firsts + 1)
            * sum(b * m for b, m in self.problem.cases)
            * (self.problem.f)
        )

    def slots(self, operand: str) -> int:
        """Tiles of an operand on chip at once."""
        rank = {"in": "k", "out": "n"}.get(operand, "")
        held = self.steps(rank) if rank and self.held(operand) else 1
        own = {"in": "bmk", "out": "bmn", "first": "bfk", "last": "bfn"}[operand]
        every = prod(self.steps(r) for r in own) > held or len(self.problem.cases) > 1
        return held + (self.depth - 1) * every

    def room_bytes(self) -> dict[str, int]:
        """On-chip bytes of each operand's tiles, sums and hidden tile included."""
        p, t = self.problem, self.tile
        hidden = t["b"] * t["m"] * t["f"]
        out = t["b"] * t["m"] * t["n"]
        width = p.partial_bits if self.steps("f") > 1 else p.dtypes["out"].bits
        return {
            "in": self.slots("in") * p.dtypes["in"].bytes(t["b"] * t["m"] * t["k"]),
            "first": p.firsts
            * self.slots("first")
            * p.dtypes["first"].bytes(t["b"] * t["k"] * t["f"]),
            "hidden": -(-p.firsts * hidden * p.partial_bits // 8)
            + p.dtypes["hidden"].bytes(hidden),
            "last": self.slots("last") * p.dtypes["last"].bytes(t["b"] * t["f"] * t["n"]),
            "out": self.slots("out") * -(-out * width // 8),
        }

    def check(self, buffer_bytes: int) -> None:
        """Refuse a nest that misses a rank, or that does not fit.

        Raises:
            Unmappable: with the reason.
        """
        missing = [rank for rank in RANKS if self.tile.get(rank, 0) < 1]
        if missing:
            raise Unmappable(f"{self.name}: rank {missing[0]} is missed: it has no tile")
        if self.keep - {"in", "out"}:
            raise Unmappable(f"{self.name}: only in and out stay over the loop over f")
        room = self.room_bytes()
        if sum(room.values()) > buffer_bytes:
            parts = ", ".join(f"{operand} {n}" for operand, n in room.items())
            raise Unmappable(
                f"{self.name}: tiles need {sum(room.values())} bytes on chip ({parts}), "
                f"{buffer_bytes} are free"
            )

    def render(self) -> str:
        """The nest as text, with what each operand holds."""
        e = self.problem.largest
        extents = "  ".join(f"{rank} {e[rank]}" for rank in RANKS if e[rank] > 1)
        lines, indent = [f"{self.name}: {self.dataflow} on {self.engine}   [{extents}]"], "  "
        for rank in "bmf":
            if self.steps(rank) > 1:
                lines.append(f"{indent}for {rank} in {self.steps(rank)} tiles of {self.tile[rank]}")
                indent += "  "
        for operand, room in self.room_bytes().items():
            lines.append(f"{indent}hold {operand}: {room} B")
        firsts = "gate and up" if self.problem.firsts > 1 else "up"
        for rank, what in (("k", f"{firsts} += in weight"), ("n", "out += hidden weight")):
            lines.append(f"{indent}for {rank} in {self.steps(rank)} tiles of {self.tile[rank]}")
            lines.append(f"{indent}  {what}")
            if rank == "k":
                lines.append(f"{indent}hidden = activation of the sums")
        return "\n".join(lines)


def _cut(of: tuple[int, int], tile: int) -> list[tuple[int, int]]:
    return [(low, min(low + tile, of[1])) for low in range(of[0], of[1], tile)]
