"""Finding the layers of a model that is written out: runs of alike ops become repeating blocks.

Two runs are alike when they differ in names only: each has weights of its own, reads what the run
before it wrote (or, the first, what came before), and nobody else reads what is inside.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass, field, replace

from archsim.ir.graph import Block
from archsim.ir.op import Access, Kind, Op
from archsim.ir.tensor import Role, Tensor

LEAST = 4  # ops that a block must save


@dataclass
class _Run:
    """A candidate: `period` ops from `start` on, and what the second run taught of the names."""

    start: int
    period: int
    count: int = 1
    carry: dict[str, str] = field(default_factory=dict)  # read by the first: written by each
    shared: set[str] = field(default_factory=set)  # read by all, written before
    names: list[dict[str, str]] = field(default_factory=list)  # of each run: ours to its own

    @property
    def saved(self) -> int:
        """Ops that need not be written out."""
        return self.period * (self.count - 1)


class Folder:
    """Cuts a list of ops into blocks.

    Args:
        ops: in a topological order.
        tensors: every tensor of the ops.
        results: tensors that the model gives back, which must not vanish inside a block.
    """

    def __init__(
        self, ops: list[Op], tensors: Mapping[str, Tensor], results: Collection[str]
    ) -> None:
        self.ops, self.tensors, self.results = ops, tensors, results
        self.writer = {a.tensor: i for i, op in enumerate(ops) for a in op.writes}
        self.readers: dict[str, list[int]] = {}
        for i, op in enumerate(ops):
            for access in op.reads:
                self.readers.setdefault(access.tensor, []).append(i)
        numbers: dict[Hashable, int] = {}
        self.form = [numbers.setdefault(self._form(op), len(numbers)) for op in ops]

    def blocks(self) -> tuple[Block, ...]:
        """Blocks in order; later ones name the tensors of a repeat as its first run does."""
        found: list[Block] = []
        plain: list[Op] = []
        renamed: dict[str, str] = {}

        def close() -> None:
            if plain:
                found.append(Block("", 1, tuple(plain)))
                plain.clear()

        at = 0
        while at < len(self.ops):
            run = self._best(at)
            if run is None:
                plain.append(_renamed(self.ops[at], renamed))
                at += 1
                continue
            close()
            ops = tuple(_renamed(op, renamed) for op in self._ops(run, 0))
            carry = tuple((renamed.get(read, read), made) for read, made in run.carry.items())
            found.append(Block("", run.count, ops, carry))
            renamed |= {own: ours for ours, own in run.names[-1].items()}
            at += run.period * run.count
        close()
        several = len(found) > 1
        return tuple(
            replace(block, name=f"ops{i}" if several else "ops") for i, block in enumerate(found)
        )

    def _form(self, op: Op) -> Hashable:
        """All of an op but the names of its tensors and its own."""

        def side(accesses: tuple[Access, ...]) -> Hashable:
            return tuple(
                (self.tensors[a.tensor].shape, self.tensors[a.tensor].role, a.dims, a.touched)
                for a in accesses
            )

        counts = (op.ranks, op.primitives, op.row_primitives)
        flags = (op.reduces, op.groups, op.window, op.causal, op.queries, op.reach)
        return (
            op.kind, op.op_class, *(tuple(x.items()) for x in counts), flags,
            side(op.reads), side(op.writes),
        )  # fmt: skip

    def _best(self, start: int) -> _Run | None:
        """The runs from an op on that save most, if they save enough.

        None begins with a vector op behind what it reads: the two may be fused.
        """
        best: _Run | None = None
        if self.ops[start].kind is Kind.VECTOR and start > 0:
            made = {a.tensor for a in self.ops[start - 1].writes}
            if made & {a.tensor for a in self.ops[start].reads}:
                return None
        form, left = self.form, len(self.ops) - start
        for period in range(1, left // 2 + 1):
            if form[start] != form[start + period]:
                continue
            run = self._counted(start, period)
            if run.saved >= max(LEAST, best.saved + 1 if best else 0):
                best = run
        return best

    def _counted(self, start: int, period: int) -> _Run:
        """As many alike runs as there are."""
        run = _Run(start, period)
        run.names.append({a.tensor: a.tensor for op in self._ops(run, 0) for a in op.writes})
        while start + (run.count + 1) * period <= len(self.ops) and self._next(run):
            run.count += 1
        return run

    def _ops(self, run: _Run, j: int) -> list[Op]:
        first = run.start + j * run.period
        return self.ops[first : first + run.period]

    def _next(self, run: _Run) -> bool:
        """True when a further run is alike and the one before can be hidden."""
        j, first = run.count, run.start + run.count * run.period
        forms = [self.form[at : at + run.period] for at in (run.start, first)]
        if forms[0] != forms[1]:
            return False
        names = {
            a.tensor: b.tensor
            for one, other in zip(self._ops(run, 0), self._ops(run, j), strict=True)
            for a, b in zip(one.writes, other.writes, strict=True)
        }
        carry, shared = dict(run.carry), set(run.shared)
        before = {own: ours for ours, own in run.names[j - 1].items()}
        for one, other in zip(self._ops(run, 0), self._ops(run, j), strict=True):
            for a, b in zip(one.reads, other.reads, strict=True):
                ours, own = a.tensor, b.tensor
                if ours in names or self.tensors[ours].role is Role.WEIGHT:
                    alike = names.setdefault(ours, own) == own and ours != own
                elif ours == own:
                    shared.add(ours)
                    alike = True
                else:
                    alike = own in before and carry.setdefault(ours, before[own]) == before[own]
                if not alike:
                    return False
        one_to_one = len(set(names.values())) == len(names)
        if (
            not one_to_one
            or shared & carry.keys()
            or not self._hidden(run, j, names, set(carry.values()))
        ):
            return False
        run.carry, run.shared = carry, shared
        run.names.append(names)
        return True

    def _hidden(self, run: _Run, j: int, names: dict[str, str], carried: set[str]) -> bool:
        """True when what the run before writes, and either's weights, are read nowhere else."""
        first = run.start + (j - 1) * run.period
        own, after = range(first, first + run.period), range(first, first + 2 * run.period)
        for ours, theirs in run.names[j - 1].items():
            inside = after if ours in carried else own
            if theirs in self.results or any(i not in inside for i in self.readers.get(theirs, ())):
                return False
        last = range(first + run.period, first + 2 * run.period)
        start = range(run.start, run.start + run.period)
        return all(
            set(self.readers[ours]) <= set(start) and set(self.readers[theirs]) <= set(last)
            for ours, theirs in names.items()
            if self.tensors[ours].role is Role.WEIGHT
        )


def _renamed(op: Op, names: Mapping[str, str]) -> Op:
    """An op that reads tensors under the names by which blocks before it know them."""
    reads = tuple(replace(a, tensor=names.get(a.tensor, a.tensor)) for a in op.reads)
    return replace(op, reads=reads)
