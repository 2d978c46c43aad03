"""An attention as numbers: queries, keys and widths, case by case, and what a mapping may know.

The op that is left when scores are no tensor: `out = softmax(mask(q k^T)) v`, one problem for each
sequence and key head, whose rows are the query heads that share it, query-major. How it is cut into
tiles is in `flash`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from archsim.core.errors import Unmappable
from archsim.ir.op import Op
from archsim.ir.target import Cost, Ints, Tiles
from archsim.ir.tensor import DType, Tensor


@dataclass(frozen=True, slots=True)
class Heads:
    """One ragged case: `b` alike problems of `m` rows that look at `keys` keys."""

    b: int
    m: int
    keys: int


@dataclass(frozen=True)
class AttentionProblem:
    """An attention whose scores need not exist outside the chip.

    Attributes:
        name: of the op that scores.
        cases: extents, one a ragged case.
        queries: query positions in the rows of a problem, which are query-major.
        key_dim, value_dim: elements of a key and of a value.
        causal: query i sees keys up to `keys - queries + i`.
        reach: a query sees only the last so many of those keys; None means all of them.
        dtypes: element types of `q`, `k`, `v`, `shares` and `out`.
        partial_bits: width of scores and of sums that are not complete.
        one_cache: keys and values are one tensor, a value the head of its key.
        extra_bits: read from memory beside each score, such as a mask that is given as a tensor.
        row_bits: kept of each row for a backward pass: the logarithm of its sum.
    """

    name: str
    cases: tuple[Heads, ...]
    queries: int
    key_dim: int
    value_dim: int
    causal: bool
    reach: int | None
    dtypes: dict[str, DType]
    partial_bits: int
    one_cache: bool = False
    extra_bits: int = 0
    row_bits: int = 0

    @property
    def largest(self) -> Heads:
        """Extents that cover every case: tile sizes are chosen for them."""
        return Heads(*(max(getattr(c, r) for c in self.cases) for r in ("b", "m", "keys")))

    @property
    def points(self) -> int:
        """Scores of the whole op, those that a mask rules out counted too."""
        return sum(c.b * c.m * c.keys for c in self.cases)

    @property
    def masked(self) -> bool:
        """True when some query does not see every key."""
        late = self.causal and self.queries > 1
        return late or any((self.reach or c.keys) < c.keys for c in self.cases)

    def seen(self, case: Heads, low: Any, high: Any) -> tuple[Any, Any]:
        """Keys that some row from `low` up to `high` sees: the first, and the one after the last.

        Rows are integers, or arrays of them. A query that a mask leaves no key sees the first.
        """
        rows = max(1, case.m // self.queries)
        first, last = low // rows, (high - 1) // rows
        before = case.keys - self.queries + 1 if self.causal else case.keys
        step = 1 if self.causal else 0
        end = _clip(before + step * last, 1, case.keys)
        reach = self.reach or case.keys
        return _clip(before + step * first - reach, 0, end - 1), end


def _clip(value: Any, low: int, high: Any) -> Any:
    """As `np.clip`, which takes long over one integer."""
    if isinstance(value, np.ndarray):
        return np.clip(value, low, high)
    return min(max(value, low), high)


@dataclass(frozen=True)
class PairTarget:
    """A multiply-accumulate engine with a vector unit beside it, as mappings see them.

    Attributes:
        engine: name in the machine description.
        rows, cols, count: of the arrays.
        clock_hz, vector_clock_hz: clocks.
        buffer_bytes: on-chip bytes that the tiles may occupy.
        dram_bytes_per_s, dram_latency_s: of the memory behind the buffer.
        depth: tiles of an operand on chip at once, where there are several.
        resident: operands that already lie on chip, or stay there.
    """

    engine: str
    rows: int
    cols: int
    count: int
    clock_hz: float
    vector_clock_hz: float
    buffer_bytes: int
    dram_bytes_per_s: float
    dram_latency_s: float
    depth: int
    resident: frozenset[str]


@dataclass(frozen=True)
class AttentionTarget(PairTarget):
    """The two, and what the steps of an attention cost them.

    Attributes:
        score, value: cost of tiles of either product.
        softmax: cycles of the vector unit for (points, rows) of a tile of scores.
        join: cycles to add (outputs, rows) of a tile to the sums that run.
        finish: cycles to divide (outputs, rows) by the sums of their rows.
    """

    score: Callable[[Tiles], Cost]
    value: Callable[[Tiles], Cost]
    softmax: Callable[[Ints, Ints], Ints]
    join: Callable[[Ints, Ints], Ints]
    finish: Callable[[Ints, Ints], Ints]


def attention_problem(
    ops: tuple[Op, ...], tensors: Mapping[str, Tensor], accumulator_bits: int
) -> AttentionProblem:
    """The attention that scores, softmax and values are together.

    Args:
        ops: the product that scores, vector ops on each score, the product with the values.
        tensors: the graph's tensors, for element types.
        accumulator_bits: width of partial sums.

    Raises:
        Unmappable: when they are something else.
    """
    score, value = ops[0], ops[-1]
    cases = []
    for (_, one), (_, other) in zip(score.cases(), value.cases(), strict=True):
        same = (one["B"], one["M"], one["N"]) == (other["B"], other["M"], other["K"])
        if not same or one["M"] % (score.queries or one["M"]):
            raise Unmappable(f"{score.name}: scores and values do not fit each other")
        cases.append(Heads(one["B"], one["M"], one["N"]))
    for op in ops[1:-1]:
        if op.points() != score.points() // score.ranks["K"]:
            raise Unmappable(f"{op.name} is not at each score, so scores must be a tensor")
    names = {
        "q": score.reads[0].tensor,
        "k": score.reads[1].tensor,
        "shares": value.reads[0].tensor,
        "v": value.reads[1].tensor,
        "out": value.writes[0].tensor,
    }
    beside = [tensors[a.tensor] for op in ops[1:-1] for a in op.writes[1:]]
    return AttentionProblem(
        name=score.name,
        cases=tuple(cases),
        queries=score.queries or score.ranks["M"],
        key_dim=score.ranks["K"],
        value_dim=value.ranks["N"],
        causal=score.causal,
        reach=score.reach,
        dtypes={word: tensors[name].dtype for word, name in names.items()},
        partial_bits=accumulator_bits,
        one_cache=names["k"] == names["v"],
        row_bits=sum(tensor.dtype.bits for tensor in beside),
    )
