"""Do studies of memories that compute say what their commands, bounds and reports say?"""

from __future__ import annotations

from math import fsum

import pytest

from archsim.ir.problem import Extents
from benchmarks import pim_gemv, pim_moe_mla


@pytest.mark.parametrize("way", ["AiM", "HBM-PIM", "AttAcc bank group", "Logic-PIM"])
def test_a_vector_takes_its_bound_or_more_and_every_share_of_it_has_a_reason(way):
    row = pim_gemv.measured(way, Extents(1, 1, 4096, 4096))
    assert row["bound_us"] <= row["closed_us"]
    assert row["closed_us"] == pytest.approx(row["commands_us"], rel=0.02)
    assert fsum(row[f"{why}_share"] for why in pim_gemv.REASONS) == pytest.approx(1)
    assert row["gain"] > 1  # over what reading the matrix once takes on the bus


def test_latent_attention_stays_outside_and_experts_go_inside():
    gpu, *inside = (
        pim_moe_mla.measured("deepseek-v3", 4, *one)
        for one in (("none", "-"), ("logic die", "auto"), ("bank", "auto"))
    )
    for row in inside:
        assert (row["attention_on"], row["experts_on"]) == ("xpu", "pim")
        assert row["attention_us"] == gpu["attention_us"]
        assert row["time_ms"] < gpu["time_ms"]
