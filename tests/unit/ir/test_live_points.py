"""Does a mask leave exactly the points that a walk over all of them leaves?"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from archsim.ir.op import Access, Kind, Op


def walked(queries: int, keys: int, reach: int | None, causal: bool) -> int:
    """(query, key) pairs that matter, one by one."""
    seen = 0
    for i in range(queries):
        newest = keys - queries + i if causal else keys - 1
        for j in range(newest + 1):
            seen += reach is None or j > newest - reach
    return seen


@given(
    queries=st.integers(1, 12),
    before=st.integers(0, 12),
    reach=st.none() | st.integers(1, 30),
    causal=st.booleans(),
    shared=st.integers(1, 3),
)
def test_the_closed_form_is_the_walk(
    queries: int, before: int, reach: int | None, causal: bool, shared: int
) -> None:
    keys = queries + before
    ranks = {"B": 2, "M": queries * shared, "N": keys, "K": 8}
    op = Op(
        "score", Kind.GEMM, "attention_score", ranks, (Access("q"), Access("k")), (Access("s"),),
        causal=causal, queries=queries, reach=reach,
    )  # fmt: skip
    assert op.live_points() == 2 * 8 * shared * walked(queries, keys, reach, causal)


def test_an_op_without_queries_has_no_mask() -> None:
    op = Op("a", Kind.VECTOR, "norm", {"M": 3, "N": 5}, (Access("x"),), (Access("y"),))
    assert op.live_points() == op.points() == 15
