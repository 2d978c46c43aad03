"""Does a layer that runs tile by tile in regions compute what it computes at once?"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsim import api
from archsim.core.errors import Infeasible, LawViolation
from archsim.ir.region import RegionMapping, Way
from archsim.system.region import Planner
from archsim.testing.functional_region import execute_region, inputs_of, whole


def machine(sram_kib, units):
    return {
        "schema": "archsim.hardware/1",
        "name": "small",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": f"{sram_kib} KiB", "bandwidth": "4096 B/cycle"},
            "hbm": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "100 GB/s"},
        },
        "engines": {"fabric": {"kind": "spatial_pipeline", "compute_units": units,
                               "memory_units": 64, "rows": 4, "cols": 2, "lanes": 4}},
        "placement": {"activations": ["hbm"]},
    }  # fmt: skip


@st.composite
def layers(draw):
    """A small fabric, and the layers of a model that one sequence passes."""
    heads = draw(st.sampled_from([2, 4]))
    config = {
        "architecture": "transformer", "layers": 2, "hidden": 32, "heads": heads,
        "kv_heads": heads // draw(st.sampled_from([1, 2])), "head_dim": 8, "ffn": 48,
        "ffn_matrices": draw(st.sampled_from([2, 3])), "activation": "gelu", "norm": "rms",
        "position": draw(st.sampled_from(["rope", "none"])), "vocab": 64,
    }  # fmt: skip
    if draw(st.booleans()):
        config["sliding_window"] = draw(st.sampled_from([1, 5, 16]))
    tokens = draw(st.integers(2, 70))
    work = {
        "schema": "archsim.workload/1", "name": "small", "model": {"config": config},
        "phase": {"kind": "prefill", "batch": 1, "tokens": tokens},
    }  # fmt: skip
    sram, units = draw(st.sampled_from([48, 96, 512])), draw(st.sampled_from([5, 16, 40]))
    return machine(sram, units), work, tokens


def placed(hardware, work, tokens):
    """A plan, the regions of its layer, and the tokens."""
    plan = api.place_only(hardware, work)
    return plan, next(b for b in plan.blocks if b.block.name == "layer").stages, tokens


def regions(plan, stages):
    """Mapping and work of each stage."""
    for stage in stages:
        assert isinstance(stage.mapping, RegionMapping)
        planner = Planner(plan.graph, plan.machine, stage.engine, frozenset(), 0, 32)
        yield stage, stage.mapping, planner.works(stage.mapping, stage.ops)


def computed(plan, stages, tokens, change=lambda mapping, works: mapping):
    """What the regions leave in memory, and what it should be."""
    ops = [op for stage in stages for op in stage.ops]
    memory = inputs_of(plan.graph, ops, tokens, seed=tokens)
    right = whole(plan.graph, ops, memory, tokens)
    for stage, mapping, works in regions(plan, stages):
        execute_region(plan.graph, stage.ops, change(mapping, works), works, memory, tokens)
    placed_ops = [op for stage in stages for op in stage.mapping.ops]
    # scores that the mask hides may be anything: shares of them are none
    stored = {n for op in placed_ops for n in op.stores if op.op_class != "attention_score"}
    return {name: (memory[name], right[name]) for name in stored}


def equal(pairs):
    return all(np.allclose(got, want, atol=1e-9) for got, want in pairs.values())


@settings(max_examples=30, deadline=None)
@given(layers())
def test_regions_compute_what_their_ops_do_with_what_is_there_by_then(layer):
    try:
        found = placed(*layer)
    except Infeasible:
        assume(False)
    assert equal(computed(*found))


@pytest.fixture(scope="module")
def one():
    """A causal layer that is one region of several tiles."""
    config = {
        "architecture": "transformer", "layers": 2, "hidden": 32, "heads": 4, "kv_heads": 2,
        "head_dim": 8, "ffn": 48, "ffn_matrices": 3, "activation": "gelu", "norm": "rms",
        "position": "rope", "vocab": 64,
    }  # fmt: skip
    work = {
        "schema": "archsim.workload/1", "name": "small", "model": {"config": config},
        "phase": {"kind": "prefill", "batch": 1, "tokens": 64},
    }  # fmt: skip
    plan, stages, tokens = placed(machine(2048, 64), work, 64)
    assert len(stages) == 1
    assert stages[0].mapping.steps > 2
    assert stages[0].mapping.masked
    return plan, stages, tokens


def test_the_layer_itself_is_right(one):
    assert equal(computed(*one))


@pytest.mark.parametrize("name", ["attn.qkv", "attn.score", "ffn.down", "ffn.residual"])
def test_an_op_that_starts_a_tile_too_early_is_caught(one, name):
    def early(mapping, works):
        ops = [replace(op, lag=op.lag - 1) if op.name == name else op for op in mapping.ops]
        return replace(mapping, ops=tuple(ops))

    try:
        found = computed(*one, change=early)
    except LawViolation:
        return  # it leaves its results too early for who takes them
    assert not equal(found)


@pytest.mark.parametrize("name", ["attn.score", "attn.softmax", "attn.value"])
@pytest.mark.parametrize("keys", [-1, 1])
def test_a_mask_that_is_off_by_a_key_is_caught(one, name, keys):
    plan, stages, tokens = one

    def wrong(mapping, works):
        work = works[[op.name for op in mapping.ops].index(name)]
        work.__dict__["extents"] = work.extents + keys * (work.extents > 2)
        return mapping

    if keys == 1:  # one key more than there is: it stands before the first
        with pytest.raises((IndexError, ValueError, AssertionError)):
            assert equal(computed(plan, stages, tokens, change=wrong))
    else:
        assert not equal(computed(plan, stages, tokens, change=wrong))


def test_a_buffer_that_is_a_tile_too_small_is_refused(one):
    def small(mapping, works):
        ops = []
        for op in mapping.ops:
            operands = tuple(
                replace(o, depth=o.depth - 1) if o.way is Way.PIPE else o for o in op.operands
            )
            ops.append(replace(op, operands=operands))
        return replace(mapping, ops=tuple(ops))

    with pytest.raises(LawViolation, match=r"2 tiles of attn\.normed wait in 1"):
        computed(*one, change=small)


def test_a_share_that_is_lost_is_caught(one):
    plan, stages, tokens = one

    def lost(mapping, works):
        work = works[1]
        work.tiles[1][:, 1] -= 1  # a row of the second tile
        return mapping

    assert not equal(computed(plan, stages, tokens, change=lost))
