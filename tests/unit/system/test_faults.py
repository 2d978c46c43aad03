"""Does what is slow or missing cost what it costs, and is it said whether the job survives?"""

import numpy as np
import pytest

import archsim
from archsim.core.errors import Infeasible
from archsim.interconnect.base import links
from archsim.interconnect.worn import Wear, worn
from archsim.ir.parallel import ParallelPlan
from archsim.system.degraded import slowed, with_faults
from archsim.system.spec import load_hardware
from archsim.testing.pods import SWITCH, machine

TORUS = {"kind": "torus", "dims": [4, 4], "bandwidth": "45 GB/s", "latency": "1 us"}
DECODE = {"phase": "decode", "batch": 16, "context": 256}


def torus():
    found = links.get("torus")
    return found("node", found.Spec.model_validate({**TORUS, "dims": (4, 4)})).fabric()


def hardware(faults=(), network=SWITCH):
    data = load_hardware("npu")[0].to_data()
    data["interconnect"]["node"] = {**network, **({} if "dims" in network else {"devices": 8})}
    return {**data, "faults": list(faults)} if faults else data


def result(faults=(), network=SWITCH, **options):
    made = hardware(faults, network)
    return archsim.run(
        made, "gpt2-small", **DECODE, fidelity="tile", advice=False, **options
    ).result


def test_a_slow_link_keeps_its_routes_and_a_share_of_its_bandwidth():
    whole = torus()
    found = worn(whole, [Wear((0, 1), 0.25, "")], "node")
    changed = np.flatnonzero(found.bytes_per_s != whole.bytes_per_s)
    ends = {(int(whole.src[i]), int(whole.dst[i])) for i in changed}
    assert ends == {(0, 1), (1, 0)}
    assert np.all(found.bytes_per_s[changed] == 0.25 * whole.bytes_per_s[changed])
    assert all(found.route(0, d) == whole.route(0, d) for d in range(16))


def test_messages_go_round_a_missing_link_and_others_as_before():
    whole = torus()
    found = worn(whole, [Wear((0, 1), 0.0, "")], "node")
    for start in range(16):
        for end in range(16):
            before, after = whole.route(start, end), found.route(start, end)
            passed = [(int(whole.src[i]), int(whole.dst[i])) for i in after]
            assert not {(0, 1), (1, 0)} & set(passed)
            at = start
            for a, b in passed:
                assert a == at
                at = b
            assert at == end
            if not {(0, 1), (1, 0)} & {(int(whole.src[i]), int(whole.dst[i])) for i in before}:
                assert after == before
    assert len(found.route(0, 1)) == 3


def test_a_network_that_falls_apart_ends_the_job():
    cuts = [Wear((0, d), 0.0, "") for d in (1, 3, 4, 12)]
    with pytest.raises(Infeasible, match="no way leads from device 0 to devices 1, 2"):
        worn(torus(), cuts, "node")


def test_a_slow_device_runs_all_its_clocks_and_drams_slower():
    whole = machine(2).joined(ParallelPlan(tensor=2))
    half = slowed(whole, (0.5, 0.25))
    engine = next(iter(whole.engines))
    assert half.engines[engine].clock_hz == whole.engines[engine].clock_hz / 2
    assert half.dram.peak_bytes_per_s == whole.dram.peak_bytes_per_s / 4
    assert half.dram.bytes_per_s == whole.dram.bytes_per_s / 4
    assert half.dram.latency_ps == whole.dram.latency_ps
    assert half.dram.capacity_bytes == whole.dram.capacity_bytes
    assert half.dram.energy_class() == whole.dram.energy_class()


def test_a_machine_without_faults_is_itself():
    whole = machine(2)
    assert with_faults(whole) is whole


@pytest.mark.parametrize("fault", [
    {"device": 3, "clock": 0.5},
    {"device": 3, "memory_bandwidth": 0.5},
    {"link": [3, 8], "bandwidth": 0.25},
])  # fmt: skip
def test_a_degraded_run_is_slower_and_says_by_how_much(fault):
    found, healthy = result([fault]), result()
    told = found["degraded"]
    assert told["faults"] == [{**fault, "missing": False}]
    assert told["survives"] is True
    assert told["healthy_time_ps"] == healthy["time_ps"]
    assert found["time_ps"] == told["time_ratio"] * healthy["time_ps"] > healthy["time_ps"]
    assert result([fault], exact=True)["time_ps"] == found["time_ps"]
    assert "degraded" not in healthy


def test_a_slow_device_is_no_slower_than_a_machine_of_slow_devices():
    every = [{"device": d, "clock": 0.5} for d in range(8)]
    one, all_slow = result(every[:1])["time_ps"], result(every)["time_ps"]
    assert result()["time_ps"] < one <= all_slow


def test_a_torus_without_one_link_still_works_and_takes_longer():
    missing = [{"link": [0, 1], "missing": True}]
    found = result(missing, {**TORUS, "dims": [2, 4]})
    assert found["degraded"]["time_ratio"] > 1
    assert found["metrics"]["network"]["sent_bytes"] > 0
