"""Is each op sent where its rule says, by its phase, its Op/B and its rows, and does it say why?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim import api
from archsim.cli import _reasons
from archsim.ir.graph import OpGraph
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.system.build import build
from archsim.system.dispatch import Dispatcher
from archsim.system.dispatch_rule import DispatchRule
from archsim.system.dispatch_work import groups_of, work_of
from archsim.system.intensity import intensities
from archsim.system.place import Plan

TOY = {
    "architecture": "transformer", "layers": 2, "hidden": 64, "heads": 8, "kv_heads": 2,
    "head_dim": 8, "ffn": 96, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 80, "moe": {"experts": 8, "top_k": 2, "ffn": 32},
}  # fmt: skip
MIXED = {"kind": "mixed", "decode": {"batch": 4, "context": 64}, "prefill": [{"tokens": 16}]}
DECODE = {"kind": "decode", "batch": 4, "context": 64}
ARRAY = {"kind": "systolic_array", "rows": 16, "cols": 16, "clock": "core"}
EXPERTS = ["moe.gate", "moe.up", "moe.down"]


def workload(phase: dict[str, Any]) -> dict[str, Any]:
    return {"schema": "archsim.workload/1", "name": "toy", "model": {"config": TOY}, "phase": phase}


def graph(phase: dict[str, Any]) -> OpGraph:
    return lower(load_workload(workload(phase))[0])


def machine(*rules: dict[str, Any], **engines: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = api.load_hardware("npu").to_data()
    vector = next(e for e in data["engines"].values() if e["kind"] == "vector_unit")
    arrays = {"left": ARRAY, "right": ARRAY, **engines}
    return {**data, "engines": {**arrays, "vec": vector}, "dispatch": list(rules), "mapping": []}


def placed(*rules: dict[str, Any], phase: Any = None, **engines: dict[str, Any]) -> Plan:
    return api.place_only(machine(*rules, **engines), workload(phase or DECODE))


def on(plan: Plan) -> dict[str, str]:
    """Engine of each product, by its name."""
    stages = [s for b in plan.blocks for s in b.stages if s.ops[0].is_mac]
    return {s.ops[0].name: s.engine.name for s in stages}


MACHINE = build(api.load_hardware(machine()))
GRAPH = graph(DECODE)
RIGHT = DispatchRule.model_validate({"ops": "*", "run_on": "right"})
INSIDE = {"kind": "logic_pim", "inside": "hbm", "macs_per_stack": 16384, "clock": "core"}
BOTH = {"extends": "h100", "name": "m", "engines": {"pim": INSIDE}}
AUTO = {"ops": "*", "run_on": "auto", "among": ["pim", "tensor"]}
REST = {"ops": "*", "run_on": "right"}


def test_a_phase_is_whose_tokens_an_op_works_on_and_a_step_what_the_workload_is_in() -> None:
    rule = {"ops": "attention", "phase": ["decode"], "run_on": "left"}
    found = on(placed(rule, REST, phase=MIXED))
    assert [name for name, engine in found.items() if engine == "left"] == [
        "attn.score", "attn.value",
    ]  # fmt: skip
    steps = {"ops": "attention", "step": ["mixed"], "run_on": "left"}
    assert [n for n, e in on(placed(steps, REST, phase=MIXED)).items() if e == "left"] == [
        "attn.score", "attn.value", "attn.prefill1.score", "attn.prefill1.value",
    ]  # fmt: skip
    never = placed({**steps, "step": ["decode"]}, REST, phase=MIXED)
    assert "left" not in on(never).values()


def test_a_rule_that_matches_nothing_is_told_unless_it_is_for_other_phases() -> None:
    rules = [
        {"ops": "attention", "step": ["decode"], "run_on": "left"},
        {"ops": "ffn", "phase": ["train"], "run_on": "left"},
        {"ops": "gemm", "run_on": "left"},
        {"ops": "softmax", "split": {"over": ["left", "right"], "by": "heads"}},
    ]
    found = placed(*rules, REST, phase=MIXED).unmatched
    assert [r for r in found if "dispatch" in r] == ["dispatch[2]", "dispatch[3].split by heads"]


def test_op_per_byte_of_decode_attention_is_the_heads_that_share_a_key_head() -> None:
    found = {one.op_class: one for one in intensities(graph({**DECODE, "context": 60_000}))}
    assert found["attention"].op_per_byte == pytest.approx(4, rel=1e-3)
    assert found["attention"].rows == 4
    assert found["lm_head"].op_per_byte < found["lm_head"].rows == 4  # its results count too


def test_op_per_byte_of_experts_is_at_least_one_a_row_and_rises_with_the_batch() -> None:
    def experts(batch: int) -> tuple[float, float]:
        wide = {**TOY, "hidden": 2048, "moe": {"experts": 8, "top_k": 2, "ffn": 4096}}
        data = {**workload({**DECODE, "batch": batch}), "model": {"config": wide}}
        whole = lower(load_workload(data)[0])
        one = next(x for x in intensities(whole) if x.op_class == "moe_expert")
        return one.op_per_byte, one.rows

    found = [experts(batch) for batch in (1, 4, 16, 64)]
    assert found == sorted(found)
    assert found[0] == (pytest.approx(1, rel=2e-3), 1)
    assert all(value == pytest.approx(rows, rel=0.02) for value, rows in found)


@given(limit=st.floats(0.1, 20), at_least=st.booleans(), rows=st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_limit_parts_the_ops_by_the_value_of_what_belongs_together(
    limit: float, at_least: bool, rows: bool
) -> None:
    key = f"{'min' if at_least else 'max'}_{'rows' if rows else 'intensity'}"
    limit = round(limit + 0.5) if rows else limit
    rule = DispatchRule.model_validate({"ops": "*", key: limit, "run_on": "left"})
    spec = MACHINE.spec.model_copy(update={"dispatch": (rule, RIGHT)})
    dispatcher = Dispatcher(replace(MACHINE, spec=spec), GRAPH)
    for block in GRAPH.blocks:
        for ops in groups_of(block):
            work = work_of(GRAPH, ops)
            value = work.rows if rows else work.intensity
            left = value >= limit if at_least else value <= limit
            for op in ops:
                if op.is_mac:
                    made = dispatcher.of(f"{block.name}/{op.name}", op)
                    assert made.engine == ("left" if left else "right")


def test_auto_takes_the_faster_by_estimate_for_all_of_a_group_and_the_first_where_they_tie() -> (
    None
):
    rule = {"ops": "*", "run_on": "auto"}
    assert set(on(placed(rule)).values()) == {"left"}
    slow = {**ARRAY, "rows": 1, "cols": 1, "count": 1}
    found = on(placed({**rule, "among": ["slow", "right"]}, slow=slow))
    assert {found[name] for name in EXPERTS} == {"right"}
    dispatcher = placed({**rule, "among": ["slow", "right"]}, slow=slow).machine.dispatcher
    assert dispatcher is not None
    ops = {op.name: op for _, op in dispatcher.graph.ops()}
    why = dispatcher.of("layer/moe.gate", ops["moe.gate"]).why
    assert why.startswith("auto: right ")
    assert why.endswith(" for moe.gate, moe.up, moe.down together")
    fast, slower = (
        dispatcher.estimate(dispatcher.machine.engines[name], [ops[one] for one in EXPERTS])
        for name in ("right", "slow")
    )
    assert fast.ps < slower.ps
    assert fast.cost("energy") == slower.cost("energy") == fast.pj
    assert fast.cost("edp") == fast.ps * fast.pj


def test_experts_move_from_inside_the_memory_to_beside_it_as_the_batch_grows() -> None:
    both = build(api.load_hardware({**BOTH, "dispatch": [AUTO]}))

    def sent(preset: str, batch: int) -> dict[str, str]:
        phase = {**DECODE, "batch": batch, "context": 64}
        found = lower(load_workload({**workload(phase), "model": {"preset": preset}})[0])
        dispatcher = Dispatcher(both, found)
        return {
            op.name: dispatcher.of(f"{block.name}/{op.name}", op).engine
            for block, op in found.ops() if op.is_mac
        }  # fmt: skip

    few, many = sent("mixtral-8x7b", 8), sent("mixtral-8x7b", 1024)
    assert {few[name] for name in EXPERTS} == {"pim"}
    assert {many[name] for name in EXPERTS} == {"tensor"}
    assert few["attn.score"] == few["attn.value"] == "pim"
    encoder = lower(load_workload("bert-base-encode")[0])
    score = next(op for _, op in encoder.ops() if op.op_class == "attention_score")
    made = Dispatcher(both, encoder).of("layer/attn.score", score)
    assert made.why == "auto: only tensor of pim, tensor runs it"  # keys lie in no memory


@pytest.mark.parametrize("engine", ["pim", "tensor"])
def test_an_estimate_is_within_a_twentieth_of_what_a_run_counts(engine: str) -> None:
    rules = [{"ops": ["moe_expert", "attention"], "run_on": engine}]
    data = {**workload({**DECODE, "batch": 16, "context": 2048}), "model": {"preset": "grok-1"}}
    data["dtypes"] = {"weights": "fp16", "kv_cache": "fp16"}
    room = ["memory.hbm.capacity=1 TiB"]
    plan = api.place_only({**BOTH, "dispatch": rules}, data, set_=room)
    run = api.run({**BOTH, "dispatch": rules}, data, set_=room, fidelity="analytic", advice=False)
    dispatcher = plan.machine.dispatcher
    assert dispatcher is not None
    for classes in (("moe_expert",), ("attention_score", "attention_value")):
        rows = [row for row in run.ops if row["op_class"] in classes]
        ops = [op for _, op in plan.graph.ops() if op.op_class in classes]
        found = dispatcher.estimate(plan.machine.engines[engine], ops)
        time_ps = sum(row["time_ps"] / row["repeats"] for row in rows)
        assert found.ps == pytest.approx(time_ps, rel=0.05)
        pj = sum(row["energy_j"] / row["repeats"] for row in rows) * 1e12
        assert found.pj == pytest.approx(pj, rel=0.05)


def test_a_family_of_classes_sends_an_engine_what_it_can_run_and_no_more() -> None:
    plan = placed({"ops": "attention", "run_on": "left"}, REST)
    softmax = next(s for b in plan.blocks for s in b.stages if "softmax" in s.ops[0].name)
    assert softmax.engine.name == "vec"
    assert on(plan)["attn.score"] == "left"


def test_explain_and_map_say_which_rule_it_was_and_why_not_an_earlier_one(
    tmp_path: Any,
) -> None:
    rules = [
        {"ops": "moe_expert", "min_rows": 3, "run_on": "right"},
        {"ops": ["moe_expert", "attention"], "max_intensity": 2.5, "run_on": "left"},
        {"ops": "*", "run_on": "auto", "among": ["left", "right"], "prefer": "edp"},
    ]
    report = api.run(machine(*rules), workload(DECODE), fidelity="analytic", advice=False)
    found = {one["op"]: one for one in report.result["dispatch"]}
    gate = found["layer/moe.gate"]
    assert gate["engine"] == "left"
    assert gate["rule"] == "dispatch[1]"
    assert gate["why"].startswith("Op/B 1.")
    assert gate["why"].endswith(" <= 2.5")
    assert gate["passed"][0].startswith("dispatch[0]: rows 1.")
    score = found["layer/attn.score"]
    assert score["passed"][0].endswith(" > 2.5")
    assert score["why"].startswith("auto: left ")
    assert found["layer/moe.act"]["engine"] == "vec"
    assert "W204 dispatch[0] never matched an op of this workload" in report.warnings
    report.write(tmp_path)
    text = _reasons.text(_reasons.page(str(tmp_path), "layer/moe.gate"))
    assert f"Why it ran on left\n  dispatch[1]: {gate['why']}\n  not {gate['passed'][0]}" in text


def test_a_machine_without_rules_has_nothing_to_say() -> None:
    report = api.run(machine(), workload(DECODE), fidelity="analytic", advice=False)
    assert "dispatch" not in report.result
    assert {row["engine"] for row in report.ops if row["macs"]} == {"left"}


def near_memory(*rules: dict[str, Any]) -> dict[str, Any]:
    """Array and vector unit beside an engine inside the memory and units of its own."""
    found = machine(*rules)
    array = api.load_hardware("npu").to_data()["engines"]["array"]
    hbm = {"kind": "dram", "standard": "HBM3_5.2Gbps", "stacks": 2}
    units = dict.fromkeys(("add", "mul", "max", "exp", "div"), 512)
    found["engines"] |= {
        "left": array,
        "pim": {"kind": "logic_pim", "inside": "hbm", "macs_per_stack": 16384, "clock": "pim"},
        "lanes": {"kind": "pim_companion", "units": units, "count": 2, "clock": "pim"},
    }
    clocks = {**found["clocks"], "pim": "1 GHz"}
    found["mapping"] = [{"ops": "attention", "dataflow": "flash_attention"}]
    return {**found, "clocks": clocks, "memory": {**found["memory"], "hbm": hbm}}


def run(*rules: dict[str, Any], batch: int = 16) -> dict[str, Any]:
    phase = {"phase": "decode", "batch": batch, "context": 2048}
    made = near_memory(*rules)
    return api.run(made, "llama-3-8b", fidelity="tile", advice=False, **phase).result


INSIDE = {"ops": "attention", "run_on": "pim"}


def test_beside_a_memory_runs_unsent_the_softmax_of_scores_made_inside_and_nothing_else() -> None:
    found = {d["op"]: d["engine"] for d in run(INSIDE)["dispatch"]}
    assert [op for op, engine in found.items() if engine == "lanes"] == ["layer/attn.softmax"]


@pytest.mark.parametrize(("ops", "by"), [("attention", "sequences"), ("linear", "columns")])
def test_a_split_is_faster_than_its_engine_inside_the_memory_alone(ops: str, by: str) -> None:
    split = {"ops": ops, "split": {"over": ["left", "pim"], "by": by}}
    assert run(split)["time_ps"] < run({"ops": ops, "run_on": "pim"})["time_ps"]


def test_parts_that_need_one_vector_unit_are_no_slower_than_one_engine() -> None:
    one = {"ops": "softmax", "run_on": "lanes"}
    split = {"ops": "attention", "split": {"over": ["left", "pim"], "by": "sequences"}}
    assert run(one, split)["time_ps"] <= run(one, INSIDE)["time_ps"]


def test_units_that_multiply_longer_than_banks_read_are_bound_by_compute() -> None:
    rule = {"ops": "linear", "run_on": "pim"}
    found = {batch: run(rule, batch=batch) for batch in (1, 64)}
    assert [one["bound_by"] for one in found.values()] == ["memory", "compute"]
    least_ps = 1e12 * 7504658432 * 64 / (2 * 16384 * 1e9)  # weights that rows meet, and 64 of them
    assert found[64]["bound_ps"] == pytest.approx(least_ps, rel=0.001)
