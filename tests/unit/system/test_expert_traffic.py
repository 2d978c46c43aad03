"""Does a decode step with experts move the weights of those that have tokens, to the byte?"""

import pytest

from archsim import api
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload

MODEL = {
    "architecture": "transformer", "layers": 3, "hidden": 256, "heads": 4, "kv_heads": 2,
    "head_dim": 64, "ffn": 512, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 512, "dense_layers": 1,
    "moe": {
        "experts": 16, "top_k": 4, "ffn": 128, "shared": 1, "bias": True, "router_bias": True,
        "weights": "mxfp4",
    },
}  # fmt: skip


def workload(batch, routing):
    return {
        "schema": "archsim.workload/1",
        "name": "toy",
        "model": {"config": MODEL},
        "phase": {"kind": "decode", "batch": batch, "context": 64},
        "routing": routing,
    }


@pytest.mark.parametrize("machine", ["npu", "tpu-v4", "h100"])
@pytest.mark.parametrize(
    "routing", [{}, {"kind": "zipf", "exponent": 2.0}, {"per_layer": True, "seed": 2}]
)
@pytest.mark.parametrize("batch", [1, 7])
def test_weights_read_are_those_of_experts_with_tokens(machine, routing, batch):
    data = workload(batch, routing)
    graph = lower(load_workload(data)[0])
    result = api.run(machine, data, advice=False).result
    (traffic,) = result["traffic"].values()
    assert traffic["weight_read_bytes"] == graph.read_bytes(Role.WEIGHT)
    assert graph.read_bytes(Role.WEIGHT) < graph.stored_bytes(Role.WEIGHT)


def test_layers_counted_are_layers_simulated():
    folded, exact = (
        api.run("npu", workload(7, {}), exact=e, advice=False).result for e in (False, True)
    )
    assert folded["time_ps"] == exact["time_ps"]
    assert folded["traffic"] == exact["traffic"]


def test_another_seed_touches_other_experts():
    found = {
        api.run("npu", workload(7, {}), seed=s, fidelity="bound", advice=False).result["bound_ps"]
        for s in range(6)
    }
    assert len(found) > 1


def test_both_engines_agree_on_experts():
    found = [
        api.run("npu", workload(7, {}), engine=e, advice=False).result
        for e in ("compiled", "simpy")
    ]
    assert found[0]["time_ps"] == found[1]["time_ps"]
    assert found[0]["stalls"] == found[1]["stalls"]
