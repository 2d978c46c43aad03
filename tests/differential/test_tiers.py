"""Do both engines, folded and exact, agree where data hop between memories?"""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import archsim
from archsim.core.errors import Infeasible

RELAXED = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
MEMORIES = ["hbm", "ddr", "ssd"]


@st.composite
def machines(draw):
    order = st.permutations(MEMORIES).flatmap(
        lambda names: st.integers(0, 3).map(lambda n: list(names[:n]))
    )
    movers = {
        "a": {"kind": "dma", "from": "ssd", "to": draw(st.sampled_from(["ddr", "hbm", "sram"])),
              "setup": draw(st.sampled_from(["0 s", "1 us"]))},
        "b": {"kind": "dma", "from": "ddr", "to": draw(st.sampled_from(["hbm", "sram"])),
              "bandwidth": draw(st.sampled_from(["7 GB/s", "1 TB/s"]))},
    }  # fmt: skip

    def dram(bandwidth, sizes):
        return {"kind": "dram", "capacity": draw(st.sampled_from(sizes)), "bandwidth": bandwidth,
                "latency": draw(st.sampled_from(["0 s", "100 ns", "5 us"]))}  # fmt: skip

    return {
        "schema": "archsim.hardware/1",
        "name": "drawn",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": "256 KiB", "bandwidth": "1024 B/cycle"},
            "hbm": dram("100 GB/s", ["2 MiB", "8 MiB", "32 MiB"]),
            "ddr": dram("20 GB/s", ["4 MiB", "16 MiB", "64 MiB"]),
            "ssd": dram("3 GB/s", ["1 GiB"]),
        },
        "engines": {
            "array": {"kind": "systolic_array", "rows": 32, "cols": 32},
            "vector": {"kind": "vector_unit", "lanes": 64},
        },
        "interconnect": {n: movers[n] for n in draw(st.sets(st.sampled_from(sorted(movers))))},
        "placement": {
            "weights": draw(order),
            "kv_cache": draw(order),
            "activations": draw(order.map(lambda names: ["sram", *names] if names else [])),
        },
    }


MODEL = {
    "architecture": "transformer", "layers": 3, "hidden": 256, "heads": 4, "kv_heads": 2,
    "head_dim": 64, "ffn": 512, "ffn_matrices": 2, "activation": "gelu", "norm": "rms",
    "position": "rope", "vocab": 3000,
}  # fmt: skip


def work(phase):
    return {
        "schema": "archsim.workload/1", "name": "small", "model": {"config": MODEL}, "phase": phase,
    }  # fmt: skip


def answers(hardware, workload):
    found = []
    for engine, exact in (("compiled", False), ("compiled", True), ("simpy", False)):
        result = archsim.run(hardware, workload, engine=engine, exact=exact, advice=False).result
        found.append({key: value for key, value in result.items() if key != "fold"})
    return found


@RELAXED
@given(machines(), st.sampled_from([(1, 700), (3, 130)]), st.sampled_from(["decode", "prefill"]))
def test_any_machine_of_several_memories_ends_the_same_way_or_says_what_does_not_fit(
    hardware, size, kind
):
    batch, length = size
    phase = {"kind": kind, "batch": batch, "context" if kind == "decode" else "tokens": length}
    try:
        folded, exact, reference = answers(hardware, work(phase))
    except Infeasible:
        assume(False)
    assert folded == exact == reference
    assert folded["ratio_to_bound"] >= 1
    for tier in folded["placement"]["tiers"]:
        assert tier["peak_bytes"] <= tier["capacity_bytes"]


@pytest.mark.parametrize(
    ("model", "phase"),
    [("llama-3-8b", {"phase": "decode", "batch": 16, "context": 2048}),
     ("llama-3-70b", {"phase": "decode", "batch": 8, "context": 4096}),
     ("llama-3.1-405b", {"phase": "decode", "batch": 1, "context": 2048})],
)  # fmt: skip
def test_a_shipped_machine_of_three_tiers_folds_exactly(model, phase):
    folded, exact = (
        archsim.run("sn40l", model, exact=x, **phase, advice=False).result for x in (False, True)
    )
    assert {**folded, "fold": []} == {**exact, "fold": []}
