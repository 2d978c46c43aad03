"""Does the backward pass of attention run on chip as its mapping says, and what does it save?"""

from functools import cache

import pytest

from archsim import api
from archsim.core.errors import Unsupported
from archsim.ir.attention import AttentionBackwardMapping
from archsim.ir.flash_backward import FlashBackwardMapping
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.report.account import account
from archsim.system.bound import bound
from archsim.system.flash_backward import operands
from archsim.system.flash_backward_chain import keep_statistics
from archsim.system.record import record
from archsim.system.simulate import timed

SCORE, BACKWARD = "layer/attn.score", "layer.backward/attn.score.again"
APART = {"ops": "attention_backward", "dataflow": "weight_stationary"}


def llama(layers=2, tokens=1024, batch=1, **more):
    """A Llama-3-8B of few layers and a small vocabulary, trained for one step."""
    config = {
        "architecture": "transformer", "layers": layers, "hidden": 4096, "heads": 32,
        "kv_heads": 8, "head_dim": 128, "ffn": 14336, "ffn_matrices": 3, "activation": "silu",
        "norm": "rms", "position": "rope", "vocab": 4096, **more,
    }  # fmt: skip
    phase = {"kind": "train", "batch": batch, "tokens": tokens}
    return {
        "schema": "archsim.workload/1", "name": "w", "model": {"config": config}, "phase": phase,
    }  # fmt: skip


def small(tokens=200, **more):
    """One thin layer: two query heads to a key head."""
    return llama(2, tokens, 2, hidden=128, heads=4, kv_heads=2, head_dim=32, ffn=64, **more)


def machine(name, *rules, **changed):
    """A shipped machine with rules before its own, and other values by path."""
    data = api.load_hardware(name).to_data()
    data["mapping"] = [*rules, *data["mapping"]]
    for path, value in changed.items():
        room, part, key = path.split("__")
        data[room][part][key] = value
    return data


def placed(hardware, work):
    plan = api.place_only(hardware, work)
    stages = {s.path: s for b in plan.blocks for s in b.stages}
    return plan, stages


@cache
def both(name):
    """One step of training with the backward pass on chip, and op by op."""
    runs = [api.run(h, llama(tokens=2048), fidelity="tile", advice=False)
            for h in (name, machine(name, APART))]  # fmt: skip
    return tuple(runs)


def op(run, path):
    (row,) = [r for r in run.ops if r["op"] == path]
    return row


@pytest.mark.parametrize("name", ["npu", "npu-flash", "a100"])
def test_both_engines_and_every_fold_give_one_answer(name):
    answers = {
        api.run(name, small(), engine=engine, exact=exact, fidelity="tile", advice=False)
        .result["time_ps"]
        for engine in ("compiled", "simpy")
        for exact in (False, True)
    }  # fmt: skip
    assert len(answers) == 1


@pytest.mark.parametrize("work", [small(200), small(64), llama(1, 512)])
def test_the_bytes_of_a_run_are_the_closed_form_of_each_operand(work):
    plan, stages = placed("npu", work)
    mapping, count = stages[BACKWARD].mapping, work["model"]["config"]["layers"]
    assert isinstance(mapping, FlashBackwardMapping)
    said = {word: count * size for word, size in mapping.traffic().items()}
    row = op(api.run("npu", work, fidelity="analytic", advice=False), BACKWARD)
    read = {word: row.get(f"dram_{word}_bytes", 0) for word in ("in", "weight", "partial", "out")}
    assert read == {
        "in": said["q"] + said["d_out"] + said["stats"] + said["delta"],
        "weight": said["k"] + said["v"],
        "partial": said["sums"],
        "out": said["d_q"] + said["d_k"] + said["d_v"],
    }
    assert mapping.resident == {
        word for word, name in operands(stages[BACKWARD]).items() if name in plan.resident
    }


def test_the_forward_pass_keeps_one_fp32_number_a_row_and_nothing_else_changes():
    plan, stages = placed("npu", small(200))
    forward = stages[SCORE]
    assert forward.writes == ("attn.shares.statistic", "attn.mixed")
    kept = plan.graph.tensors["attn.shares.statistic"]
    assert (kept.shape, kept.dtype.name, kept.role) == ((2 * 4 * 200,), "fp32", Role.SAVED)
    assert forward.mapping.traffic()["stats"] == 4 * 2 * 4 * 200
    assert plan.graph.tensors["d.attn.delta"].dtype.name == "fp32"
    again = stages[BACKWARD].ops[1]
    # exp(x s - statistic), and the mask: no maximum, no sum, no quotient
    assert (again.primitives, again.row_primitives) == ({"mul": 1, "add": 2, "exp": 1}, {})
    assert plan.graph.macs() == lower(load_workload(small(200))[0]).macs()


def test_products_that_are_made_again_are_counted_as_executed_and_those_of_the_mask_are_not():
    plan, stages = placed("npu", small(200))
    run = record(plan, bound(plan), timed(plan, fidelity="tile"))
    number = [stage.path for stage in run.stages].index(BACKWARD)
    mapping, counts = stages[BACKWARD].mapping, account(run).by_stage[number]
    layers, dims = 2, 5 * 32
    assert counts["mac.bf16"] == layers * mapping.macs == layers * mapping.executed * dims
    whole = layers * mapping.problem.points
    assert counts["mac.bf16"] + counts["skipped.macs"] == whole * dims
    assert counts["vector.points"] + counts["skipped.points"] == 2 * whole
    assert mapping.executed < mapping.problem.points


