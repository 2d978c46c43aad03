"""Do laws hold for any plan: work and bytes conserved, folded as exact, no bound beaten?"""

from dataclasses import replace
from math import prod

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import archsim
from archsim import api
from archsim.core.errors import InputError, LawViolation
from archsim.ir.parallel import AXES, ParallelPlan
from archsim.report.account import account
from archsim.system.bound import bound
from archsim.system.record import record
from archsim.system.simulate import timed
from archsim.testing.pods import SWITCH, divided, machine, pod

MODEL = {
    "architecture": "transformer", "layers": 4, "hidden": 64, "heads": 8, "kv_heads": 4,
    "head_dim": 8, "ffn": 128, "ffn_matrices": 2, "activation": "relu", "norm": "rms",
    "position": "none", "vocab": 128,
}  # fmt: skip
NETWORKS = (
    "{kind: switch, devices: %d, bandwidth: 45 GB/s, latency: 1 us}",
    "{kind: ring, devices: %d, bandwidth: 45 GB/s, latency: 1 us}",
)


@st.composite
def plans(draw):
    tensor, pipeline = (draw(st.sampled_from((1, 2, 4))) for _ in range(2))
    data = draw(st.sampled_from((1, 2, 4) if tensor * pipeline < 8 else (1,)))  # 16 devices or less
    plan = {"tensor": tensor, "data": data, "pipeline": pipeline}
    if pipeline > 1:
        plan["microbatches"] = draw(st.sampled_from((1, 2)))
    if tensor > 1:
        plan["sequence"] = draw(st.booleans())
    plan["order"] = draw(st.permutations(AXES))
    return plan


@given(
    plan=plans(), network=st.sampled_from(NETWORKS), hardware=st.sampled_from(("npu", "h100")),
    phase=st.sampled_from(({"kind": "decode", "context": 32}, {"kind": "prefill", "tokens": 16})),
)  # fmt: skip
@settings(max_examples=10, deadline=None)
def test_any_plan_runs_folded_as_exact_and_keeps_all_laws(plan, network, hardware, phase):
    devices = prod(plan[axis] for axis in ("tensor", "data", "pipeline"))
    if devices == 1:
        return
    work = {
        "schema": "archsim.workload/1", "name": "small", "model": {"config": MODEL},
        "phase": {**phase, "batch": 8}, "parallel": plan,
    }  # fmt: skip
    options = {"set_": [f"interconnect.node={network % devices}"], "advice": False}
    try:
        folded, exact = (
            archsim.run(hardware, work, fidelity="tile", exact=how, **options)
            for how in (False, True)
        )
    except InputError as error:  # a share without a sequence or a token
        if error.code != "E203":
            raise
        reject()
    assert folded.result["time_ps"] == exact.result["time_ps"] >= folded.result["bound_ps"]
    assert folded.result["counts"] == exact.result["counts"]
    assert sum(folded.result["breakdown"].values()) == pytest.approx(1)
    alone = archsim.run(hardware, {**work, "parallel": None}, fidelity="analytic", advice=False)
    macs = [sum(op["macs"] for op in report.ops) for report in (alone, folded)]
    assert macs[0] <= macs[1]  # heads of keys that do not divide are computed more than once
    if plan["tensor"] <= MODEL["kv_heads"]:
        assert macs[0] == macs[1]


def run_of(plan, *, reduces=False):
    plan = pod(divided(plan), machine(plan.devices, {**SWITCH, "reduces": reduces}), {})
    return record(plan, bound(plan), timed(plan, fidelity="tile"))


@pytest.mark.parametrize("plan", [ParallelPlan(tensor=4), ParallelPlan(tensor=2, data=2)])
@pytest.mark.parametrize("lost", ["link.", "sent.", "mac."])
@pytest.mark.parametrize("reduces", [False, True])
def test_what_is_lost_on_the_way_is_noticed(plan, lost, reduces):
    run = run_of(plan, reduces=reduces)
    account(run)
    fewer = [
        replace(row, counts={k: n // 4 if k.startswith(lost) else n for k, n in row.counts.items()})
        for row in run.rows
    ]
    with pytest.raises(LawViolation):
        account(replace(run, rows=tuple(fewer)))


def test_a_device_that_is_counted_twice_is_noticed():
    run = run_of(ParallelPlan(tensor=4))
    twice = tuple(replace(row, devices=2 * row.devices) for row in run.rows)
    with pytest.raises(LawViolation, match="MACs counted"):
        account(replace(run, rows=twice))


def test_work_that_no_device_does_and_work_done_too_often_are_noticed():
    run = run_of(ParallelPlan(tensor=4))
    blocks = run.graph.blocks
    for count, said in ((20, "the graph has"), (1, "one of them would do")):
        layers = tuple(replace(b, count=count) if b.count > 1 else b for b in blocks)
        with pytest.raises(LawViolation, match=said):
            account(replace(run, graph=replace(run.graph, blocks=layers)))


def test_a_stage_that_is_left_out_is_noticed():
    work = {
        "schema": "archsim.workload/1", "name": "small", "model": {"config": MODEL},
        "phase": {"kind": "decode", "batch": 8, "context": 32},
        "parallel": {"data": 2, "pipeline": 2},
    }  # fmt: skip
    node = f"interconnect.node={NETWORKS[0] % 4}"
    plan = api.place_only("npu", work, set_=[node])
    run = record(plan, bound(plan), timed(plan, fidelity="tile"))
    account(run)
    more = tuple(replace(b, count=b.count + (b.count > 1)) for b in run.graph.blocks)
    with pytest.raises(LawViolation, match="that matter, the graph has"):
        account(replace(run, graph=replace(run.graph, blocks=more)))
    fewer = tuple(replace(b, count=max(1, b.count - 1)) for b in run.graph.blocks)
    with pytest.raises(LawViolation, match=r"MACs, the graph has"):
        account(replace(run, graph=replace(run.graph, blocks=fewer)))
