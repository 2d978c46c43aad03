"""Does a product in a memory behind a slow link wait for what crosses it, and for no more?"""

from __future__ import annotations

from typing import Any

import pytest

import archsim
from archsim.core.errors import InputError
from archsim.core.units import PS_PER_S

BATCH, HIDDEN = 4, 768
STEP = {"phase": "decode", "batch": BATCH, "context": 256, "fidelity": "tile", "advice": False}


def ran(rate: str | None, *, near: bool = True, ops: str = "attention", **more: Any) -> Any:
    """GPT-2 on an NPU with a module of AiM behind a link; it holds what the op multiplies by."""
    machine = archsim.load_hardware("npu").to_data()
    del machine["provenance"]
    machine["memory"]["aim"] = {"kind": "dram", "standard": "GDDR6_AiM"}
    machine["engines"]["pim"] = {"kind": "bank_pim", "inside": "aim", "lanes": 16, "clock": "core"}
    units = dict.fromkeys(("add", "mul", "max", "exp", "div"), 16)
    machine["engines"]["aide"] = {"kind": "pim_companion", "units": units, "clock": "core"}
    machine["interconnect"]["cxl"] = {"kind": "dma", "from": "aim", "to": "hbm"}
    if rate:
        machine["interconnect"]["cxl"]["bandwidth"] = rate
    holds = {"attention": "kv.*", "ffn": "ffn.*.weight"}[ops]
    machine["placement"] = {
        "weights": ["hbm"], "kv_cache": ["hbm"], "residency": [{"of": holds, "memories": ["aim"]}],
    }  # fmt: skip
    machine["dispatch"] = [
        {"ops": "softmax", "run_on": "aide" if near else "vector"},
        {"ops": ["attention_score", "attention_value"] if ops == "attention" else ops,
         "run_on": "pim"},
    ]  # fmt: skip
    machine["mapping"] = []
    return archsim.run(machine | more, "gpt2-small", **STEP)


def test_a_link_as_fast_as_the_bus_costs_no_time():
    waits = [ran(rate).result["pim"]["pim"]["waits_ps"] for rate in (None, "100 TB/s")]
    assert "link" not in waits[0]
    assert waits[0] == waits[1]


def test_queries_and_outputs_cross_and_scores_stay_with_the_companion():
    slow = 1_000_000_000  # bytes a second
    near, far = (ran("1 GB/s", near=near).result["pim"]["pim"] for near in (True, False))
    layers, vector = 12, BATCH * HIDDEN * 2
    least = layers * 2 * vector * PS_PER_S // slow
    assert least - near["bus_ps"] <= near["waits_ps"]["link"] <= least
    scores = 2 * layers * BATCH * 12 * 256 * 2 * PS_PER_S // slow
    assert far["waits_ps"]["link"] - near["waits_ps"]["link"] == pytest.approx(scores, rel=0.05)


@pytest.mark.parametrize("ops", ["attention", "ffn"])
def test_a_slower_link_is_waited_for_to_the_picosecond(ops):
    fast, slow = (ran(rate, ops=ops).result["pim"]["pim"] for rate in ("2 GB/s", "1 GB/s"))
    assert (
        fast["banks_ps"] - fast["waits_ps"]["link"] == slow["banks_ps"] - slow["waits_ps"]["link"]
    )
    assert sum(slow["waits_ps"].values()) == slow["banks_ps"]
    longer = slow["waits_ps"]["link"] - fast["waits_ps"]["link"]
    assert longer * 2 == pytest.approx(slow["waits_ps"]["link"] + slow["bus_ps"], rel=0.01)


def test_the_nearest_memory_is_the_one_that_gives_the_chip_most():
    # AiM's own pins are as fast as the npu's HBM; behind a link they are not
    tiers = ran("64 GB/s").result["placement"]["tiers"]
    assert [tier["memory"] for tier in tiers] == ["hbm", "aim"]
    assert set(tiers[1]["held_bytes"]) >= {"kv_cache_in_aim"}


def test_a_rule_cannot_keep_tensors_in_a_memory_that_there_is_not():
    with pytest.raises(
        InputError, match=r"placement\.residency\[0\]\.memories names memory \"ai\""
    ):
        archsim.run("npu", "gpt2-small", **STEP,
                    set_=["placement.residency=[{of: kv_cache, memories: [ai]}]"])  # fmt: skip
    with pytest.raises(InputError, match="names sram, but kv_cache lie in a dram"):
        archsim.run("npu", "gpt2-small", **STEP,
                    set_=["placement.residency=[{of: kv_cache, memories: [sram]}]"])  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "on"), [({"kind": "decode", "batch": 4, "context": 512}, {"aim_pim"}),
                      ({"kind": "prefill", "batch": 1, "tokens": 2048}, {"xpu"})],
)  # fmt: skip
def test_experts_of_three_tiers_run_where_their_bytes_and_rows_ask(phase, on):
    work = {
        "schema": "archsim.workload/1", "name": "w", "model": {"preset": "mixtral-8x7b"},
        "phase": phase, "dtypes": {"weights": "fp16", "kv_cache": "fp16"},
    }  # fmt: skip
    report = archsim.run("tiered-pim", work, fidelity="analytic", advice=False)
    assert {row["engine"] for row in report.ops if row["op_class"] == "moe_expert"} == on
    held = {tier["memory"]: tier["held_bytes"] for tier in report.result["placement"]["tiers"]}
    experts = 32 * 8 * 3 * 4096 * 14336 * 2
    assert held["aim"]["weights_in_aim"] == experts
    assert held["cxl"] == {"weights_in_cxl": 32000 * 4096 * 2}
    assert "weights_in_aim" not in held["hbm"]
