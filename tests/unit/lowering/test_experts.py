"""Is a layer of experts the work that its numbers and the routing describe?"""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.ir.op import Kind
from archsim.ir.tensor import Role
from archsim.lowering.lower import describe, lower
from archsim.lowering.routing import Routing, tokens_per_expert
from archsim.lowering.spec import load_workload

TOY = {
    "architecture": "transformer", "layers": 4, "hidden": 24, "heads": 4, "kv_heads": 2,
    "head_dim": 8, "ffn": 40, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 50,
}  # fmt: skip
EXPERTS = {"experts": 8, "top_k": 2, "ffn": 16}
CLASSES = ("moe_router", "moe_topk", "moe_permute", "moe_expert", "moe_combine")


def workload(moe, phase=None, routing=None, **changes):
    data = {
        "schema": "archsim.workload/1",
        "name": "toy",
        "model": {"config": {**TOY, **changes, "moe": moe}},
        "phase": phase or {"kind": "decode", "batch": 5, "context": 16},
        "routing": routing or {},
    }
    return load_workload(data)[0]


def graph(moe, phase=None, routing=None, **changes):
    return lower(workload(moe, phase, routing, **changes))


def ops(found, op_class):
    return [(block.count, op) for block, op in found.ops() if op.op_class == op_class]


def op(found, name):
    return next(o for _, o in found.ops() if o.name == name)


