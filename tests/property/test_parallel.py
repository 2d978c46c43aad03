"""Do the graphs of all devices together compute what the undivided graph does?"""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from archsim.core.errors import InputError
from archsim.ir.op import Kind
from archsim.ir.parallel import ParallelPlan
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.parallel.partition import partition
from archsim.testing.functional_parallel import mistakes, wrong_gradients

PLAIN = {
    "architecture": "transformer", "layers": 2, "hidden": 16, "heads": 8, "kv_heads": 4,
    "head_dim": 4, "ffn": 32, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 23,
}  # fmt: skip
MODELS = {
    "llama": {},
    "palm": {"block": "parallel", "kv_heads": 1, "norm": "layer", "tied": True},
    "gpt": {
        "norm": "layer", "ffn_matrices": 2, "kv_heads": 8, "qkv_bias": True, "out_bias": True,
        "ffn_bias": True, "position": "learned", "positions": 64,
    },
    "mixtral": {"moe": {"experts": 4, "top_k": 2, "ffn": 16, "shared": 1}},
    "two heads of keys": {"kv_heads": 2, "qk_norm": "rms", "sandwich_norms": True},
}  # fmt: skip
DECODE = {"kind": "decode", "batch": 8, "context": 8}
PREFILL = {"kind": "prefill", "batch": 8, "tokens": 8}
PHASES = {"decode": DECODE, "prefill": PREFILL}
TRAIN = {"kind": "train", "batch": 4, "tokens": 6}


def graph(model="llama", phase="decode", **more):
    """A small model's graph."""
    data = {
        "schema": "archsim.workload/1", "name": "tiny",
        "model": {"config": {**PLAIN, **MODELS[model], **more}},
        "phase": {**PHASES, "train": TRAIN}[phase],
    }  # fmt: skip
    return lower(load_workload(data)[0])


def divided(found, **plan):
    plan = ParallelPlan(**plan)
    return partition(found, plan, plan.devices)


def total(found, of):
    times = found.plan.microbatches
    return sum(len(share.devices) * times * of(share.graph) for share in found.shares)


BACKWARDS = ("pipeline", "data", "expert", "context", "tensor")

CASES = [
    ("llama", {"tensor": 4}),
    ("llama", {"tensor": 4, "sequence": True}),
    ("llama", {"tensor": 4, "attention": "batch"}),
    ("gpt", {"tensor": 8, "sequence": True}),
    ("palm", {"tensor": 8}),
    ("two heads of keys", {"tensor": 8}),
    ("llama", {"tensor": 2, "overlap_chunks": 3}),
    ("llama", {"data": 2, "tensor": 2, "pipeline": 2}),
    ("gpt", {"pipeline": 2, "microbatches": 1, "tensor": 2, "order": BACKWARDS}),
    ("palm", {"tensor": 8, "layout": "2d", "attention": "batch"}),
    ("palm", {"tensor": 8, "layout": "2d", "tensor_dims": (4, 2)}),
    ("gpt", {"tensor": 8, "layout": "2d", "tensor_dims": (2, 4), "attention": "batch"}),
    ("palm", {"tensor": 8, "layout": "gathered_x"}),
    ("llama", {"tensor": 8, "layout": "gathered_xy", "sequence": True}),
    ("gpt", {"tensor": 8, "layout": "gathered_xyz"}),
    ("mixtral", {"expert": 4, "tensor": 2}),
    ("mixtral", {"expert": 2, "shadow_experts": 2}),
    ("llama", {"context": 4}),
    ("llama", {"context": 4, "context_kind": "striped", "tensor": 2}),
    ("llama", {"context": 2, "context_kind": "all_gather", "tensor": 2, "data": 2}),
]  # fmt: skip


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(("model", "plan"), CASES, ids=str)
def test_all_devices_compute_what_one_would(model, plan, phase):
    assert list(mistakes(divided(graph(model, phase), **plan))) == []


@st.composite
def plans(draw):
    """Plans of up to sixteen devices."""
    ways = {axis: draw(st.sampled_from([1, 2, 4])) for axis in ("tensor", "context", "data")}
    ways["pipeline"] = draw(st.sampled_from([1, 2]))
    order = tuple(draw(st.permutations(("tensor", "context", "expert", "data", "pipeline"))))
    more = {
        "sequence": draw(st.booleans()),
        "attention": draw(st.sampled_from(["heads", "batch"])),
        "context_kind": draw(st.sampled_from(["ring", "striped", "all_gather"])),
    }
    plan = ParallelPlan(**ways, **more, order=order)
    assume(plan.devices <= 16)
    return plan


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(plans(), st.sampled_from(["llama", "palm", "gpt"]), st.sampled_from(sorted(PHASES)))
def test_products_of_axes_compute_what_one_device_would(plan, model, phase):
    try:
        found = partition(graph(model, phase), plan, plan.devices)
    except InputError as error:
        assume(error.code != "E203")
        raise
    assert list(mistakes(found)) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4]), st.sampled_from([1, 2]),
    st.sampled_from(["decode", "prefill"]),
)  # fmt: skip
def test_macs_weights_and_cache_of_all_devices_are_those_of_the_model(tensor, data, pipe, phase):
    whole = graph("llama", phase, kv_heads=8, vocab=24)
    found = divided(whole, tensor=tensor, data=data, pipeline=pipe)
    assert total(found, lambda g: g.macs()) == whole.macs()
    assert total(found, lambda g: g.stored_bytes(Role.KV_CACHE)) == whole.stored_bytes(
        Role.KV_CACHE
    )
    norms = 2 * 16 * (2 * 2 + 1)  # scales of two norms a layer and the last one, in bf16
    held = sum(len(s.devices) * s.graph.stored_bytes(Role.WEIGHT) for s in found.shares)
    assert held == data * (whole.stored_bytes(Role.WEIGHT) + (tensor - 1) * norms)


