"""Are groups of heads, and columns of a product, the same work as the whole, only sooner done?"""

import copy

import pytest

import archsim
from archsim.api import place_only
from archsim.ir.graph import OpGraph
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.system.build import build
from archsim.system.spec import load_hardware
from archsim.system.split import split_ops
from archsim.system.split_heads import head_groups

MODEL = {
    "architecture": "transformer", "layers": 2, "hidden": 512, "heads": 12, "kv_heads": 6,
    "head_dim": 64, "ffn": 1600, "ffn_matrices": 2, "activation": "gelu", "norm": "layer",
    "position": "rope", "vocab": 512, "qkv_bias": True, "out_bias": True, "ffn_bias": True,
}  # fmt: skip
DISPATCH = [
    {"ops": ["attention_score", "attention_value"], "run_on": "pim"},
    {"ops": "softmax", "run_on": "near"},
    {"ops": "*", "run_on": "lanes"},
]
MACHINE = {
    "schema": "archsim.hardware/1", "name": "far", "clocks": {"core": "1 GHz", "pim": "325 MHz"},
    "memory": {
        "sram": {"kind": "sram", "capacity": "8 MiB", "bandwidth": "4096 B/cycle"},
        "near_dram": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "500 GB/s",
                      "latency": "0 ns"},
        "far_dram": {"kind": "dram", "standard": "HBM3_PIM_5.2Gbps", "latency": "0 ns"},
    },
    "engines": {
        "array": {"kind": "systolic_array", "rows": 64, "cols": 64, "count": 4},
        "lanes": {"kind": "vector_unit", "lanes": 256},
        "near": {"kind": "vector_unit", "lanes": 1024},
        "pim": {"kind": "bank_pim", "inside": "far_dram", "commands": "AttAcc", "clock": "pim",
                "lanes": 16},
    },
    "interconnect": {"bridge": {"kind": "dma", "from": "far_dram", "to": "near_dram",
                                "bandwidth": "100 GB/s"}},
    "placement": {"weights": ["near_dram", "far_dram"], "kv_cache": ["far_dram"],
                  "activations": ["sram", "near_dram"]},
    "dispatch": DISPATCH,
}  # fmt: skip
COLUMNS = {"ops": "ffn", "split": {"over": ["array", "pim"], "by": "columns"}}


def machine(groups=None, *rules):
    made = copy.deepcopy(MACHINE)
    made["dispatch"] = [*rules, *DISPATCH]
    if groups is not None:
        made["mapping"] = [{"ops": "attention", "head_groups": groups}]
    return made


def workload(batch=40, context=1000, **model):
    phase = {"kind": "decode", "batch": batch, "context": context}
    return {"schema": "archsim.workload/1", "name": "w", "model": {"config": MODEL | model},
            "phase": phase, "dtypes": {"weights": "bf16"}}  # fmt: skip


def built(made) -> object:
    return build(load_hardware(made)[0])


def graph_of(work) -> OpGraph:
    return lower(load_workload(work)[0])


def result(made, work=None, fidelity="tile"):
    return archsim.run(made, work or workload(), fidelity=fidelity, advice=False).result


@pytest.mark.parametrize("context", [1000, [300, 700, 700, 1000]])
def test_groups_of_heads_are_the_whole_op_by_op_and_tensor_by_tensor(context):
    whole = graph_of(workload(4, context))
    parts = head_groups(whole, built(machine(4)), set())  # 6 key heads: three groups of two
    assert parts.macs() == whole.macs()
    assert {name.rpartition("@")[2] for name in parts.tensors if "@" in name} == {
        "heads1", "heads2", "heads3",
    }  # fmt: skip
    for name, tensor in whole.tensors.items():
        own = [t.bytes for n, t in parts.tensors.items() if n.partition("@")[0] == name]
        sums = name == "attn.projected"  # each group adds to what the one before has summed
        assert sum(own) == tensor.bytes * (3 if sums else 1)
    block = parts.blocks[1]
    outs = [op for op in block.ops if op.op_class == "out_proj"]
    assert [op.reads[-1].tensor for op in outs] == [
        "attn.out.weight@heads1", "attn.projected@heads1", "attn.projected@heads2",
    ]  # fmt: skip
    assert outs[-1].writes[0].tensor == "attn.projected"


def test_projections_hide_behind_the_attention_of_the_group_before():
    whole, parts = result(machine(None)), result(machine(2))
    assert parts["time_ps"] < whole["time_ps"]
    assert parts["counts"]["pim.pim.mac"] == whole["counts"]["pim.pim.mac"]
    times = {one["op_class"]: one["time_ps"] for one in whole["op_classes"]}
    least = whole["time_ps"] - max(times["attention_score"], times["qkv_proj"] + times["out_proj"])
    assert parts["time_ps"] > least


def test_groups_that_change_nothing_are_said_to():
    on_chip = machine(2)
    on_chip["dispatch"] = [{"ops": "*", "run_on": "array"}, {"ops": "*", "run_on": "lanes"}]
    on_chip["placement"]["kv_cache"] = ["near_dram"]
    text = "mapping[0].head_groups has no effect: no attention is inside a memory, or its heads do"
    for made, work in ((on_chip, workload()), (machine(1), workload())):
        warnings = result(made, work)["warnings"]
        assert any(text in str(one) for one in warnings)


def test_columns_are_dealt_with_the_weights_that_they_need():
    whole = graph_of(workload())
    parts = split_ops(whole, built(machine(None, COLUMNS)))
    assert parts.macs() == whole.macs()
    weight = whole.tensors["ffn.up.weight"]
    own = [parts.tensors[f"ffn.up.weight@{name}"] for name in ("array", "pim")]
    assert sum(t.bytes for t in own) == weight.bytes
    assert own[0].shape[1] % 64 == 0
    assert "ffn.up.weight" not in parts.tensors
    assert sum(parts.tensors[f"ffn.up.bias@{name}"].elements for name in ("array", "pim")) == 1600


def test_weights_of_the_part_in_a_further_memory_lie_there():
    plan = place_only(machine(None, COLUMNS), workload())
    parts = {n: t for n, t in plan.graph.tensors.items() if n.endswith("weight@pim")}
    assert parts
    assert {plan.homes.far[name] for name in parts} == {
        (("far_dram", t.bytes),) for t in parts.values()
    }
    assert not any(name.endswith("weight@array") for name in plan.homes.far)


@pytest.mark.parametrize("fidelity", ["tile", "cycle"])
def test_both_processors_at_once_are_faster_than_one(fidelity):
    alone = result(machine(None), fidelity=fidelity)
    both = result(machine(None, COLUMNS), fidelity=fidelity)
    ffn = [
        next(o["time_ps"] for o in r["op_classes"] if o["op_class"] == "ffn") for r in (alone, both)
    ]
    assert ffn[1] < ffn[0]
    macs = [sum(n for key, n in r["counts"].items() if "mac" in key) for r in (alone, both)]
    assert macs[0] == macs[1]
