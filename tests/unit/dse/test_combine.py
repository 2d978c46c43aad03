"""Are metrics over several workloads those of one run of them all?"""

import numpy as np
import pytest

from archsim.dse.combine import combined

FAST = {
    "time_ps": 1_000_000_000_000, "bound_ps": 500_000_000_000, "ratio_to_bound": 2.0,
    "metrics.time_s": 1.0, "metrics.throughput.output_tok_per_s": 100.0,
    "metrics.energy_j.total": 10.0, "metrics.energy_j.per_output_tok": 0.1,
    "metrics.power_w.mean": 10.0, "metrics.utilization.mfu": 0.5, "stalls.busy": 1.0,
    "metrics.area_mm2.total": 30.0, "metrics.memory_peak_bytes.sram": 7, "metrics.odd": 1.0,
}  # fmt: skip
SLOW = FAST | {
    "time_ps": 3_000_000_000_000, "bound_ps": 1_000_000_000_000, "ratio_to_bound": 3.0,
    "metrics.time_s": 3.0, "metrics.throughput.output_tok_per_s": 20.0,
    "metrics.energy_j.total": 6.0, "metrics.energy_j.per_output_tok": 0.1,
    "metrics.power_w.mean": 2.0, "metrics.utilization.mfu": 0.1,
    "stalls.busy": 0.5, "stalls.latency": 0.5, "metrics.memory_peak_bytes.sram": 9,
    "metrics.throughput.prompt_tok_per_s": 5.0,
}  # fmt: skip
WANTED = {  # twice the first, once the other: 5 s, 26 J, 260 tokens
    "time_ps": 5e12, "bound_ps": 2e12, "ratio_to_bound": 2.5, "metrics.time_s": 5.0,
    "metrics.throughput.output_tok_per_s": 260 / 5, "metrics.energy_j.total": 26.0,
    "metrics.energy_j.per_output_tok": 26 / 260, "metrics.power_w.mean": 26 / 5,
    "metrics.utilization.mfu": 1.3 / 5, "stalls.busy": 3.5 / 5, "stalls.latency": 1.5 / 5,
    "metrics.area_mm2.total": 30.0, "metrics.memory_peak_bytes.sram": 9,
}  # fmt: skip


def test_numbers_over_workloads_are_those_of_one_run_of_all():
    assert combined([FAST, SLOW], (2.0, 1.0)) == pytest.approx(WANTED)


def test_arrays_over_designs_have_the_numbers_of_each():
    each = [{k: np.array([v, 4.0 * v]) for k, v in one.items()} for one in (FAST, SLOW)]
    found = combined(each, (2.0, 1.0))
    for i, factor in enumerate((1.0, 4.0)):
        scaled = [{k: factor * v for k, v in one.items()} for one in (FAST, SLOW)]
        assert {k: v[i] for k, v in found.items()} == combined(scaled, (2.0, 1.0))


def test_a_mean_over_nothing_is_left_out():
    empty = FAST | {"bound_ps": 0, "metrics.energy_j.per_output_tok": 0.0}
    found = combined([empty, empty], (1.0, 1.0))
    assert not {"ratio_to_bound", "metrics.energy_j.per_output_tok"} & set(found)
