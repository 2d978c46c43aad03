"""Does the backward pass in tiles compute gradients, and move to the byte what its form says?"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.errors import Unmappable
from archsim.dataflows._flash_backward import least_traffic
from archsim.ir.attention_problem import attention_problem
from archsim.ir.flash_backward import FlashBackwardMapping
from archsim.ir.flash_io import unfused_backward_bytes
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.testing.attentions import attention_graph, attentions, problem_of
from archsim.testing.functional import UnsoundMappingError
from archsim.testing.functional_attention import AttentionValues
from archsim.testing.functional_attention_backward import (
    defined_gradients,
    execute_attention_backward,
)


@st.composite
def mappings(draw):
    """Any mapping of a small attention; keys that are values too are two tensors in training."""
    problem = replace(problem_of(draw(attentions())), one_cache=False)
    e = problem.largest
    tile = {r: draw(st.integers(1, n)) for r, n in (("b", e.b), ("q", e.m), ("kv", e.keys))}
    return FlashBackwardMapping(problem, "array", tile)


@settings(max_examples=200, deadline=None)
@given(mapping=mappings())
def test_every_tiling_computes_gradients_and_moves_what_the_closed_form_says(mapping):
    assert execute_attention_backward(mapping) == mapping.traffic()


@settings(max_examples=100, deadline=None)
@given(mapping=mappings())
def test_runs_of_alike_steps_are_the_steps_one_after_the_other(mapping):
    def size(span):
        return span[1] - span[0]

    steps = [
        (size(s.b), size(s.q), size(s.keys), s.opens, s.closes, s.first, s.last)
        for s in mapping.tiles()
    ]
    runs = [
        (run.b, run.q, run.keys, run.opens, run.closes, run.first, run.last)
        for case in mapping.problem.cases
        for some in mapping.batches(case)
        for _ in range(some.count)
        for alike, body in mapping.nest(case, some.size)
        for _ in range(alike)
        for run in body
        for _ in range(run.count)
    ]
    assert runs == steps


def test_gradients_by_definition_are_those_of_small_changes():
    problem = problem_of(attention_graph(2, 2, 5, ((7, 2),), (4, 3), causal=True))
    values = AttentionValues(problem)
    d_out = np.random.default_rng(5).normal(size=values.defined()[0].shape)
    found = defined_gradients(values, d_out)
    for operand, gradient in zip((values.q, values.k, values.v), found, strict=True):
        for at in [(0, 0, 0), (1, 3, 2), (0, 6, 1)]:
            before, change = operand[at], []
            for step in (1e-5, -1e-5):
                operand[at] = before + step
                change.append((values.defined()[0] * d_out).sum())
            operand[at] = before
            assert gradient[at] == pytest.approx((change[0] - change[1]) / 2e-5, rel=1e-5)


class Mutant(FlashBackwardMapping):
    """A mapping with a mistake in it."""

    mistake = ""

    def window(self, case, low, high):
        first, end = super().window(case, low, high)
        return first, end - (self.mistake == "skips the diagonal" and end > first + 1)

    def tiles(self):
        steps = list(super().tiles())
        middle = len(steps) // 2
        if self.mistake == "dropped step":
            steps.pop(middle)
        for step in steps:
            if self.mistake == "sums never read":
                yield replace(step, first=True)
            elif self.mistake == "sums read before they are there":
                yield replace(step, first=False)
            elif self.mistake == "closes late":
                yield replace(step, closes=False)
            elif self.mistake == "keys never brought":
                yield replace(step, opens=step.opens and step.keys[0] == 0)
            else:
                yield step


@pytest.mark.parametrize(
    "mistake",
    [
        "skips the diagonal", "dropped step", "sums never read", "sums read before they are there",
        "closes late", "keys never brought",
    ],
)  # fmt: skip
def test_a_mistake_in_a_tiling_is_caught(mistake):
    graph = attention_graph(2, 2, 16, ((16, 2),), (4, 3), causal=True)
    right = Mutant(problem_of(graph), "array", {"b": 1, "q": 8, "kv": 4})
    execute_attention_backward(right)
    wrong = replace(right)
    object.__setattr__(wrong, "mistake", mistake)
    with pytest.raises(UnsoundMappingError):
        execute_attention_backward(wrong)


def test_five_products_of_the_scores_that_the_mask_leaves():
    problem = problem_of(attention_graph(1, 1, 64, ((64, 1),), (8, 4), causal=True))
    mapping = FlashBackwardMapping(problem, "array", {"b": 1, "q": 8, "kv": 8})
    assert mapping.executed == 8 * 9 // 2 * 64  # tiles at the diagonal and below
    assert mapping.macs == mapping.executed * (3 * 8 + 2 * 4)


@pytest.mark.parametrize("dim", [32, 128])
def test_bytes_fall_as_queries_keys_and_widths_over_the_room(dim):
    # Dao et al. (2022), theorem 5: N^2 d^2 / M elements of 16 bit, between 25 and 90 times here:
    # sums of 32 bits take twice the room of keys, and pass twice for each tile of queries
    problem = problem_of(attention_graph(1, 1, 4096, ((4096, 1),), (dim, dim)))
    ratios = []
    for kv in (128, 256, 512):
        mapping = FlashBackwardMapping(problem, "array", {"b": 1, "q": 32, "kv": kv}, depth=1)
        moved = mapping.traffic()
        passing = sum(moved[word] for word in ("q", "d_out", "stats", "delta", "sums", "d_q"))
        ratios.append(passing / 2 * mapping.room_bytes() / 2 / (4096**2 * dim**2))
    assert min(ratios) > 25
    assert max(ratios) < 90


def test_nothing_as_large_as_the_scores_moves():
    problem = problem_of(attention_graph(1, 1, 4096, ((4096, 1),), (64, 64)))
    mapping = FlashBackwardMapping(problem, "array", {"b": 1, "q": 64, "kv": 1024})
    # ops by themselves write four tensors of the size of the scores, and read them again
    assert sum(mapping.traffic().values()) < 8 * 2 * 4096**2 / 20


def test_tiles_that_do_not_fit_are_refused():
    problem = problem_of(attention_graph(1, 1, 64, ((64, 1),), (8, 8)))
    mapping = FlashBackwardMapping(problem, "array", {"b": 1, "q": 32, "kv": 32})
    with pytest.raises(Unmappable) as caught:
        mapping.check(1000)
    assert str(caught.value).startswith(
        f"attn.score: tiles need {mapping.room_bytes()} bytes on chip, 1000 are free"
    )


def test_a_mapping_prints_its_loops():
    problem = problem_of(attention_graph(2, 1, 64, ((64, 2),), (8, 8), causal=True))
    mapping = FlashBackwardMapping(problem, "array", {"b": 1, "q": 16, "kv": 32})
    assert mapping.render().splitlines() == [
        "attn.score: flash_attention_backward on array   [b 2  q 64  kv 64  d 8+8]",
        "  for b in 2 tiles of 1",
        "    for kv in 2 tiles of 32",
        "      hold k, v and the sums of d_k, d_v: a tile of 32",
        "      for q in 4 tiles of 16 (those that see it)",
        "        scores = q k, shares = exp(scores - their row's logarithm)",
        "        d_v += shares d_out",
        "        d_shares = d_out v, d_scores = shares (d_shares - delta)",
        "        d_k += d_scores q",
        "        d_q += d_scores k, summed in memory",
    ]


def test_ops_one_by_one_move_what_their_closed_form_says():
    data = {
        "schema": "archsim.workload/1", "name": "w", "model": {"preset": "gpt2-small"},
        "phase": {"kind": "train", "batch": 2, "tokens": 64},
    }  # fmt: skip
    graph = lower(load_workload(data)[0])
    layer = next(block.ops for block in graph.blocks if block.name == "layer")
    at = next(i for i, op in enumerate(layer) if op.op_class == "attention_score")
    apart = unfused_backward_bytes(attention_problem(layer[at : at + 3], graph.tensors, 32))
    backward = next(block.ops for block in graph.blocks if block.name == "layer.backward")
    ops = [op for op in backward if op.op_class == "attention_backward"]
    assert len(ops) == 8
    moved = sum(graph.touched_bytes(a) for op in ops for a in (*op.reads, *op.writes))
    assert moved == sum(apart.values())
    # ten passes of 12 heads x 2 sequences x 64 x 64 scores of 16 bit
    assert apart["scores"] == 10 * 2 * 24 * 64**2


@pytest.mark.parametrize("room", [40_000, 100_000, 400_000])
def test_the_tiles_that_are_chosen_fit_and_none_that_fit_move_less(room):
    problem = problem_of(attention_graph(2, 1, 256, ((256, 2),), (32, 32), causal=True))
    best = least_traffic(problem, "array", room)
    best.check(room)
    moved = sum(best.traffic().values())
    for q in (16, 32, 64, 128, 256):
        for kv in (16, 32, 64, 128, 256):
            other = FlashBackwardMapping(problem, "array", {"b": 1, "q": q, "kv": kv})
            assert other.room_bytes() > room or sum(other.traffic().values()) >= moved


def test_no_tiles_for_a_room_that_is_too_small():
    problem = problem_of(attention_graph(2, 1, 256, ((256, 2),), (32, 32)))
    with pytest.raises(Unmappable) as caught:
        least_traffic(problem, "array", 1000)
    assert str(caught.value).startswith(
        "attn.score: no tile of the backward pass fits 1000 bytes on chip"
    )