def test_where_no_rule_asks_for_it_the_graph_is_as_it_was():
    hardware = machine("npu", APART)
    plan, stages = placed(hardware, small())
    assert "attn.shares.statistic" not in plan.graph.tensors
    assert stages[SCORE].leaves == ()
    assert "layer.backward/attn.value.dv" in stages
    graph = plan.graph
    assert keep_statistics(graph, plan.machine) is graph


@pytest.mark.parametrize("rules", [
    [{"ops": "attention_backward", "dataflow": "flash_attention"}],
    [{"ops": "layer.backward/attn.score.again", "dataflow": "flash_attention"}],
    [],
])  # fmt: skip
def test_a_rule_of_the_attention_or_of_its_gradient_asks_for_it_and_is_heard(rules):
    run = api.run(machine("npu", *rules), small(), fidelity="analytic", advice=False)
    assert op(run, BACKWARD)["dataflow"] == "flash_attention_backward"
    assert run.warnings == []


def test_an_attention_that_is_not_fused_keeps_what_a_fused_backward_pass_needs():
    rules = ({"ops": "attention_backward", "dataflow": "flash_attention"},
             {"ops": "attention", "dataflow": "weight_stationary"})  # fmt: skip
    plan, stages = placed(machine("npu", *rules), small())
    assert stages["layer/attn.softmax"].writes == ("attn.shares", "attn.shares.statistic")
    assert isinstance(stages[BACKWARD].mapping, FlashBackwardMapping)
    account(record(plan, bound(plan), timed(plan, fidelity="tile")))


def test_a_spatial_array_runs_the_backward_pass_op_by_op_and_refuses_it_in_tiles():
    _, stages = placed("fusemax", small())
    assert "layer.backward/attn.value.dv" in stages
    rule = {"ops": "attention_backward", "dataflow": "flash_attention"}
    with pytest.raises(Unsupported) as caught:
        placed(machine("eyeriss", rule), small())
    assert caught.value.diagnostics[0].message.startswith(
        "layer.backward/attn.score.again: flash_attention maps a whole attention to a systolic"
    )


@pytest.mark.parametrize("name", ["npu", "npu-flash", "tpu-v4", "a100", "h100"])
def test_a_step_is_faster_and_moves_less_with_the_backward_pass_on_chip(name):
    fused, apart = both(name)
    assert fused.result["time_ps"] < apart.result["time_ps"]
    assert moved(fused) < 0.95 * moved(apart)
    backward = [sum(r["time_ps"] for r in run.ops if r["op_class"] == "attention_backward")
                for run in (fused, apart)]  # fmt: skip
    assert backward[0] < 0.7 * backward[1]


def moved(run):
    return sum(n for key, n in run.result["counts"].items() if key.startswith("dram."))


@pytest.mark.parametrize("name", ["npu-flash", "a100"])
def test_scores_and_their_gradients_are_no_longer_held(name):
    fused, apart = (
        sum(tier["peak_bytes"] for tier in run.result["placement"]["tiers"]) for run in both(name)
    )
    # of a layer: scores and shares again, and the gradients of both, 32 heads x 2048^2 x 2 bytes
    scores, kept = 4 * 32 * 2048**2 * 2, 2 * 32 * 2048 * 4
    assert apart - fused == pytest.approx(scores - kept, rel=0.3)


def test_the_memory_of_a_step_grows_with_the_sequence_and_no_longer_with_its_square():
    def held(hardware, tokens):
        run = api.run(hardware, llama(1, tokens), fidelity="analytic", advice=False)
        (tier,) = run.result["placement"]["tiers"]
        return tier["held_bytes"]["activations"]

    assert held("a100", 8192) == 2 * held("a100", 4096)
    apart = machine("a100", APART)
    assert held(apart, 8192) > 3.5 * held(apart, 4096)


def test_map_shows_the_nest_of_the_backward_pass():
    _, stages = placed("npu", llama(1, 512))
    tile = stages[BACKWARD].mapping.tile
    lines = stages[BACKWARD].mapping.render().splitlines()
    assert lines[0].startswith("attn.score.again: flash_attention_backward on array")
    assert f"    hold k, v and the sums of d_k, d_v: a tile of {tile['kv']}" in "\n".join(lines)


def test_a_kernel_of_a_gpu_makes_five_products_and_rounds_its_sums_in_a_second_one():
    _, stages = placed("a100", llama(1, 512))
    mapping = stages[BACKWARD].mapping
    assert isinstance(mapping, AttentionBackwardMapping)
    assert mapping.ctas == 32 * 4  # query heads x tiles of 128 keys
    # tiles of 64 queries by 128 keys at the diagonal and below: 2 x (4 + 3 + 2 + 1)
    assert mapping.counts["mac.bf16"] == 32 * 20 * 64 * 128 * 5 * 128
    rows = 32 * 512
    partial = {f.tensor: f.size_bytes for f in mapping.loads if f.operand == "partial"}
    assert partial == {
        "d.attn.q.rope": rows * 128 * 4, "d.attn.k.rope": rows * 128 * 2,
        "d.attn.v": rows * 128 * 2,
    }  # fmt: skip
    assert mapping.tail_ps == 3_450_000
    assert "  a second kernel rounds d_queries" in mapping.render().splitlines()
