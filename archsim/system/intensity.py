"""Op/B: how many operations the ops of a graph have for each byte that they must touch.

By class and phase, for ops that belong together as one: dispatch rules with limits ask for these
numbers. Nothing of a machine is in them.
"""

from __future__ import annotations

from dataclasses import dataclass

from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.system.dispatch_work import groups_of, work_of


@dataclass(frozen=True)
class Intensity:
    """What the ops of a class ask, repeats counted.

    Attributes:
        op_class: of the group's products; `attention` for scores, softmax and values together.
        phase: whose tokens they work on.
        groups: of ops, repeats counted.
        operations: two a MAC.
        size_bytes: of the distinct elements that each group reads from outside or leaves there.
        rows: of input that a matrix meets, on average.
    """

    op_class: str
    phase: str
    groups: int
    operations: int
    size_bytes: int
    rows: float

    @property
    def op_per_byte(self) -> float:
        """Operations a byte."""
        return self.operations / self.size_bytes


def intensities(graph: OpGraph) -> list[Intensity]:
    """Those of the classes that multiply matrices, in the order in which they first occur."""
    found: dict[tuple[str, str], Intensity] = {}
    for block in graph.blocks:
        for ops in groups_of(block):
            if not any(op.is_mac for op in ops):
                continue
            work, n, key = work_of(graph, ops), block.count, _class(ops)
            old = found.get(key, Intensity(*key, 0, 0, 0, 0.0))
            groups = old.groups + n
            found[key] = Intensity(
                *key,
                groups,
                old.operations + n * work.operations,
                old.size_bytes + n * work.size_bytes,
                (old.groups * old.rows + n * work.rows) / groups,
            )
    return list(found.values())


def _class(ops: tuple[Op, ...]) -> tuple[str, str]:
    """Class and phase of a group."""
    classes = dict.fromkeys(op.op_class for op in ops if op.is_mac)
    name = "attention" if "attention_value" in classes and len(classes) > 1 else next(iter(classes))
    return name, ops[0].phase
