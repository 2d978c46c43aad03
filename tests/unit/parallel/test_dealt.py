"""Are experts that are dealt over the tensor axis computed once, and what their sum needs sent?"""

import pytest

from archsim.core.errors import InputError
from archsim.ir.parallel import ParallelPlan
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.parallel.partition import partition
from archsim.testing.functional_parallel import mistakes

DECODE = {"kind": "decode", "batch": 8, "context": 8}
PREFILL = {"kind": "prefill", "batch": 8, "tokens": 8}


def graph(phase=DECODE, experts=4, top_k=2, counts=None, hidden=16, **moe):
    config = {
        "architecture": "transformer", "layers": 2, "hidden": hidden, "heads": 8, "kv_heads": 4,
        "head_dim": 4, "ffn": 32, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
        "position": "rope", "vocab": 23, "moe": {"experts": experts, "top_k": top_k, "ffn": 16,
                                                 **moe},
    }  # fmt: skip
    data = {"schema": "archsim.workload/1", "name": "tiny", "model": {"config": config},
            "phase": phase}  # fmt: skip
    if counts:
        data["routing"] = {"kind": "trace", "counts": [counts]}
    return lower(load_workload(data)[0])


def dealt(found, **plan):
    plan = ParallelPlan(**plan, experts="dealt")
    return partition(found, plan, plan.devices)


CASES = [
    ({}, {"tensor": 4}),
    ({"shared": 1}, {"tensor": 2}),
    ({"experts": 2}, {"tensor": 8}),
    ({"experts": 8}, {"tensor": 4, "sequence": True}),
    ({"experts": 8}, {"tensor": 2, "expert": 2}),
    ({"experts": 4}, {"tensor": 4, "expert": 2}),
    ({"experts": 8, "shared": 1}, {"tensor": 2, "expert": 2, "pipeline": 2, "microbatches": 1}),
    ({"counts": [8, 8, 0, 0], "shared": 1}, {"tensor": 4}),
]  # fmt: skip


@pytest.mark.parametrize("phase", [DECODE, PREFILL], ids=["decode", "prefill"])
@pytest.mark.parametrize(("model", "plan"), CASES, ids=str)
def test_all_devices_compute_what_one_would(model, plan, phase):
    if "counts" in model:
        model = {**model, "counts": [n * (1 + 7 * (phase is PREFILL)) for n in model["counts"]]}
    assert list(mistakes(dealt(graph(phase, **model), **plan))) == []


@pytest.mark.parametrize(("model", "plan"), CASES, ids=str)
def test_experts_are_held_and_computed_once(model, plan):
    whole = graph(**model)
    found = dealt(whole, **plan)

    def total(of):
        return sum(len(s.devices) * sum(of(s.graph, b, op) for b, op in s.graph.ops())
                   for s in found.shares)  # fmt: skip

    def macs(_, block, op):
        return block.count * op.macs() * (op.op_class == "moe_expert")

    def held(part, block, op):
        sizes = [part.tensors[a.tensor] for a in op.reads]
        return block.count * (op.op_class == "moe_expert") * sum(
            t.bytes for t in sizes if t.role is Role.WEIGHT)  # fmt: skip

    assert total(macs) == sum(macs(whole, b, op) for b, op in whole.ops())
    if "counts" not in model:
        assert total(held) == sum(held(whole, b, op) for b, op in whole.ops())


def test_more_devices_than_experts_share_each_by_columns_then_rows():
    share = dealt(graph(experts=2), tensor=8).shares[0]
    sizes = {name: t.shape for name, t in share.graph.tensors.items() if name.endswith("weight")}
    assert sizes["moe.up.weight"] == (1, 16, 4)
    assert sizes["moe.down.weight"] == (1, 4, 16)


def test_a_device_without_tokens_reads_no_expert_and_joins_the_sum():
    found = dealt(graph(counts=[8, 8, 0, 0]), tensor=4)
    idle = found.shares[-1]
    assert idle.devices == (2, 3)
    classes = {op.op_class for _, op in idle.graph.ops()}
    assert not classes & {"moe_expert", "moe_permute", "activation"}
    sums = [[op.name for _, op in s.graph.ops() if op.collective] for s in found.shares]
    assert len({tuple(names) for names in sums}) == 1


def test_only_what_a_device_s_experts_take_travels_between_nodes():
    whole = partition(graph(), ParallelPlan(tensor=2, expert=2), 4)
    parts = dealt(graph(), tensor=2, expert=2)

    def sent(share):
        return [sum(op.collective.sent_bytes) for _, op in share.graph.ops()
                if op.op_class == "comm_expert"]  # fmt: skip

    both = [sent(share) for share in parts.shares]
    tensors = [share.devices[0] % 2 for share in parts.shares]
    each = [next(n for n, t in zip(both, tensors, strict=True) if t == i) for i in (0, 1)]
    assert [sum(pair) for pair in zip(*each, strict=True)] == sent(whole.shares[0])


def test_options_without_effect_are_named():
    def notes(found):
        return [text for code, text in found.notes if code == "W101"]

    config = {"schema": "archsim.workload/1", "name": "dense", "model": {"preset": "gpt2-small"},
              "phase": DECODE}  # fmt: skip
    dense = lower(load_workload(config)[0])
    assert notes(dealt(dense, tensor=2)) == ["parallel.experts has no effect: the model is dense"]
    assert notes(dealt(graph(), expert=2)) == [
        "parallel.experts has no effect: the tensor axis has one device"
    ]


@pytest.mark.parametrize("phase", [DECODE, PREFILL], ids=["decode", "prefill"])
@pytest.mark.parametrize(("model", "plan"), [
    ({"experts": 8, "shared": 1}, {"tensor": 4}),
    ({"experts": 8}, {"tensor": 2, "sequence": True}),
    ({"experts": 8}, {"tensor": 2, "shadow_experts": 1}),
], ids=str)  # fmt: skip
def test_slices_of_tokens_become_what_whole_ones_do(model, plan, phase):
    plan = ParallelPlan(**plan, expert=2, experts="sliced")
    assert list(mistakes(partition(graph(phase, **model), plan, plan.devices))) == []


def test_slices_send_a_share_of_what_whole_tokens_do():
    def sent(experts):
        plan = ParallelPlan(tensor=4, expert=2, experts=experts)
        ops = partition(graph(experts=8), plan, 8).shares[0].graph.ops()
        return [op.collective.size_bytes for _, op in ops if op.op_class == "comm_expert"]

    assert sent("shared") == [4 * n for n in sent("sliced")]


def test_slices_are_of_inference_and_of_features_that_divide():
    plan, whole = ParallelPlan(tensor=8, expert=2, experts="sliced"), graph(hidden=20)
    with pytest.raises(InputError, match="tensor: 8 does not divide 20 features"):
        partition(whole, plan, 16)
