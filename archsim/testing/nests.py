"""Small loop nests for tests: hypothesis draws tiles, orders, what is kept, and axes."""

from __future__ import annotations

from hypothesis import strategies as st

from archsim.ir.nest import NestLevel, NestLoop, NestMapping
from archsim.ir.nest_ranks import OPERANDS, REDUCED, largest_extents
from archsim.ir.op import Group
from archsim.ir.problem import Problem, problem
from archsim.testing.problems import Case, conv, gemm


@st.composite
def small_gemms(draw: st.DrawFn) -> Case:
    """GEMMs of at most a thousand products: batched or not."""
    b = draw(st.sampled_from([1, 1, 2, 3]))
    m, n, k = (draw(st.integers(1, 9)) for _ in range(3))
    return gemm(b, m, n, k)


@st.composite
def ragged_gemms(draw: st.DrawFn) -> Case:
    """GEMMs of experts: each group of problems has its own rows."""
    m, n, k = draw(st.integers(2, 8)), draw(st.integers(1, 7)), draw(st.integers(1, 7))
    counts = sorted({draw(st.integers(1, m)) for _ in range(draw(st.integers(1, 3)))} | {m})
    groups = tuple(Group(draw(st.integers(1, 2)), (("M", rows),)) for rows in counts)
    return gemm(sum(group.count for group in groups), m, n, k, groups)


@st.composite
def small_convs(draw: st.DrawFn) -> Case:
    """Convolutions of a few thousand products: stride, padding, dilation, groups, depthwise."""
    taps, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    least = dilation * (taps - 1) + 1
    size = (draw(st.integers(least, 7)), draw(st.integers(least, 7)))
    window = (draw(st.integers(1, 3)), dilation, draw(st.integers(0, 2)))
    form = draw(st.sampled_from(["dense", "grouped", "depthwise", "pointwise"]))
    groups = {"dense": 1, "pointwise": 1, "grouped": 2, "depthwise": 4}[form]
    filters, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    if form == "depthwise":
        filters = channels = 1
    if form == "pointwise":
        taps, window = 1, (window[0], 1, 0)
    return conv(draw(st.integers(1, 2)), groups, filters, channels, size, taps, window)


@st.composite
def nests(draw: st.DrawFn, cases: st.SearchStrategy[Case]) -> NestMapping:
    """A legal nest of a drawn op: any tiles, order, what is kept, and axes."""
    op, tensors = draw(cases)
    return draw(nests_of(problem(op, tensors, 32)))


@st.composite
def nests_of(draw: st.DrawFn, view: Problem) -> NestMapping:
    """A legal nest of a problem."""
    extents = largest_extents(view.op)
    deep = draw(st.booleans())
    loops: list[list[NestLoop]] = [[], [], []]
    for rank, extent in extents.items():
        size = extent
        axes = ["rows", "cols"] + ([] if rank in REDUCED[view.op.kind] else ["count"])
        if draw(st.booleans()):
            size = draw(st.integers(1, size))
            loops[0].append(NestLoop(rank, size))
        for _ in range(draw(st.integers(0, 2))):
            size = draw(st.integers(1, size))
            axis = draw(st.sampled_from(["", *axes]))
            loops[1].append(NestLoop(rank, size, axis))
        loops[2 if deep else 1].append(NestLoop(rank, 1))
    # loops of one rank keep their order, tiles only shrink
    orders = [_in_order(draw(st.permutations(some))) for some in loops]
    kept = [frozenset(t for t in OPERANDS if draw(st.booleans())) for _ in range(2)]
    kept[0] |= frozenset(OPERANDS) - (kept[1] if deep else frozenset())
    levels = [
        NestLevel("dram", frozenset(OPERANDS), orders[0]),
        NestLevel("buffer", kept[0], orders[1]),
        NestLevel("registers", kept[1], orders[2]),
    ]
    return NestMapping(view, "array", "nest", tuple(levels[: 3 if deep else 2]))


def _in_order(loops: list[NestLoop]) -> tuple[NestLoop, ...]:
    """The drawn order of ranks, with the tiles of each rank from large to small."""
    queues = {r: sorted((x for x in loops if x.rank == r), key=lambda x: -x.tile) for r in
              {x.rank for x in loops}}  # fmt: skip
    return tuple(queues[loop.rank].pop(0) for loop in loops)
