"""What ops ask of whoever runs them: operations, bytes and rows, for those that belong together.

An attention is scores, softmax and values; the experts of a layer are all products with a stack of
theirs and the activation between them. Such a group is one question: what passes from one of its
ops to the next stays where they run, and does not count as moved. Which engine gets it is decided
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Op
from archsim.ir.problem import problem

PARTIAL_BITS = 32  # of sums in a product's view: nothing here depends on it


@dataclass(frozen=True)
class Work:
    """What a group of ops asks.

    Attributes:
        operations: two a MAC; arithmetic primitives where the group multiplies no matrices.
        size_bytes: of the distinct elements that it reads from outside and leaves there.
        rows: of input that a matrix meets, on average; 0 where there are none.
    """

    operations: int
    size_bytes: int
    rows: float

    @property
    def intensity(self) -> float:
        """Operations a byte, Op/B."""
        return self.operations / self.size_bytes if self.size_bytes else float("inf")


def groups_of(block: Block) -> tuple[tuple[Op, ...], ...]:
    """The ops of a block in groups that belong together, most of one op; each in one group."""
    writer = {a.tensor: op for op in block.ops for a in op.writes}
    leader: dict[str, str] = {}  # name of an op -> of the group's first found
    stacks: dict[tuple[str, str], str] = {}
    for op in block.ops:
        if op.op_class == "attention_value":
            chain = _attention(op, writer)
            leader |= dict.fromkeys((one.name for one in chain), op.name)
        elif op.picks is not None:
            first = stacks.setdefault((op.picks.of, op.split_for), op.name)
            leader[op.name] = first
            between = writer.get(op.reads[0].tensor)
            if between is not None and _between(between, writer, op.picks.of):
                leader[between.name] = first
    found: dict[str, list[Op]] = {}
    for op in block.ops:
        found.setdefault(leader.get(op.name, op.name), []).append(op)
    return tuple(tuple(ops) for ops in found.values())


def _attention(value: Op, writer: Mapping[str, Op]) -> tuple[Op, ...]:
    """Scores, softmax and values; the values alone where they are of no scores."""
    softmax = writer.get(value.reads[0].tensor)
    score = writer.get(softmax.reads[0].tensor) if softmax is not None else None
    if softmax is None or score is None or score.op_class != "attention_score":
        return (value,)
    return score, softmax, value


def _between(op: Op, writer: Mapping[str, Op], stack: str) -> bool:
    """True for a vector op whose every input a product with that stack has written."""
    made = [writer.get(a.tensor) for a in op.reads]
    return not op.is_mac and all(
        one is not None and one.picks is not None and one.picks.of == stack for one in made
    )


def work_of(graph: OpGraph, ops: Iterable[Op]) -> Work:
    """What some ops ask together."""
    group = tuple(ops)
    macs = sum(op.macs() for op in group)
    primitives = sum(sum(op.primitive_counts().values()) for op in group)
    return Work(2 * macs or primitives, _moved_bytes(graph, group), _rows(graph, group))


def _moved_bytes(graph: OpGraph, group: tuple[Op, ...]) -> int:
    """Bytes of the distinct elements that come from outside a group, or that it leaves there."""
    written = {a.tensor for op in group for a in op.writes}
    read = {a.tensor for op in group for a in op.reads}
    sizes: dict[str, int] = {}
    for op in group:
        moved = [a for a in op.reads if a.tensor not in written]
        moved += [a for a in op.writes if a.tensor not in read]
        for access in moved:
            size = graph.touched_bytes(access)
            sizes[access.tensor] = max(size, sizes.get(access.tensor, 0))
    return sum(sizes.values())


def _rows(graph: OpGraph, group: tuple[Op, ...]) -> float:
    """Rows of input that each matrix of the first product meets, on average."""
    first = next((op for op in group if op.is_mac), None)
    if first is None:
        return 0.0
    cases = problem(first, graph.tensors, PARTIAL_BITS).cases
    if first.groups:
        counts = [(e.b, e.m) for e in cases]
        return sum(b * m for b, m in counts) / sum(b for b, _ in counts)
    return float(cases[0].m)
