"""Do devices that one leads compute what one alone would, and hold no more than columns?"""

import pytest

from archsim.ir.parallel import ParallelPlan
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.parallel.partition import partition
from archsim.testing.functional_parallel import mistakes

DECODE = {"kind": "decode", "batch": 4, "context": 8}
PREFILL = {"kind": "prefill", "batch": 4, "tokens": 8}
LLAMA = {
    "architecture": "transformer", "layers": 4, "hidden": 16, "heads": 8, "kv_heads": 4,
    "head_dim": 4, "ffn": 32, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 24,
}  # fmt: skip
PLANS = [
    {"tensor": 4}, {"tensor": 3}, {"tensor": 2, "data": 2},
    {"tensor": 2, "pipeline": 2, "microbatches": 1},
]  # fmt: skip


def led(plan, phase=DECODE, **more):
    data = {"schema": "archsim.workload/1", "name": "tiny", "phase": phase,
            "model": {"config": {**LLAMA, **more}}}  # fmt: skip
    found = ParallelPlan(**plan, layout="columns")
    return partition(lower(load_workload(data)[0]), found, found.devices)


@pytest.mark.parametrize("phase", [DECODE, PREFILL], ids=["decode", "prefill"])
@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_all_devices_compute_what_one_would(plan, phase):
    assert list(mistakes(led(plan, phase))) == []


def test_biases_are_divided_as_columns_are():
    biases = {"qkv_bias": True, "out_bias": True, "ffn_bias": True, "norm": "layer"}
    assert list(mistakes(led({"tensor": 4}, **biases))) == []


def test_the_first_device_has_attention_and_the_others_columns_of_weights():
    found = led({"tensor": 4})
    first, other = (share.graph for share in found.shares)
    assert [len(share.devices) for share in found.shares] == [1, 3]
    assert first.macs() + 3 * other.macs() == found.whole.macs()
    assert first.stored_bytes(Role.KV_CACHE) == found.whole.stored_bytes(Role.KV_CACHE)
    assert other.stored_bytes(Role.KV_CACHE) == 0
    matrices = sum(
        block.count * found.whole.tensors[op.reads[1].tensor].bytes
        for block, op in found.whole.ops()
        if op.op_class in ("qkv_proj", "out_proj", "ffn", "lm_head")
    )  # fmt: skip
    assert 4 * other.stored_bytes(Role.WEIGHT) == matrices
    assert {op.op_class for _, op in other.ops()} == {
        "comm_tensor", "qkv_proj", "out_proj", "ffn", "lm_head",
    }  # fmt: skip


def test_what_a_product_reads_is_broadcast_and_what_it_yields_is_gathered():
    (layer,) = (b for b in led({"tensor": 4}).shares[0].graph.blocks if b.name == "layer")
    sent = [(op.name, op.collective.pattern, op.collective.size_bytes) for op in layer.ops
            if op.collective]  # fmt: skip
    assert sent == [
        ("attn_norm.broadcast", "broadcast", 4 * 16 * 2),
        ("attn.qkv.gather", "gather", 4 * 32 * 2),
        ("attn.qkv.gather", "gather", 4 * 16 * 2),
        ("attn.qkv.gather", "gather", 4 * 16 * 2),
        ("attn.value.broadcast", "broadcast", 4 * 32 * 2),
        ("attn.out.gather", "gather", 4 * 16 * 2),
        ("ffn_norm.broadcast", "broadcast", 4 * 16 * 2),
        ("ffn.gate.gather", "gather", 4 * 32 * 2),
        ("ffn.up.gather", "gather", 4 * 32 * 2),
        ("ffn.act.broadcast", "broadcast", 4 * 32 * 2),
        ("ffn.down.gather", "gather", 4 * 16 * 2),
    ]
