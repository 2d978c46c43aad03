"""Do energies of Duplex and AttAcc, path by path, and the area of a logic die come back?"""

from __future__ import annotations

from math import fsum
from typing import Any

import pytest

import archsim
from archsim.core.data import find
from archsim.core.yamlio import load_yaml

BUILT = {
    "bank": ("HBM3_PIM_5.2Gbps", {"kind": "bank_pim", "lanes": 8}),
    "bank_group": ("HBM3_5.2Gbps", {"kind": "bankgroup_pim", "lanes": 64}),
    "logic": ("HBM3_5.2Gbps", {"kind": "logic_pim", "macs_per_stack": 16384}),
}
SOFTMAX = {
    "kind": "pim_companion", "clock": "pim", "count": 2, "buffer": "128 KiB",
    "units": {"exp": 512, "add": 512, "max": 512, "mul": 512, "div": 4},
}  # fmt: skip
# nJ per 32 B between banks and units: LLMSimulator (scale-snu), src/dram/power.h
DUPLEX_NJ = {"bank": 0.187, "bank_group": 0.686, "logic": 0.464}
# pJ per byte of all, activates included: AttAcc simulator, src/config.py
ATTACC_PJ = {"bank": 4.4, "bank_group": 12.48, "logic": 26.32}
ACTIVATE_PJ_PER_BYTE = 0.88  # 0.11 pJ/bit of them
SOURCE = {"source": "AttAcc simulator (scale-snu/attacc_simulator)", "accuracy": "derived"}


def ran(where: str, overrides: list[dict[str, Any]]) -> Any:
    """The report of a decode whose dense products run in a memory of two stacks."""
    standard, engine = BUILT[where]
    machine: Any = load_yaml(find("npu", "configs")).data
    del machine["provenance"]
    machine["clocks"]["pim"] = "650 MHz"
    machine["memory"]["hbm"] = {"kind": "dram", "standard": standard, "stacks": 2}
    machine["engines"]["pim"] = {
        "inside": "hbm", "clock": "pim", "buffer": "2304 KiB", **engine,
    }  # fmt: skip
    machine["engines"]["softmax"] = SOFTMAX
    machine["dispatch"] = [
        {"ops": ["ffn"], "run_on": "pim"}, {"ops": ["softmax"], "run_on": "softmax"},
    ]  # fmt: skip
    machine["energy"]["overrides"] = overrides
    return archsim.run(
        machine, "llama-3-8b", phase="decode", batch=1, context=64, fidelity="tile", advice=False
    )


def spent(where: str, overrides: list[dict[str, Any]] | None = None) -> tuple[Any, float]:
    """What the units did, and the energy that it took, in pJ."""
    report = ran(where, overrides or [])
    energy = report.metrics["energy_j"]["by_component"]
    assert fsum(energy.values()) == pytest.approx(report.metrics["energy_j"]["total"])
    return report.result["pim"]["pim"], 1e12 * energy["pim"]


@pytest.mark.parametrize("where", BUILT)
def test_an_access_of_duplex_costs_its_path_its_share_of_a_row_and_its_arithmetic(where):
    did, spent_pj = spent(where)
    accesses, io = did["read_bytes"] / 32, {"bank": 24.32, "bank_group": 16.24, "logic": 2.4}
    moved = (did["input_bytes"] + did["result_bytes"]) * io[where]
    banks = 1e3 * (accesses * DUPLEX_NJ[where] + did["activates"] * 0.909)
    assert spent_pj == pytest.approx(banks + did["macs"] * 0.46 + moved, rel=1e-12)
    assert did["activates"] * 32 == accesses  # whole rows of 1 KB
    assert banks / accesses == pytest.approx(1e3 * (DUPLEX_NJ[where] + 0.909 / 32), rel=1e-12)


@pytest.mark.parametrize("where", BUILT)
def test_a_machine_states_the_energies_of_attacc_in_place_of_them(where):
    read, row = ATTACC_PJ[where] - ACTIVATE_PJ_PER_BYTE, 1024 * ACTIVATE_PJ_PER_BYTE
    prices = {"read": read, "activate": row, "mac": 0, "input": 0, "result": 0}
    rows = [
        {"class": f"dram.hbm3.{where}", "action": action, "value": f"{pj} pJ", **SOURCE}
        for action, pj in prices.items()
    ]
    did, spent_pj = spent(where, rows)
    assert spent_pj / did["read_bytes"] == pytest.approx(ATTACC_PJ[where], rel=1e-12)


def test_a_machine_states_what_an_access_from_the_chip_costs_in_duplex():
    whole_pj = 1e3 * (0.891 + 0.909 / 32) / 32  # a byte, with its share of a row
    source = {"source": "LLMSimulator (scale-snu), src/dram/power.h", "accuracy": "derived"}
    rows = [
        {"class": "dram.hbm3", "action": action, "value": f"{whole_pj} pJ", **source}
        for action in ("read", "write")
    ]
    report = ran("logic", rows)
    moved = report.result["traffic"]["hbm"]["total_bytes"]
    hbm_pj = 1e12 * report.metrics["energy_j"]["by_component"]["hbm"]
    assert hbm_pj / moved == pytest.approx(28.7314453125, rel=1e-12)


def test_a_report_has_17_80_mm2_for_the_logic_die_of_each_stack():
    area = ran("logic", []).metrics["area_mm2"]
    parts = area["by_component"]
    assert parts["pim"] + parts["softmax"] == pytest.approx(2 * 17.80, rel=0.01)
    assert area["total"] == pytest.approx(fsum(parts.values()))
