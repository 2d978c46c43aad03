"""Is the error helpful when an engine cannot be built into the memory that it names?"""

from __future__ import annotations

import pytest

from archsim import api
from archsim.core.data import find
from archsim.core.errors import InputError
from archsim.core.yamlio import dump_yaml, load_yaml

LOGIC = "kind: logic_pim, inside: hbm, macs_per_stack: 16384"
BANK = "kind: bank_pim, inside: hbm, lanes: 16"
STACKED = {"kind": "dram", "standard": "HBM3_5.2Gbps"}
FLAT = {"kind": "dram", "capacity": "80 GiB", "bandwidth": "1 TB/s", "latency": "100 ns"}
LOGIC_STANDARDS = "HBM3E, HBM3E_8.0Gbps, HBM3E_9.6Gbps, HBM3_5.2Gbps"
ATTACC_STANDARDS = "HBM3_PIM_5.2Gbps, HBM3_PIM_5.2Gbps_NPC, HBM3_PIM_6.4Gbps, HBM3_PIM_6.4Gbps_NPC"
CASES = {
    "no such memory": (
        LOGIC.replace("hbm", "hbn"), STACKED, "inside",
        'E201]: engines.pim.inside names memory "hbn", which does not exist',
        'names: sram, hbm; did you mean "hbm"?',
    ),
    "an sram": (
        LOGIC.replace("hbm", "sram"), STACKED, "inside",
        "E202]: engines.pim is inside sram, which is on chip: it has no banks of a dram",
        f"a dram with one of the standards: {LOGIC_STANDARDS}",
    ),
    "a flat dram": (
        LOGIC, FLAT, "inside",
        "E202]: engines.pim is inside hbm, which is flat: it has no banks",
        f"in place of bandwidth, standard: {LOGIC_STANDARDS}",
    ),
    "a standard without commands": (
        LOGIC, STACKED | {"standard": "HBM4"}, "inside",
        "E202]: engines.pim is inside hbm, whose standard HBM4 takes no commands of a logic_pim",
        f"standards that do: {LOGIC_STANDARDS}",
    ),
    "commands of another standard": (
        f"{BANK}, commands: AttAcc", STACKED, "inside",
        "E202]: engines.pim is inside hbm, whose standard HBM3_5.2Gbps takes no commands of AttAcc",
        f"standards that do: {ATTACC_STANDARDS}",
    ),
    "commands of another kind": (
        f"{LOGIC}, commands: AttAcc", STACKED, "commands",
        "E202]: engines.pim is a logic_pim, and command set AttAcc is for none",
        "command sets that are: Logic-PIM",
    ),
    "no such commands": (
        f"{LOGIC}, commands: Logic_PIM", STACKED, "commands",
        'E108]: command set "Logic_PIM" is not one of AiM, AiM-8ch, AiM-CENT, AttAcc, AttAccBG, '
        "HBM-PIM, Logic-PIM, Newton",
        'did you mean "Logic-PIM"?',
    ),
    "bundles where there are none": (
        f"{BANK}, sharing: bundle", STACKED | {"standard": "GDDR6_AiM"}, "sharing",
        "E202]: engines.pim works in all 16 banks of hbm at once, so that none is left to ordinary "
        "accesses",
        "sharing: mode_switch",
    ),
    "no energies": (
        f"{LOGIC}, energy: dram.hbm3.logik", STACKED, "energy",
        "E108]: table 7nm has no energy row for dram.hbm3.logik.activate",
        'did you mean "dram.hbm3.logic.activate"?',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_engine_that_cannot_be_inside_is_refused_at_load(case, tmp_path, monkeypatch):
    engine, memory, field, message, advice = CASES[case]
    monkeypatch.chdir(tmp_path)
    machine = load_yaml(find("npu", "configs")).data
    machine["memory"]["hbm"] = memory
    del machine["engines"], machine["provenance"]
    line = f"  pim: {{{engine}}}"
    vector = "  vector: {kind: vector_unit, lanes: 128}"
    with open("m.yaml", "w") as file:
        file.write(f"engines:\n{line}\n{vector}\n{dump_yaml(machine)}")
    with pytest.raises(InputError) as caught:
        api.load_hardware("m.yaml")
    first, shown, _, *rest = caught.value.render().split("\n")
    column = line.index(f"{field}: ") + len(f"{field}: ") + 1
    assert first == f"m.yaml:2:{column}: error[{message}"
    assert shown == f"    2 | {line}"
    assert rest == [f"      = help: {advice}"]