@st.composite
def moes(draw):
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    experts = groups * draw(st.integers(1, 6))
    top_groups = draw(st.integers(1, groups))
    moe = {
        "experts": experts,
        "top_k": draw(st.integers(1, experts // groups * top_groups)),
        "ffn": draw(st.integers(1, 40)),
        "groups": groups,
        "top_groups": top_groups,
        "bias": draw(st.booleans()),
        "router": draw(st.sampled_from(["softmax", "sigmoid"])),
        "router_bias": draw(st.booleans()),
    }
    if draw(st.booleans()):
        moe |= {"shared": draw(st.integers(1, 3)), "shared_gate": draw(st.booleans())}
        moe |= {"shared_ffn": draw(st.integers(1, 40))} if draw(st.booleans()) else {}
    return moe


ROUTINGS = st.sampled_from(
    [{}, {"seed": 7}, {"kind": "zipf", "exponent": 1.5}, {"per_layer": True}]
)


@given(
    moe=moes(),
    routing=ROUTINGS,
    batch=st.integers(1, 30),
    matrices=st.sampled_from([2, 3]),
    dense=st.integers(0, 2),
    every=st.sampled_from([1, 2]),
)
def test_no_mac_and_no_parameter_is_lost(moe, routing, batch, matrices, dense, every):
    changes = {"ffn_matrices": matrices, "dense_layers": dense, "moe_every": every}
    found = graph(moe, {"kind": "decode", "batch": batch, "context": 16}, routing, **changes)
    layers = (TOY["layers"] - dense) // every
    inner = matrices * TOY["hidden"] * moe["ffn"]
    counted = sum(count * o.macs() for count, o in ops(found, "moe_expert"))
    assert counted == layers * batch * moe["top_k"] * inner
    assert found.macs() == batch * found.facts["macs_per_token"]
    assert found.stored_bytes(Role.WEIGHT) == 2 * found.facts["parameters"]


@given(moe=moes(), routing=ROUTINGS, batch=st.integers(1, 30))
def test_only_experts_with_tokens_are_read(moe, routing, batch):
    found = graph(moe, {"kind": "decode", "batch": batch, "context": 16}, routing)
    idle = 0
    draw = Routing.model_validate({"seed": 0, **routing})
    for layer in range(TOY["layers"]):
        counts = tokens_per_expert(draw, moe["experts"], moe["top_k"], batch, layer)
        idle += int((counts == 0).sum())
    one = 3 * TOY["hidden"] * moe["ffn"] + (2 * moe["ffn"] + TOY["hidden"]) * moe["bias"]
    unread = (TOY["vocab"] - min(batch, TOY["vocab"])) * TOY["hidden"]  # rows not looked up
    stored = found.stored_bytes(Role.WEIGHT)
    assert found.read_bytes(Role.WEIGHT) == stored - 2 * (idle * one + unread)


def test_a_layer_of_experts_has_these_ops_in_this_order():
    names = [o.name for b, o in graph(EXPERTS).ops() if b.name == "layer"]
    assert names[names.index("ffn_norm") :] == [
        "ffn_norm", "moe.router", "moe.topk", "moe.permute", "moe.gate", "moe.up", "moe.act",
        "moe.down", "moe.combine", "ffn.residual",
    ]  # fmt: skip


def test_shared_experts_are_one_product_a_matrix_beside_the_others():
    found = graph({**EXPERTS, "shared": 2, "shared_ffn": 12, "shared_gate": True})
    shared = [o for _, o in found.ops() if o.name.startswith("shared.")]
    assert [(o.name, o.ranks.get("K"), o.ranks["N"]) for o in shared] == [
        ("shared.gate", 24, 24), ("shared.up", 24, 24), ("shared.act", None, 24),
        ("shared.down", 24, 24), ("shared.scale", 24, 1), ("shared.scale_act", None, 1),
    ]  # fmt: skip
    combine = op(found, "moe.combine")
    assert {a.tensor for a in combine.reads} == {
        "moe.lowered", "moe.shares", "shared.lowered", "shared.share"
    }  # fmt: skip
    assert combine.primitives == {"mul": 3, "add": 2}


@pytest.mark.parametrize("name", ["moe.gate", "moe.up", "moe.down"])
def test_experts_with_equally_many_tokens_are_one_group_of_one_op(name):
    found = graph(EXPERTS, {"kind": "decode", "batch": 20, "context": 16}, {"seed": 3})
    counts = tokens_per_expert(Routing(seed=3), 8, 2, 20)
    groups = {dict(g.extents)["M"]: g.count for g in op(found, name).groups}
    assert groups == Counter(int(n) for n in counts if n)
    assert op(found, name).ranks["B"] == np.count_nonzero(counts)
    assert op(found, name).ranks["M"] == counts[0]


def test_tokens_are_copied_to_their_experts_and_summed_back():
    found = graph(EXPERTS)
    permute, combine = op(found, "moe.permute"), op(found, "moe.combine")
    assert permute.kind is Kind.GATHER
    assert permute.ranks == {"M": 10, "N": 24}
    assert combine.ranks == {"M": 5, "N": 24}
    assert combine.primitives == {"mul": 2, "add": 1}


def test_the_choice_of_deepseek_counts_sigmoids_groups_and_passes():
    moe = {"experts": 16, "top_k": 3, "ffn": 8, "router": "sigmoid", "router_bias": True,
           "groups": 4, "top_groups": 2}  # fmt: skip
    topk = op(graph(moe), "moe.topk")
    # sigmoid, bias; three passes and two best of each group; other groups cleared
    assert topk.primitives == {"exp": 1, "add": 2, "div": 1, "max": 5, "mul": 1}
    # sums of four groups, two passes over them; three weights to their sum
    assert topk.row_primitives == {"add": 6, "max": 8, "div": 1, "mul": 3}
    assert topk.reduces
    assert topk.reads[1].tensor == "moe.topk.bias"


def test_one_expert_is_the_dense_feed_forward_part_and_a_router():
    phase = {"kind": "prefill", "batch": 2, "tokens": 5}
    dense = graph(None, phase)
    one = graph({"experts": 1, "top_k": 1, "ffn": 40}, phase)
    assert one.macs() == dense.macs() + 4 * 10 * 24
    assert one.read_bytes(Role.WEIGHT) == dense.read_bytes(Role.WEIGHT) + 4 * 2 * 24
    for name in ("gate", "up", "down"):
        assert op(one, f"moe.{name}").macs() == op(dense, f"ffn.{name}").macs()


def test_layers_that_share_a_draw_are_one_block_and_drawn_layers_are_their_own():
    blocks = [(b.name, b.count) for b in graph(EXPERTS).blocks]
    assert blocks == [("embed", 1), ("layer", 4), ("head", 1)]
    assert [b.count for b in graph(EXPERTS, None, {"per_layer": True}).blocks] == [1] * 6


@pytest.mark.parametrize("suffix", ["csv", "npy"])
def test_a_trace_of_counts_says_the_tokens_of_each_layer(tmp_path, suffix):
    rows = [[5, 5, 0, 0, 0, 0, 0, 0], [5, 3, 2, 0, 0, 0, 0, 0]]
    file = tmp_path / f"trace.{suffix}"
    if suffix == "npy":
        np.save(file, np.array(rows))
    else:
        file.write_text("".join(", ".join(map(str, row)) + ",\n" for row in rows))
    routing = {"kind": "trace", "file": str(file)}
    found = graph(EXPERTS, None, routing, dense_layers=2)
    assert [o.ranks["B"] for _, o in ops(found, "moe_expert")] == [2] * 3 + [3] * 3


def test_a_trace_of_tokens_is_a_trace_of_their_counts(tmp_path):
    tokens = [[0, 1], [0, 2], [1, 2], [3, 0], [7, 0]]
    (tmp_path / "tokens.csv").write_text("".join(f"{a},{b}\n" for a, b in tokens))
    (tmp_path / "counts.csv").write_text("4,2,2,1,0,0,0,1\n")
    found = [
        workload(EXPERTS, None, {"kind": "trace", "file": str(tmp_path / f"{name}.csv")})
        for name in ("tokens", "counts")
    ]
    assert found[0].routing == found[1].routing
    assert found[0].routing.counts == ((4, 2, 2, 1, 0, 0, 0, 1),)
    assert [b.count for b in lower(found[0]).blocks] == [1, 4, 1]


def test_a_workload_with_a_trace_stands_alone(tmp_path):
    (tmp_path / "a.csv").write_text("4,2,2,1,0,0,0,1\n")
    found = workload(EXPERTS, None, {"kind": "trace", "file": str(tmp_path / "a.csv")})
    (tmp_path / "a.csv").unlink()
    again = load_workload(found.to_data())[0]
    assert again == found
    assert lower(again).macs() == lower(found).macs()


def test_a_model_without_a_phase_is_counted_without_its_trace(tmp_path):
    (tmp_path / "a.csv").write_text("4,2,2,1,0,0,0,1\n")
    data = workload(EXPERTS).to_data() | {"routing": {"kind": "trace", "file": "a.csv"}}
    del data["phase"]
    assert describe(data)["parameters"] == describe(workload(EXPERTS))["parameters"]


def test_the_run_seeds_a_draw_that_has_no_seed_of_its_own():
    data = workload(EXPERTS).to_data()
    del data["routing"]["seed"]
    assert load_workload(data, seed=4)[0].routing.seed == 4
    data["routing"]["seed"] = 9
    assert load_workload(data, seed=4)[0].routing.seed == 9


def test_experts_in_a_form_of_their_own_are_stored_in_it():
    plain, narrow = (graph({**EXPERTS, **form}) for form in ({}, {"weights": "mxfp4"}))
    elements = 4 * 8 * 3 * 24 * 16
    saved = plain.stored_bytes(Role.WEIGHT) - narrow.stored_bytes(Role.WEIGHT)
    assert saved == 2 * elements - (elements * 4 + elements // 32 * 8) // 8


def test_every_class_of_the_experts_work_is_there():
    found = {o.op_class for _, o in graph({**EXPERTS, "shared": 1}).ops()}
    assert {*CLASSES, "moe_shared"} <= found
