"""Is a mapping that a user writes the one that runs, and is what `map` prints one of those?"""

import pytest

from archsim import api
from archsim.cli._mappings import rules
from archsim.ir.mapping import Mapping
from archsim.ir.nest import NestMapping

OPS = [
    {"kind": "gemm", "name": "fc", "m": 96, "n": 80, "k": 112},
    {"kind": "vector", "name": "act", "rows": 96, "cols": 80, "after": "fc",
     "primitives": {"max": 1}},
    {"kind": "conv", "name": "conv", "channels": 8, "height": 14, "width": 14,
     "out_channels": 8, "kernel": [3, 3], "stride": 2, "padding": 1, "groups": 2},
]  # fmt: skip
GRAPH = {
    "schema": "archsim.workload/1",
    "name": "two",
    "model": {"config": {"architecture": "graph", "ops": OPS}},
    "phase": {"kind": "infer"},
    "dtypes": {"weights": "bf16", "activations": "bf16"},
}


def write(folder, text):
    file = folder / "rules.yaml"
    file.write_text(text)
    return [str(file)]


def answers(report):
    """Everything that a run answers, without its inputs and what is said about them."""
    return {k: v for k, v in report.result.items() if k in ("time_ps", "energy", "counts", "ops")}


@pytest.mark.parametrize(
    ("machine", "workload", "nests"),
    [
        ("npu", GRAPH, 2),
        ("eyeriss", GRAPH, 2),
        ("npu", "llama-3-8b-decode", 6),
        ("npu-flash", "llama-3-8b-ragged", 6),
        ("tpu-v4", "gpt2-small-prefill", 5),
    ],
)
def test_what_map_prints_gives_the_same_run(machine, workload, nests, tmp_path):
    text = rules(machine, workload, "*")
    assert text.count("nest:") == nests
    before = api.run(machine, workload, fidelity="tile")
    after = api.run(machine, workload, fidelity="tile", set_files=write(tmp_path, text))
    assert answers(after) == answers(before)
    assert after.ops == before.ops


def test_text_of_one_op_leaves_the_others_to_the_machine(tmp_path):
    text = rules("npu", GRAPH, "*/conv")
    assert text.count("nest:") == 1
    plan = api.place_only("npu", GRAPH, set_files=write(tmp_path, text))
    before = api.place_only("npu", GRAPH)
    assert [s.mapping for s in plan.blocks[0].stages] == [
        s.mapping for s in before.blocks[0].stages
    ]


NEST = """\
levels:
  dram: {loops: [N/32, K/64]}
  buffer:
    keep: [in over N, weight, out]
    loops: [{rank: K, tile: 1, axis: rows}, N/1 @cols]
  registers: {keep: [weight], loops: [M/1]}
"""


def mapping(*, machine, text, folder, workload=GRAPH, op="fc"):
    plan = api.place_only(machine, workload, set_files=write(folder, text))
    (stage,) = (s for b in plan.blocks for s in b.stages if s.ops[0].name == op)
    return stage.mapping


def test_a_nest_in_a_file_becomes_a_mapping_of_a_systolic_array(tmp_path):
    (tmp_path / "fc.yaml").write_text(NEST)
    text = "mapping:\n  - {ops: '*/fc', nest: fc.yaml}\n"
    found = mapping(machine="npu", text=text, folder=tmp_path)
    assert isinstance(found, Mapping)
    assert found.dataflow == found.stationary + "_stationary" == "weight_stationary"
    assert found.order == ("b", "m", "n", "k")
    assert found.tile == {"b": 1, "m": 96, "n": 32, "k": 64}
    # sums stay while the innermost loop, over K, steps: that needs no word
    assert found.keep == {"in", "out"}
    assert {operand: b.slots for operand, b in found.buffers.items()} == {
        "in": 2, "weight": 2, "out": 2,
    }  # fmt: skip


def test_the_order_of_loops_is_the_order_of_the_run(tmp_path):
    (tmp_path / "fc.yaml").write_text(NEST.replace("[N/32, K/64]", "[K/64, N/32]"))
    text = "mapping:\n  - {ops: '*/fc', nest: fc.yaml}\n"
    found = mapping(machine="npu", text=text, folder=tmp_path)
    assert found.order == ("b", "m", "k", "n")
    assert found.spills
    report = api.run("npu", GRAPH, fidelity="tile", set_files=[str(tmp_path / "rules.yaml")])
    row = next(row for row in report.ops if row["op"] == "ops/fc")
    assert row["dram_partial_bytes"] == 2 * 96 * 80 * 4


def test_a_written_nest_runs_on_a_spatial_array_and_moves_what_it_says(tmp_path):
    text = """\
mapping:
- ops: "*/fc"
  nest:
    levels:
      dram: {loops: [M/24, K/12]}
      buffer: {keep: [in, weight, out], loops: [N/14, K/1 @rows, N/1 @cols]}
      registers: {keep: [weight, out], loops: [M/1]}
"""
    found = mapping(machine="eyeriss", text=text, folder=tmp_path)
    assert isinstance(found, NestMapping)
    assert found.dataflow == "nest"
    report = api.run("eyeriss", GRAPH, fidelity="tile", set_files=[str(tmp_path / "rules.yaml")])
    row = next(row for row in report.ops if row["op"] == "ops/fc")
    moved = found.traffic(found.cases[0])
    assert row["dram_in_bytes"] == 2 * moved["dram", "in"].reads == 2 * 96 * 112
    assert row["dram_weight_bytes"] == 2 * moved["dram", "weight"].reads == 2 * 4 * 80 * 112


def test_the_resolved_description_of_a_run_holds_the_nest_itself(tmp_path):
    (tmp_path / "fc.yaml").write_text(NEST)
    files = write(tmp_path, "mapping:\n  - {ops: '*/fc', nest: fc.yaml}\n")
    report = api.run("npu", GRAPH, fidelity="analytic", set_files=files)
    (rule,) = report.resolved["hardware"]["mapping"]
    assert rule["nest"]["levels"]["dram"]["loops"] == ["N/32", "K/64"]
    assert rule["nest"]["levels"]["buffer"]["loops"] == ["K/1 @rows", "N/1 @cols"]
