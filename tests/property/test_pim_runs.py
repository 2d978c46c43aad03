"""Do the laws of a run hold over both processors, whatever goes inside the memory, and however?"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import archsim
from archsim.components._pim import PimEngine
from archsim.components.base import engines

INSIDE = tuple(kind for kind in engines.classes() if issubclass(kind, PimEngine))
OPS = ("moe_expert", "attention", "qkv_proj", "out_proj", "lm_head")
LAYOUTS = ("row", "column", "interleaved")
TIMES = ("analytic", "tile", "cycle")
BY = {"moe_expert": "experts", "attention": "sequences"}


@st.composite
def cases(draw):
    """A machine with an engine inside its memory, alone or two of them, and what it runs."""
    machine, workload, fidelity = draw(machines()), draw(workloads()), draw(st.sampled_from(TIMES))
    if draw(st.booleans()):
        node = {"kind": "switch", "devices": 2, "bandwidth": "100 GB/s", "latency": "1 us"}
        machine["interconnect"] = {"node": node}
        workload["parallel"] = {"tensor": 2}
    return machine, workload, fidelity


@st.composite
def machines(draw):
    kind = draw(st.sampled_from(INSIDE))
    inside = {**kind.example(), "inside": "hbm", "alone": draw(st.booleans())}
    if draw(st.booleans()):  # else as its kind shares by default
        inside["sharing"] = "mode_switch"
    chosen = draw(st.lists(st.sampled_from(OPS), min_size=1, unique=True))
    dispatch = [{"ops": op, "run_on": "pim"} for op in chosen]
    split = draw(st.sampled_from([None, *BY]))
    if split:
        ratio = draw(st.sampled_from([None, 0.0, 0.3, 0.9]))
        over = {"over": ["array", "pim"], "by": BY[split], "ratio": ratio}
        dispatch.insert(
            0, {"ops": split, "split": {k: v for k, v in over.items() if v is not None}}
        )
    return {
        "schema": "archsim.hardware/1",
        "name": "drawn",
        "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": draw(st.sampled_from(["128 KiB", "4 MiB"])),
                     "bandwidth": "1024 B/cycle"},
            "hbm": {**kind.MEMORY, "capacity": "16 GiB"},
        },
        "engines": {
            "array": {"kind": "systolic_array", "rows": 32, "cols": 32, "count": 4},
            "pim": inside,
            "vector": {"kind": "vector_unit", "lanes": 64},
        },
        "layout": {"inside": {"gather": draw(st.booleans()),
                              "weights": draw(st.sampled_from([None, *LAYOUTS])),
                              "keys": draw(st.sampled_from([None, "row", "interleaved"])),
                              "values": draw(st.sampled_from([None, "row", "column"]))}},
        "dispatch": [*dispatch, {"ops": "*", "run_on": "array"}],
        "mapping": [{"ops": "*", "fuse": draw(st.sampled_from(["none", "elementwise"]))}],
    }  # fmt: skip


@st.composite
def workloads(draw):
    kv = draw(st.sampled_from([1, 2]))
    return {
        "schema": "archsim.workload/1",
        "name": "drawn",
        "model": {"config": {
            "architecture": "transformer", "hidden": 256, "layers": 2, "heads": 2 * kv,
            "kv_heads": kv, "head_dim": 64, "ffn": 96, "ffn_matrices": 3, "activation": "silu",
            "norm": "rms", "position": "rope", "vocab": 50,
            "moe": {"experts": draw(st.sampled_from([4, 8])), "top_k": 2, "ffn": 80},
        }},
        "phase": draw(st.sampled_from([
            {"kind": "decode", "batch": 3, "context": 40},
            {"kind": "decode", "batch": 1, "context": 257},
            {"kind": "decode", "batch": 2, "context": [5, 130]},
            {"kind": "prefill", "batch": 1, "tokens": 24},
        ])),
        "routing": {"kind": draw(st.sampled_from(["uniform", "zipf"]))},
    }  # fmt: skip


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_every_law_holds_over_both_processors(case):
    machine, workload, fidelity = case
    report = archsim.run(machine, workload, fidelity=fidelity, advice=False)  # raises if one breaks
    result = report.result
    if "devices" not in result:  # those of several are checked against what each was given
        assert sum(row["macs"] for row in report.ops) == result["model"]["macs"]
    for found in result.get("pim", {}).values():
        assert 0 < found["bank_utilisation"] <= 1
        assert 0 <= found["padding_share"] < 1
        assert found["read_bytes"] >= found["matrix_bytes"] > 0
        assert found["waited_for_others_ps"] <= found["waited_for_memory_ps"]
        assert found["others_waited_for_it_ps"] <= found["others_waited_ps"]
        assert fidelity == "analytic" or found["busy_ps"] >= found["banks_ps"]
