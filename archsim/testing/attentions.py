"""Small attentions for tests: their three ops with tensors, and hypothesis strategies."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from archsim.ir.attention_problem import AttentionProblem, attention_problem
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Group, Kind, Op
from archsim.ir.tensor import DTYPES, Role, Tensor
from archsim.lowering.primitives import total


def attention_graph(
    b: int,
    rows: int,
    queries: int,
    keys: tuple[tuple[int, int], ...],
    dims: tuple[int, int],
    *,
    causal: bool = False,
    reach: int | None = None,
    one_cache: bool = False,
    dtype: str = "bf16",
    cache: str = "bf16",
) -> OpGraph:
    """Scores, softmax and values over a cache.

    Args:
        b: problems; where `keys` has several entries they add up to it.
        rows: of a problem for each query position.
        queries: query positions.
        keys: (keys, problems) of each ragged case; the longest one last.
        dims: elements of a key and of a value.
        causal: whether a query sees no later keys.
        reach: most keys that a query sees.
        one_cache: a value is the head of its key.
        dtype: element type of activations.
        cache: element type of keys and values.
    """
    m, longest = rows * queries, keys[-1][0]
    seen, ragged = sum(n * count for n, count in keys), len(keys) > 1
    shapes = {
        "q": (b, m, dims[0]),
        "k": (seen, dims[0]),
        "v": (seen, dims[1]),
        "s": (m, seen),
        "p": (m, seen),
        "o": (b, m, dims[1]),
    }
    tensors = {
        name: Tensor(name, shape, DTYPES[dtype], Role.ACTIVATION)
        if name not in "kv"
        else Tensor(name, shape, DTYPES[cache], Role.KV_CACHE)
        for name, shape in shapes.items()
    }
    forms = total("softmax", "mask") if causal or reach else total("softmax")

    def groups(per: int, rank: str) -> tuple[Group, ...]:
        return tuple(Group(per * n, ((rank, length),)) for length, n in keys) if ragged else ()

    def op(name: str, kind: Kind, ranks: dict[str, int], names: str, out: str, rank: str) -> Op:
        per = m if kind is Kind.VECTOR else 1
        return Op(
            f"attn.{name}", kind, name if kind is Kind.VECTOR else f"attention_{name}", ranks,
            tuple(Access(n) for n in names), (Access(out),), groups=groups(per, rank),
            causal=causal, queries=queries, reach=reach,
        )  # fmt: skip

    softmax = op("softmax", Kind.VECTOR, {"M": b * m, "N": longest}, "s", "p", "N")
    values = "pk" if one_cache else "pv"
    ops = (
        op("score", Kind.GEMM, {"B": b, "M": m, "N": longest, "K": dims[0]}, "qk", "s", "N"),
        replace(softmax, primitives=forms.point, row_primitives=forms.row, reduces=True),
        op("value", Kind.GEMM, {"B": b, "M": m, "N": dims[1], "K": longest}, values, "o", "K"),
    )
    if one_cache:
        del tensors["v"]
    return OpGraph("attention", (Block("layer", 1, ops),), tensors)


def problem_of(graph: OpGraph) -> AttentionProblem:
    """The attention of such a graph, with sums of 32 bits."""
    return attention_problem(graph.blocks[0].ops, graph.tensors, 32)


@st.composite
def attentions(draw: st.DrawFn) -> OpGraph:
    """Small attentions: masked or not, grouped or not, ragged or not, one cache or two."""
    rows, queries = draw(st.integers(1, 4)), draw(st.sampled_from([1, 1, 5, 16, 24]))
    before = draw(st.integers(0, 40))
    keys: tuple[tuple[int, int], ...] = ((queries + before, draw(st.integers(1, 5))),)
    if queries == 1 and draw(st.booleans()):
        keys = ((draw(st.integers(1, queries + before)), 2), keys[0])
        keys = keys if keys[0][0] < keys[1][0] else keys[1:]
    causal = draw(st.booleans())
    # every key of the tensor is seen by some query: what no op reads is not in the tensor
    reach = draw(st.sampled_from([None, 3, 9])) if causal and before == 0 else None
    dims = (draw(st.integers(4, 9)), draw(st.integers(1, 4)))
    return attention_graph(
        sum(n for _, n in keys), rows, queries, keys, dims,
        causal=causal, reach=reach, one_cache=draw(st.booleans()),
        dtype=draw(st.sampled_from(["bf16", "fp32"])),
        cache=draw(st.sampled_from(["bf16", "int8", "int4g128"])),
    )  # fmt: skip
