"""Is the bound what physics allows, and below every run?"""

from __future__ import annotations

from archsim import api
from archsim.system.bound import bound, compulsory_bytes, stage_bounds


def test_decode_is_bound_by_weights_and_cache_over_the_peak_bandwidth() -> None:
    plan = api.place_only("npu", "llama-3-8b-decode")
    least = bound(plan)
    assert least.by == "memory"
    assert least.memory_ps == compulsory_bytes(plan.graph)  # 1 TB/s is a byte a picosecond


def test_prefill_leaves_out_the_points_that_the_mask_discards() -> None:
    plan = api.place_only("npu", "llama-3-8b-prefill")
    macs = sum(stage.macs for stage in stage_bounds(plan))
    assert macs == plan.graph.facts["macs_causal"]
    array = plan.machine.mac_engines[0]
    assert bound(plan).compute_ps == int(macs / array.macs_per_s("bf16") * 1e12)


def test_a_slow_vector_unit_is_what_bounds_the_run() -> None:
    plan = api.place_only("npu", "gpt2-small-prefill", set_=["engines.vector.lanes=8"])
    assert bound(plan).by == "vector"


def test_the_stages_hold_every_compulsory_byte_once() -> None:
    for workload in ("llama-3-8b-decode", "llama-3-8b-prefill", "gpt2-small-prefill"):
        plan = api.place_only("npu", workload)
        moved = sum(s.read_bytes + s.write_bytes for s in stage_bounds(plan))
        # a tied table is read by the embedding (rows) and by the head (whole): two iterations
        assert compulsory_bytes(plan.graph) <= moved <= 1.01 * compulsory_bytes(plan.graph)
