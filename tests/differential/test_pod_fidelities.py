"""Do fidelities agree on pods whose devices differ, and do bounds count what microbatches move?"""

from math import prod

import pytest

import archsim
from archsim import api
from archsim.cli._bounds import bounds
from archsim.core.errors import Infeasible
from archsim.ir.parallel import AXES
from archsim.ir.tensor import Role
from archsim.system.bound import bound, compulsory_bytes, least_moved_bytes

DECODE = {"kind": "decode", "batch": 8, "context": 64}
PREFILL = {"kind": "prefill", "batch": 2, "tokens": 256}
STAGED = {"pipeline": 4, "microbatches": 4}


def work(model, phase, plan):
    return {"schema": "archsim.workload/1", "name": "w", "model": {"preset": model},
            "phase": phase, "parallel": plan}  # fmt: skip


def node(plan):
    devices = prod(plan.get(axis, 1) for axis in AXES)
    network = f"{{kind: switch, devices: {devices}, bandwidth: 45 GB/s, latency: 1 us}}"
    return f"interconnect.node={network}"


@pytest.mark.parametrize(("model", "phase", "plan"), [
    ("mixtral-8x7b", DECODE, {"expert": 8}),
    ("mixtral-8x7b", DECODE, {"expert": 4, "tensor": 2}),
    ("mixtral-8x7b", DECODE, {"expert": 2, "pipeline": 2, "microbatches": 2}),
    ("gpt2-small", PREFILL, {"context": 4}),
    ("gpt2-small", PREFILL, {"context": 2, "pipeline": 2, "microbatches": 2}),
])  # fmt: skip
def test_shares_that_run_side_by_side_are_not_added_up(model, phase, plan):
    analytic, tile = (
        archsim.run("npu", work(model, phase, plan), fidelity=fidelity, advice=False,
                    set_=[node(plan), "memory.hbm.capacity=1 TB"]).result["time_ps"]
        for fidelity in ("analytic", "tile")
    )  # fmt: skip
    assert 0.85 * tile < analytic < 1.1 * tile


def test_the_bound_of_a_pipeline_counts_weights_once_and_the_cache_of_each_microbatch():
    plan = api.place_only("npu", work("gpt2-small", DECODE, STAGED), set_=[node(STAGED)])
    runs = {"layer": 4}
    graphs = [share.graph for share in plan.pod.partition.shares]
    least = [compulsory_bytes(graph, runs) for graph in graphs]
    cache = [g.read_bytes(Role.KV_CACHE) + g.write_bytes(Role.KV_CACHE) for g in graphs]
    weights = [g.read_bytes(Role.WEIGHT) for g in graphs]
    assert least == [w + 4 * c for w, c in zip(weights, cache, strict=True)]
    assert least_moved_bytes(plan) == sum(least)
    peak = plan.machine.dram.peak_bytes_per_s
    assert bound(plan).memory_ps == int(max(least) * 1e12 / peak)


def test_stages_of_a_bound_are_named_and_side_by_side():
    found = bounds("npu", work("gpt2-small", DECODE, STAGED), set_=[node(STAGED)])
    sums = dict.fromkeys(("stage0", "stage1", "stage2", "stage3"), 0)
    for row in found["ops"]:
        share, _, path = row["path"].partition(":")
        assert row["share"] == share
        assert "/" in path
        sums[share] += row["ps"]
    assert found["one_after_another_ps"] == max(sums.values())
    run = archsim.run("npu", work("gpt2-small", DECODE, STAGED), set_=[node(STAGED)], advice=False)
    assert found["bound_ps"] <= found["one_after_another_ps"] <= run.result["time_ps"]


@pytest.mark.parametrize("microbatches", [1, 8])
def test_caches_of_all_microbatches_under_way_are_given_room_in_the_tiers(microbatches):
    plan = {"pipeline": 8, "microbatches": microbatches}
    phase = {"kind": "decode", "batch": 128, "context": 65536}
    placed = api.place_only("sn40l-8", work("llama-3-8b", phase, plan))
    (first, *_) = placed.pod.plans
    held = first.homes.held
    cache = sum(classes.get("kv_cache", 0) for classes in held.values())
    assert cache == pytest.approx(128 * 2**30, rel=1e-3)  # HBM has 64 GiB
    assert all(sum(c.values()) <= m.capacity_bytes
               for m in first.machine.tiers for c in [held[m.name]])  # fmt: skip
    assert held["ddr"]["kv_cache"] > 0


def test_caches_that_no_tier_has_room_for_are_refused_with_the_microbatches_that_need_it():
    plan = {"pipeline": 8, "microbatches": 8}
    phase = {"kind": "decode", "batch": 128, "context": 65536}
    with pytest.raises(Infeasible, match="with 8 microbatches under way") as caught:
        api.place_only("sn40l-8", work("llama-3-8b", phase, plan),
                       set_=["memory.ddr.capacity=16 GiB"])  # fmt: skip
    assert caught.value.code == "E401"
    assert "fewer microbatches, more pipeline stages" in caught.value.render()


def test_a_message_is_reported_with_the_bytes_that_its_stage_sends():
    plan = {"tensor": 2, "pipeline": 4, "microbatches": 2}
    run = archsim.run("npu", work("gpt2-small", DECODE, plan), set_=[node(plan)], advice=False)
    sends = [c for c in run.result["collectives"] if c["pattern"] == "send"]
    assert len(sends) == 3
    for one in sends:
        assert one["sent_bytes"] == one["least_bytes"] == one["devices"] * one["size_bytes"]
    total = sum(c["repeats"] * c["sent_bytes"] for c in sends)
    whole = sum(c["repeats"] * c["sent_bytes"] * c["devices"] // 8
                for c in run.result["collectives"] if c["pattern"] != "send")  # fmt: skip
    sent = run.result["metrics"]["network"]["sent_bytes"]
    assert sent == pytest.approx(total + whole, rel=1e-6)
