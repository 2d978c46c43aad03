"""Do devices of two kinds each run, hold, cost and wait for what is theirs?"""

from functools import cache

import pytest

import archsim
from archsim.ir.parallel import ParallelPlan, PlanOfKinds
from archsim.serving.batching import load_serving
from archsim.serving.batching_room import Room
from archsim.serving.stages import Where
from archsim.system.build import build
from archsim.system.spec import load_hardware

CONFIG = {
    "architecture": "transformer", "layers": 3, "hidden": 256, "heads": 8, "kv_heads": 4,
    "head_dim": 32, "ffn": 512, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 512, "moe": {"experts": 4, "top_k": 2, "ffn": 256},
}  # fmt: skip
DECODE = {"kind": "decode", "batch": 8, "context": 512}
MIXED = {"kind": "mixed", "decode": {"batch": 7, "context": 512}, "prefill": [{"tokens": 64}]}
LAYERS, HEADS, WIDE, ELEMENT = 3, 4, 32, 2


def work(phase=DECODE, **parallel):
    return {
        "schema": "archsim.workload/1", "name": "tiny", "model": {"config": CONFIG},
        "phase": phase, "parallel": {"tensor": 2, "experts": "dealt", **parallel},
        "dtypes": {"weights": "fp16", "activations": "fp16", "kv_cache": "fp16"},
    }  # fmt: skip


@cache
def ran(fidelity="tile", phase="decode", exact=False, faults=""):
    set_ = (f"faults={faults}",) if faults else ()
    made = work(MIXED if phase == "mixed" else DECODE)
    return archsim.run(
        "hetero-4", made, fidelity=fidelity, exact=exact, set_=set_, advice=False
    ).result


def on(result, op):
    """Engine of each kind's part of an op, by kind."""
    return {
        row["op"].partition(":")[0].partition(".")[0]: row["engine"]
        for row in result["dispatch"] if row["op"].endswith(op)
    }  # fmt: skip


def test_each_op_runs_on_devices_that_have_its_engine():
    found = ran(phase="mixed")
    assert on(found, "/attn.qkv") == {"gpu": "xpu"}
    assert on(found, "/attn.score") == {"pim": "pim"}
    assert on(found, "/attn.prefill1.score") == {"gpu": "xpu"}
    assert on(found, "/attn.kv_append") == {"gpu": "simd", "pim": "softmax"}
    assert on(found, "/moe.gate") == on(found, "/moe.down") == {"pim": "pim"}
    assert on(found, "/moe.act") == {"pim": "softmax"}


@pytest.mark.parametrize("phase", ["decode", "mixed"])
def test_alike_devices_stand_for_each_other(phase):
    every, alike = ran(phase=phase, exact=True), ran(phase=phase)
    assert every["time_ps"] == alike["time_ps"]
    spent = [one["metrics"]["energy_j"]["by_component"] for one in (every, alike)]
    assert spent[0] == pytest.approx(spent[1])
    assert every["traffic"] == alike["traffic"]


def test_what_one_kind_makes_for_the_other_is_sent_as_far_as_it_is_read():
    sent = {
        c["path"].partition("/")[2]: c["size_bytes"]
        for c in ran(phase="mixed")["collectives"]
        if c["pattern"] == "send" and c["path"].startswith(("gpu.part0", "pim.part0"))
    }
    tokens, ways = 7 + 64, 2
    query = 7 * 8 * WIDE // ways * ELEMENT  # of decoding tokens alone
    assert sent["attn.rope.to_pim"] == query + 2 * tokens * HEADS * WIDE // ways * ELEMENT
    assert sent["attn.value.to_gpu"] == query
    rows = sent["moe.permute.to_pim"] // (256 * ELEMENT)
    assert sent["moe.down.to_gpu"] == rows * 256 * ELEMENT
    assert 0 < rows < 2 * tokens


def test_keys_values_and_experts_lie_with_those_who_read_them():
    held = {s["name"].partition(".")[0]: s["held_bytes"] for s in ran()["parallel"]["shares"]}
    assert held["gpu"]["kv_cache"] == 0
    assert held["pim"]["kv_cache"] == LAYERS * 8 * 512 * 2 * HEADS * WIDE * ELEMENT // 2
    assert held["pim"]["weights"] == LAYERS * 2 * 3 * 256 * 256 * ELEMENT
    written = ran()["traffic"]["hbm"]["kv_cache_written_bytes"]
    assert written >= LAYERS * 8 * 2 * HEADS * WIDE * ELEMENT


def test_area_and_static_power_are_of_the_devices_that_have_a_part():
    parts = ran()["metrics"]["area_mm2"]["by_component"]
    whole = build(load_hardware("hetero-4")[0])
    area = whole.area_mm2()
    for name in ("xpu", "simd", "pim", "softmax"):
        assert parts[name] == pytest.approx(2 * area[name])
    assert parts["l2"] == pytest.approx(4 * area["l2"])
    leaks = whole.leakage_w()
    watts = 2 * sum(leaks[n] for n in whole.engines) + 4 * sum(leaks[n] for n in whole.memories)
    watts += whole.port.leakage_w(whole.table)
    found = ran()["metrics"]
    assert found["energy_j"]["by_component"]["leakage"] == pytest.approx(watts * found["time_s"])


def test_one_kind_waits_while_the_other_works():
    timed = ran()
    assert timed["breakdown"]["bubble"] > 0.4
    assert ran("analytic")["time_ps"] <= 1.1 * timed["time_ps"]
    assert ran("analytic")["time_ps"] > 0.5 * timed["time_ps"]


def test_a_slow_device_of_one_kind_holds_up_the_other():
    slow = ran(faults="[{device: 3, clock: 10 %}]")
    assert slow["time_ps"] > ran()["time_ps"]
    assert slow["parallel"]["groups"]["kind"] == {"groups": 2, "devices": 2}


def test_a_batch_is_as_large_as_those_who_keep_the_cache_have_room_for():
    spec, _ = load_serving({
        "schema": "archsim.serving/1", "name": "tiny", "model": "mixtral-8x7b", "batch": 1,
        "lengths": {"kind": "fixed", "prompt_tokens": 4096, "output_tokens": 4096},
        "dtypes": work()["dtypes"], "parallel": {"tensor": 2, "experts": "dealt"},
        "routing": {"kind": "uniform"},
    })  # fmt: skip
    room = Room(Where("hetero-4", (), "tile"), spec)
    experts, each = 32 * 4 * 3 * 4096 * 14336 * 2, 32 * 8192 * 2 * 4 * 128 * 2  # of one device
    most = (80 * 2**30 - experts) // each
    assert room.fits(int(0.9 * most))
    assert not room.fits(most + 1)


def test_devices_that_do_one_devices_work_are_a_group():
    plan = PlanOfKinds(tensor=2, data=2, kinds=3)
    assert (plan.devices, plan.of_a_kind, plan.ways("kind")) == (12, 4, 3)
    assert plan.groups("kind") == ((0, 4, 8), (1, 5, 9), (2, 6, 10), (3, 7, 11))
    assert plan.groups("tensor") == tuple((d, d + 1) for d in range(0, 12, 2))
    alike = ParallelPlan(tensor=2, data=2)
    assert alike.of_a_kind == alike.devices == 4