STEPS = [
    ("llama", {"tensor": 4}),
    ("llama", {"tensor": 2, "sequence": True, "data": 2}),
    ("gpt", {"tensor": 8, "sequence": True}),
    ("gpt", {"tensor": 2, "data": 2, "pipeline": 2, "microbatches": 1}),
    ("palm", {"data": 2}),
    ("palm", {"data": 2, "pipeline": 2, "microbatches": 1}),
]


@pytest.mark.parametrize(("model", "plan"), STEPS, ids=str)
def test_all_devices_find_the_gradients_that_one_would(model, plan):
    assert list(wrong_gradients(divided(graph(model, "train"), **plan))) == []


@pytest.mark.parametrize(
    ("model", "plan", "kind"),
    [
        ("llama", {"tensor": 4}, "d.ffn.normed.sum.all_reduce"),
        ("llama", {"tensor": 4}, "loss.all_reduce"),
        ("llama", {"data": 2}, "gradients.all_reduce"),
    ],
)
def test_a_sum_of_gradients_that_is_left_out_is_noticed(model, plan, kind):
    found = without(divided(graph(model, "train"), **plan), kind)
    try:
        assert list(wrong_gradients(found))
    except (ValueError, IndexError):  # what it makes is of another shape
        return


def without(found, kind):
    """A partition whose first share lacks one collective, as a mistaken pass would leave it."""
    share = found.shares[0]
    blocks, dropped = [], None
    for block in share.graph.blocks:
        ops = []
        for op in block.ops:
            if dropped is None and op.kind is Kind.COLLECTIVE and op.name.endswith(kind):
                dropped = op
                continue
            ops.append(op)
        blocks.append(replace(block, ops=tuple(ops)))
    names = {dropped.writes[0].tensor: dropped.reads[0].tensor}

    def access(a):
        return replace(a, tensor=names.get(a.tensor, a.tensor))

    blocks = tuple(
        replace(b, ops=tuple(replace(op, reads=tuple(map(access, op.reads))) for op in b.ops))
        for b in blocks
    )
    changed = replace(share, graph=replace(share.graph, blocks=blocks))
    return replace(found, shares=(changed, *found.shares[1:]))


@pytest.mark.parametrize(
    ("model", "plan", "kind"),
    [
        ("llama", {"tensor": 4}, "attn.out.all_reduce"),
        ("llama", {"tensor": 4}, "lm_head.all_gather"),
        ("llama", {"tensor": 2, "sequence": True}, "attn_norm.all_gather"),
        ("llama", {"tensor": 4, "attention": "batch"}, "attn.value.all_to_all"),
        ("palm", {"tensor": 8, "layout": "2d"}, "ffn.up.reduce_scatter"),
        ("mixtral", {"expert": 2}, "moe.return"),
        ("llama", {"context": 2}, "combine"),
    ],
)
def test_a_collective_that_is_left_out_is_noticed(model, plan, kind):
    assert list(mistakes(without(divided(graph(model), **plan), kind)))


@pytest.mark.parametrize("rank", ["K", "N"])
def test_a_slice_of_another_size_is_noticed(rank):
    found = divided(graph(), tensor=4)
    share = found.shares[0]
    blocks = tuple(
        replace(b, ops=tuple(
            replace(op, ranks={**op.ranks, rank: op.ranks[rank] // 2})
            if op.name == "attn.out" else op
            for op in b.ops))
        for b in share.graph.blocks
    )  # fmt: skip
    wrong = replace(share, graph=replace(share.graph, blocks=blocks))
    assert list(mistakes(replace(found, shares=(wrong,))))


def test_an_axis_whose_devices_never_meet_is_noticed():
    found = divided(graph(), tensor=2, data=2)
    confused = found.plan.model_copy(update={"order": ("data", "tensor", "context", "expert",
                                                       "pipeline")})  # fmt: skip
    share = found.shares[0]
    halves = [replace(share, devices=(0, 1)), replace(share, devices=(2,))]
    assert list(mistakes(replace(found, plan=confused, shares=tuple(halves))))
