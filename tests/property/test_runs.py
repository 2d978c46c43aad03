"""Do the laws, asserted inside every run, hold on machines and models that nobody tuned for?"""

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import archsim
from archsim.core.errors import Infeasible

RELAXED = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def machines(draw):
    side = draw(st.sampled_from([4, 8, 16, 64]))
    return {
        "schema": "archsim.hardware/1",
        "name": "drawn",
        "clocks": {"core": draw(st.sampled_from(["1 GHz", "333 MHz", "1750 MHz"]))},
        "memory": {
            "sram": {
                "kind": "sram",
                "capacity": draw(st.sampled_from(["16 KiB", "128 KiB", "1 MiB", "8 MiB"])),
                "bandwidth": draw(st.sampled_from(["64 B/cycle", "4096 B/cycle"])),
            },
            "hbm": {
                "kind": "dram",
                "capacity": "64 GiB",
                "bandwidth": draw(st.sampled_from(["3 GB/s", "97 GB/s", "2 TB/s"])),
                "latency": draw(st.sampled_from(["0 s", "80 ns"])),
            },
        },
        "engines": {
            "array": {
                "kind": "systolic_array",
                "rows": side,
                "cols": draw(st.sampled_from([4, 16, 32])),
                "count": draw(st.sampled_from([1, 3, 8])),
                "fill": draw(st.sampled_from(["exposed", "overlapped"])),
                "skew": draw(st.sampled_from(["array", "tile"])),
            },
            "vector": {"kind": "vector_unit", "lanes": draw(st.sampled_from([4, 64]))},
        },
        "interconnect": {
            "dma": {"kind": "dma", "from": "hbm", "to": "sram",
                    "depth": draw(st.sampled_from([1, 2, 3]))}
        },
        "mapping": [
            {
                "ops": "*",
                "fuse": draw(st.sampled_from(["none", "elementwise", "reductions"])),
                "objective": draw(st.sampled_from(["latency", "compute"])),
            }
        ],
    }  # fmt: skip


@st.composite
def workloads(draw):
    kv = draw(st.sampled_from([1, 2, 4]))
    heads = kv * draw(st.sampled_from([1, 2]))
    width = draw(st.sampled_from([8, 16]))
    phase = draw(
        st.sampled_from(
            [
                {"kind": "decode", "batch": 3, "context": 40},
                {"kind": "decode", "context": [1, 7, 7, 33]},
                {"kind": "prefill", "batch": 2, "tokens": 24},
            ]
        )
    )
    return {
        "schema": "archsim.workload/1",
        "name": "drawn",
        "model": {
            "config": {
                "architecture": "transformer", "layers": draw(st.sampled_from([1, 2, 9])),
                "hidden": heads * width, "heads": heads, "kv_heads": kv, "head_dim": width,
                "ffn": draw(st.sampled_from([24, 96])), "ffn_matrices": 3, "activation": "silu",
                "norm": "rms", "position": "rope", "vocab": 200,
            }
        },
        "phase": phase,
    }  # fmt: skip


@RELAXED
@given(machine=machines(), workload=workloads())
def test_every_law_holds_and_both_engines_agree_on_drawn_machines_and_models(machine, workload):
    try:
        folded = archsim.run(machine, workload, advice=False)
    except Infeasible:
        assume(False)
    reference = archsim.run(machine, workload, engine="simpy", exact=True, advice=False)
    same = {k: v for k, v in folded.result.items() if k != "fold"}
    assert same == {k: v for k, v in reference.result.items() if k != "fold"}
    assert folded.ops == reference.ops
    assert folded.result["ratio_to_bound"] >= 1
