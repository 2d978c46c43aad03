"""Does attention in tiles compute attention, and move to the byte what its closed form says?"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.errors import Unmappable
from archsim.ir.flash import FlashMapping
from archsim.ir.flash_room import fits_split
from archsim.testing.attentions import attention_graph, attentions, problem_of
from archsim.testing.functional import UnsoundMappingError
from archsim.testing.functional_attention import Sums, execute_attention


@st.composite
def mappings(draw):
    """Any mapping of a small attention, good or not."""
    problem = problem_of(draw(attentions()))
    e = problem.largest
    tile = {r: draw(st.integers(1, n)) for r, n in (("b", e.b), ("q", e.m), ("kv", e.keys))}
    split = draw(st.sampled_from([1, 2, 3]))
    if problem.masked or not all(
        fits_split(-(-case.keys // tile["kv"]), split) for case in problem.cases
    ):
        split = 1
    return FlashMapping(problem, "array", tile, split, draw(st.booleans()))


@settings(max_examples=300, deadline=None)
@given(mapping=mappings())
def test_every_tiling_computes_attention_and_moves_what_the_closed_form_says(mapping):
    assert execute_attention(mapping) == mapping.traffic()


class Mutant(FlashMapping):
    """A mapping with a mistake in it."""

    mistake = ""

    def window(self, case, low, high):
        first, end = super().window(case, low, high)
        if self.mistake == "skips the diagonal" and end > first + 1:
            return first, end - 1
        if self.mistake == "window too short" and end > first + 1:
            return first + 1, end
        return first, end

    def tiles(self):
        steps = list(super().tiles())
        middle = len(steps) // 2
        if self.mistake == "dropped step":
            yield from (s for i, s in enumerate(steps) if i != middle)
        elif self.mistake == "lets go too early":
            yield from (replace(s, leave=True) for s in steps)
        elif self.mistake == "never brought":
            yield from (replace(s, enter=s.enter and s.opens) for s in steps)
        elif self.mistake == "counts keys twice":
            for i, step in enumerate(steps):
                yield replace(step, keys=step.keys * 2) if i == middle else step
        elif self.mistake == "closes late":
            yield from (replace(s, closes=False) for s in steps)
        else:
            yield from steps


@pytest.mark.parametrize(
    "mistake",
    [
        "skips the diagonal", "window too short", "dropped step", "lets go too early",
        "never brought", "counts keys twice", "closes late",
    ],
)  # fmt: skip
def test_a_mistake_in_a_tiling_is_caught(mistake):
    graph = attention_graph(2, 2, 16, ((16, 2),), (4, 3), causal=True, reach=9)
    right = Mutant(problem_of(graph), "array", {"b": 1, "q": 8, "kv": 4}, held=True)
    execute_attention(right)
    wrong = replace(right)
    object.__setattr__(wrong, "mistake", mistake)
    with pytest.raises(UnsoundMappingError):
        execute_attention(wrong)


def test_parts_of_a_context_are_joined_and_a_last_part_may_be_shorter():
    graph = attention_graph(3, 4, 1, ((10, 1), (37, 2)), (8, 8))
    mapping = FlashMapping(problem_of(graph), "array", {"b": 2, "q": 4, "kv": 4}, split=3)
    assert execute_attention(mapping) == mapping.traffic()
    # 3 tiles of 4 keys make 3 parts of one; 10 make parts of 4, 4 and 2
    assert [len(s.keys) for s in mapping.tiles()] == [3, 3, 3, 2, 2]


def test_a_causal_prompt_in_small_tiles_computes_little_more_than_half_the_scores():
    graph = attention_graph(1, 4, 256, ((256, 1),), (8, 8), causal=True)
    problem = problem_of(graph)
    mapping = FlashMapping(problem, "array", {"b": 1, "q": 64, "kv": 16})
    tiles = 16 * 17 // 2  # 16 x 16 tiles of 16 queries and 16 keys: the diagonal and below
    assert mapping.executed == tiles * 64 * 16
    assert problem.points == 256 * 16 * 64


def test_a_window_reads_only_tiles_that_it_touches():
    graph = attention_graph(1, 1, 64, ((64, 1),), (4, 4), causal=True, reach=8)
    mapping = FlashMapping(problem_of(graph), "array", {"b": 1, "q": 8, "kv": 8})
    # a tile of 8 queries sees its own tile of keys and the one before
    assert mapping.executed == (8 + 7) * 8 * 8


def test_a_mapping_that_splits_what_a_mask_shortens_is_refused():
    graph = attention_graph(1, 1, 64, ((64, 1),), (4, 4), causal=True)
    mapping = FlashMapping(problem_of(graph), "array", {"b": 1, "q": 8, "kv": 8}, split=2)

    class Target:
        buffer_bytes = 10**9

    with pytest.raises(Unmappable, match=r"attn\.score: 8 tiles of keys do not make 2"):
        mapping.check(Target())


@st.composite
def uneven(draw):
    """One query a sequence, contexts of several lengths, cut into parts that all of them have."""
    kv, split = draw(st.integers(1, 4)), draw(st.integers(2, 5))
    tiles = st.integers(split, 24).filter(lambda n: fits_split(n, split))
    # the last tile of a context may be short, and its last part have fewer tiles than the others
    lengths = draw(st.lists(st.tuples(tiles, st.integers(0, kv - 1)), min_size=2, max_size=4))
    keys = sorted({n * kv - short for n, short in lengths})
    counted = tuple((n, draw(st.integers(1, 3))) for n in keys)
    rows, dims = draw(st.integers(1, 3)), (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    graph = attention_graph(sum(n for _, n in counted), rows, 1, counted, dims)
    problem = problem_of(graph)
    b, q = draw(st.integers(1, problem.largest.b)), draw(st.integers(1, rows))
    return FlashMapping(problem, "array", {"b": b, "q": q, "kv": kv}, split, draw(st.booleans()))


@settings(max_examples=150, deadline=None)
@given(mapping=uneven())
def test_joined_parts_of_uneven_contexts_are_the_whole_softmax(mapping):
    assert execute_attention(mapping) == mapping.traffic()
    parts = {len(step.keys) for step in mapping.tiles()}
    assert max(parts) == mapping.split


@settings(max_examples=100, deadline=None)
@given(data=st.data(), rows=st.integers(1, 3), width=st.integers(1, 4))
def test_partial_softmaxes_of_any_cuts_join_to_the_whole(data, rows, width):
    cuts = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=6), label="keys of parts")
    rng = np.random.default_rng(data.draw(st.integers(0, 99), label="seed"))
    scores = 30 * rng.normal(size=(2, rows, sum(cuts)))
    values = rng.normal(size=(2, sum(cuts), width))
    sums, at = Sums(), 0
    for part, size in enumerate(cuts):
        for low in range(at, at + size, 2):  # tiles of two keys at most
            high = min(low + 2, at + size)
            sums.take(part, scores[:, :, low:high], values[:, low:high])
        at += size
    shares = np.exp(scores - scores.max(axis=2, keepdims=True))
    want = shares / shares.sum(axis=2, keepdims=True) @ values
    assert np.allclose(sums.joined(), want, atol=1e-12)
