"""An attention stage as numbers: heads, queries, keys, dimensions and masks, case by case."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.ir.graph import OpGraph
from archsim.ir.tensor import DType
from archsim.system.place import Stage


@dataclass(frozen=True)
class Heads:
    """Alike heads of a ragged case: key heads, query heads to each, queries, keys."""

    key_heads: int
    rows: int
    queries: int
    keys: int


@dataclass(frozen=True)
class Work:
    """An attention stage as numbers."""

    cases: tuple[Heads, ...]
    key_dim: int
    value_dim: int
    causal: bool
    reach: int | None
    dtype: DType

    @property
    def dims(self) -> int:
        """Elements of a key and of a value together."""
        return self.key_dim + self.value_dim

    @property
    def points(self) -> int:
        """Scores of the whole op, those that causality rules out counted too."""
        return sum(c.key_heads * c.rows * c.queries * c.keys for c in self.cases)


def work_of(stage: Stage, graph: OpGraph) -> Work:
    """Extents of a stage's scores and values."""
    score, value = stage.ops[0], stage.ops[-1]
    cases = []
    for _, ranks in score.cases():
        queries = score.queries or ranks["M"]
        cases.append(Heads(ranks["B"], ranks["M"] // queries, queries, ranks["N"]))
    dtype = graph.tensors[score.reads[1].tensor].dtype
    return Work(tuple(cases), score.ranks["K"], value.ranks["N"], score.causal, score.reach, dtype)
