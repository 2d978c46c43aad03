"""Do both engines, folded and exact, agree where ops of a layer run as one pipeline?"""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import archsim
from archsim.core.errors import Infeasible

RELAXED = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def fabrics(draw):
    """Small fabrics; some with a second memory, or whose results may stay on chip."""
    room = draw(st.sampled_from(["96 KiB", "256 KiB", "2 MiB", "8 MiB"]))
    memory = {
        "sram": {"kind": "sram", "capacity": room,
                 "bandwidth": draw(st.sampled_from(["256 B/cycle", "8192 B/cycle"]))},
        "hbm": {"kind": "dram", "capacity": draw(st.sampled_from(["2 MiB", "64 MiB"])),
                "bandwidth": "100 GB/s", "latency": draw(st.sampled_from(["0 s", "100 ns"]))},
        "ddr": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "9 GB/s", "latency": "200 ns"},
    }  # fmt: skip
    rule = draw(st.sampled_from(["none", "elementwise", "reductions", "region", None]))
    stays = draw(st.booleans())
    return {
        "schema": "archsim.hardware/1",
        "name": "drawn",
        "clocks": {"core": "1 GHz"},
        "memory": memory,
        "engines": {
            "fabric": {
                "kind": "spatial_pipeline",
                "compute_units": draw(st.sampled_from([17, 24, 64, 100])),
                "memory_units": draw(st.sampled_from([64, 128])),
                "rows": draw(st.sampled_from([1, 8])),
                "cols": draw(st.sampled_from([1, 6])),
                "lanes": draw(st.sampled_from([1, 16])),
                "orchestration": draw(st.sampled_from(["host", "hardware"])),
                "host_launch": "3 us",
                "hardware_launch": draw(st.sampled_from(["0 s", "100 ns"])),
            }
        },
        "placement": {"activations": ["sram", "hbm", "ddr"] if stays else ["hbm", "ddr"]},
        "mapping": [{"ops": "*", "fuse": rule}] if rule else [],
    }


@st.composite
def works(draw):
    """Small models in every phase, some with experts, grouped heads or a window."""
    groups = draw(st.sampled_from([1, 2]))
    config = {
        "architecture": "transformer", "layers": 3, "hidden": 128, "heads": 4,
        "kv_heads": 4 // groups, "head_dim": 32, "ffn": 256,
        "ffn_matrices": draw(st.sampled_from([2, 3])), "activation": "gelu", "norm": "rms",
        "position": "rope", "vocab": 700,
    }  # fmt: skip
    if draw(st.booleans()):
        config["moe"] = {"experts": 4, "top_k": 2, "ffn": 128}
    if draw(st.booleans()):
        config |= {"qkv_bias": True, "out_bias": True, "ffn_bias": True}
    kind = draw(st.sampled_from(["decode", "prefill"]))
    length = draw(st.sampled_from([1, 33, 70]))
    batch = draw(st.sampled_from([1, 3, 4]))
    tokens = "context" if kind == "decode" else "tokens"
    return {
        "schema": "archsim.workload/1",
        "name": "small",
        "model": {"config": config},
        "phase": {"kind": kind, "batch": batch, tokens: length},
    }


def answers(hardware, workload):
    ways = (("compiled", False), ("compiled", True), ("simpy", False))
    for engine, exact in ways:
        found = archsim.run(
            hardware, workload, fidelity="tile", engine=engine, exact=exact, advice=False
        )
        yield {key: value for key, value in found.result.items() if key != "fold"}


@RELAXED
@given(fabrics(), works())
def test_any_region_on_any_fabric_ends_the_same_way_and_keeps_the_laws(hardware, workload):
    try:
        folded, exact, reference = answers(hardware, workload)
    except Infeasible:
        assume(False)
    assert folded == exact == reference
    closed = archsim.run(hardware, workload, fidelity="analytic", advice=False).result
    assert closed["launches"] == folded["launches"] > 0
    for key in ("counts", "traffic"):
        assert closed[key] == folded[key]


@RELAXED
@given(st.integers(40, 700), st.booleans(), st.sampled_from(["none", "region"]), st.integers(1, 4))
def test_weights_that_wait_their_turn_never_keep_a_bias_from_its_op(kib, decode, fuse, batch):
    config = {
        "architecture": "transformer", "layers": 1, "hidden": 256, "heads": 4, "kv_heads": 4,
        "head_dim": 64, "ffn": 512, "ffn_matrices": 2, "activation": "gelu", "norm": "layer",
        "position": "none", "vocab": 64, "qkv_bias": True, "out_bias": True, "ffn_bias": True,
    }  # fmt: skip
    length = {"context": 8} if decode else {"tokens": 2}
    workload = {
        "schema": "archsim.workload/1", "name": "biased", "model": {"config": config},
        "phase": {"kind": "decode" if decode else "prefill", "batch": batch, **length},
    }  # fmt: skip
    hardware = {
        "schema": "archsim.hardware/1", "name": "tight", "clocks": {"core": "1 GHz"},
        "memory": {
            "sram": {"kind": "sram", "capacity": f"{kib} KiB", "bandwidth": "4096 B/cycle"},
            "hbm": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "10 GB/s"},
        },
        "engines": {"fabric": {"kind": "spatial_pipeline", "compute_units": 24, "rows": 8,
                               "cols": 4, "lanes": 8, "memory_units": 128}},
        "placement": {"activations": ["hbm"]},
        "mapping": [{"ops": "*", "fuse": fuse}],
    }  # fmt: skip
    try:
        folded, exact, reference = answers(hardware, workload)
    except Infeasible:
        assume(False)
    assert folded == exact == reference


@pytest.mark.parametrize("phase", [
    {"phase": "decode", "batch": 1, "context": 512},
    {"phase": "prefill", "batch": 1, "tokens": 512},
])  # fmt: skip
def test_whole_layers_of_a_model_fold_exactly(phase):
    folded, exact = (
        archsim.run(
            "sn40l-fabric", "llama-2-7b", exact=x, fidelity="tile", **phase, advice=False
        ).result
        for x in (False, True)
    )
    assert {**folded, "fold": []} == {**exact, "fold": []}
    assert folded["fold"]
