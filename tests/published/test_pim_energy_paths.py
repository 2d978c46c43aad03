"""Do reports of the shipped machines of Duplex charge each byte and each row its published path?"""

from __future__ import annotations

from functools import cache
from math import fsum
from typing import Any

import pytest

import archsim

STACKS, DEVICES = 5, 4
SHIPPED = {"bank-pim-4": "bank", "bankgroup-pim-4": "bank_group", "duplex-4": "logic"}
# nJ per 32 B, and of a row of a bank: LLMSimulator (scale-snu), src/dram/power.h
NJ = {"xpu": 0.891, "logic": 0.464, "bank_group": 0.686, "bank": 0.187}
ROW_NJ = 0.909
# pJ a byte that inputs and results pass: AttAcc simulator (scale-snu), src/config.py
PASSES_PJ = {"logic": 2.4, "bank_group": 16.24, "bank": 24.32}
MAC_PJ = 0.46


@cache
def ran(machine: str) -> Any:
    return archsim.run(
        machine, "mixtral-8x7b", phase="decode", batch=8, context=256, fidelity="tile", advice=False
    )


@pytest.mark.parametrize("machine", SHIPPED)
def test_units_pay_their_path_their_rows_and_their_arithmetic(machine):
    report, at = ran(machine), SHIPPED[machine]
    did = report.result["pim"]["pim"]
    paths = did["read_bytes"] / 32 * NJ[at] * 1e3 + did["activates"] * ROW_NJ * 1e3
    passed = (did["input_bytes"] + did["result_bytes"]) * PASSES_PJ[at]
    spent_pj = 1e12 * report.metrics["energy_j"]["by_component"]["pim"]
    assert spent_pj == pytest.approx(paths + passed + did["macs"] * MAC_PJ, rel=1e-12)


@pytest.mark.parametrize("machine", SHIPPED)
def test_what_the_gpu_reads_pays_the_way_to_it_and_its_share_of_a_row_to_the_pj(machine):
    report = ran(machine)
    moved = report.result["traffic"]["hbm"]["total_bytes"]
    spent_pj = 1e12 * report.metrics["energy_j"]["by_component"]["hbm"]
    published_pj = 1e3 * (NJ["xpu"] + ROW_NJ / 32)
    assert published_pj == pytest.approx(32 * 28.72, abs=1)
    rows = (spent_pj - moved * 28.72) / (1e3 * ROW_NJ)  # that appended keys and values open
    assert rows == pytest.approx(round(rows), abs=1e-3)


@pytest.mark.parametrize("machine", SHIPPED)
def test_parts_add_up(machine):
    metrics = ran(machine).metrics
    for name in ("energy_j", "area_mm2"):
        parts = metrics[name]["by_component"]
        assert fsum(parts.values()) == pytest.approx(metrics[name]["total"], rel=1e-12)


def test_the_logic_die_of_each_stack_has_17_80_mm2_more():
    parts = ran("duplex-4").metrics["area_mm2"]["by_component"]
    each = (parts["pim"] + parts["softmax"]) / (DEVICES * STACKS)
    assert each == pytest.approx(17.80, rel=0.01)
