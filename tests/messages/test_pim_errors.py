"""Is the error helpful when a command trace cannot run as asked?"""

from __future__ import annotations

from pathlib import Path

import pytest

from archsim import api
from archsim.core.errors import ArchsimError
from archsim.memory.pim.command_set import FOLDER, fitting, load_set, set_names
from archsim.memory.pim.lane_program import Access
from archsim.memory.pim.shared import shared
from archsim.memory.pim.trace import PimTrace, Step
from archsim.memory.standard import load_standard

AIM = "GDDR6_AiM"
HELP = "\n      = help: such as `for o in 0..63: WR_BIAS, MAC_ABK 64 row o, RD_MAC`"
KNOWN = (
    "WR_GB, WR_BIAS, RD_MAC, RD_AF, MAC_ABK, EWMUL, AF, MAC_SBK, COPY_BKGB, COPY_GBBK, WR_ABK, "
    "RD_SBK, WR_SBK, EWADD, SYNC, EOC"
)
COMPUTING = sorted({name for one in set_names() for name in fitting(load_set(one))})
CASES = {
    "a memory without commands": (
        ("HBM3", "gemv:16x16"), {},
        "error[E202]: HBM3 takes no command set of processing in memory\n"
        f"      = help: standards that do: {', '.join(COMPUTING)}",
    ),
    "commands of another kind": (
        ("HBM2_PIM_2.0Gbps", "gemv:16x16"), {"commands": "AiM"},
        "error[E202]: HBM2_PIM_2.0Gbps takes no commands of AiM\n"
        "      = help: standards that do: GDDR6_AiM; it takes HBM-PIM",
    ),
    "an unknown set": (
        (AIM, "gemv:16x16"), {"commands": "AIM"},
        f'error[E108]: command set "AIM" is not one of {", ".join(set_names())}\n'
        '      = help: did you mean "AiM"?',
    ),
    "an unknown name of a set with products": (
        ("HBM3_5.2Gbps", "gemw:16x16"), {},
        'error[E108]: trace "gemw" is not one of gemv, mac\n      = help: did you mean "gemv"?',
    ),
    "no sizes for a set with products": (
        ("HBM3_5.2Gbps", "mac:0x4"), {},
        'error[E105]: "mac:0x4" has no sizes\n'
        "      = help: mac:COLUMNSxROWS, such as mac:32x4",
    ),
    "a bank of another pseudo channel": (
        ("HBM3_5.2Gbps", "RD_ALL 4 bank 32 row 0"), {},
        "error[E107]: bank 32 is not one of the 32 banks of HBM3_5.2Gbps\n"
        "      = help: banks are 0 to 31",
    ),
    "a refresh that a decoder has not": (
        (AIM, "gemv:16x16"), {"refresh": "per_bank"},
        "error[E202]: AiM has no per_bank refresh",
    ),
    "unknown name": (
        (AIM, "gemw:16x16"), {},
        'error[E108]: trace "gemw" is not one of gemv, gemv_acc, mac_abk, mac_sbk, '
        'mac_sbk_banks, mac_same_row, ewmul, wr_gb\n      = help: did you mean "gemv"?',
    ),
    "no sizes": (
        (AIM, "gemv:big"), {},
        'error[E105]: "gemv:big" has no sizes\n'
        "      = help: gemv:OUTPUTSxINPUTS, such as gemv:64x256",
    ),
    "unknown instruction": (
        (AIM, "MAC_AKB 64 row 0"), {},
        f'error[E108]: instruction "MAC_AKB" is not one of {KNOWN}\n'
        '      = help: did you mean "MAC_ABK"?',
    ),
    "a row too many": (
        (AIM, "MAC_ABK 64 row 16384"), {},
        "error[E107]: row 16384 is not one of the 16384 rows of GDDR6_AiM\n"
        "      = help: rows are 0 to 16383",
    ),
    "a bank too many": (
        (AIM, "MAC_SBK 64 bank 16 row 0"), {},
        "error[E107]: bank 16 is not one of the 16 banks of GDDR6_AiM\n"
        "      = help: banks are 0 to 15",
    ),
    "more columns than a row has": (
        (AIM, "WR_GB 65"), {},
        "error[E107]: WR_GB of 65 columns, and a row has 64\n      = help: opsize is 1 to 64",
    ),
    "no row": (
        (AIM, "MAC_ABK 64"), {},
        f'error[E105]: in the trace: MAC_ABK lacks its row, behind "MAC_ABK 64"{HELP}',
    ),
    "a field that it has not": (
        (AIM, "RD_MAC bank 3"), {},
        f'error[E105]: in the trace: RD_MAC has no bank, behind "RD_MAC bank 3"{HELP}',
    ),
    "a free variable": (
        (AIM, "for r in 0..3: MAC_ABK 64 row q"), {},
        'error[E108]: variable "q" is of no loop around it\n'
        "      = help: loop over it: q=0..255",
    ),
    "a loop without a range": (
        (AIM, "for r: AF"), {},
        f'error[E105]: in the trace: a loop over r needs a range such as 0..255, behind "for r"'
        f"{HELP}",
    ),
    "too many channels": (
        (AIM, "AF x2"), {"channels": 33},
        "error[E107]: channels must be from 1 to 32, got 33",
    ),
    "an empty mask": (
        (AIM, "AF x2"), {"mask": 0},
        "error[E107]: mask 0x0 names none of the 32 channels\n"
        "      = help: a bit a channel: 0x1 to 0xffffffff",
    ),
    "both": (
        (AIM, "AF x2"), {"channels": 2, "mask": 3},
        "error[E202]: channels and mask say the same: give one",
    ),
    "unknown refresh": (
        (AIM, "AF x2"), {"refresh": "all_banks"},
        'error[E108]: refresh "all_banks" is not one of none, all_bank, per_bank\n'
        '      = help: did you mean "all_bank"?',
    ),
    "channels of a file": (
        (AIM, "trace.csv"), {"channels": 2},
        "error[E202]: the lines of a trace file name their channels",
    ),
    "no file": (
        (AIM, "missing.csv"), {},
        "error[E003]: cannot read missing.csv: [Errno 2] No such file or directory: 'missing.csv'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_error_says_what_and_what_instead(case: str) -> None:
    arguments, options, text = CASES[case]
    with pytest.raises(ArchsimError) as caught:
        api.pim(*arguments, **options)
    assert caught.value.render() == text


def test_a_description_that_is_far_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsim.memory.pim.described.MOST_STEPS", 200)
    with pytest.raises(ArchsimError) as caught:
        api.pim(AIM, "AF x201")
    assert caught.value.render() == "error[E107]: the trace has more than 200 instructions"


LINES = {
    "AiM MAC_AKB 64 1 0": (
        f'{{file}}:2:5: error[E110]: instruction "MAC_AKB" is not one of {KNOWN}\n'
        "    2 | AiM MAC_AKB 64 1 0\n      |     ^^^^^^^\n"
        '      = help: did you mean "MAC_ABK"?'
    ),
    "AiM MAC_ABK 64 1": (
        "{file}:2:5: error[E110]: MAC_ABK needs 3 fields (opsize, mask, row), got 2\n"
        "    2 | AiM MAC_ABK 64 1\n      |     ^^^^^^^"
    ),
    "AiM SYNC 3": "SYNC takes no fields, got 1",
    "AiM MAC_ABK 64 one 0": '{file}:2:16: error[E110]: mask "one" is not a number',
    "MAC_ABK 64 1 0": '"MAC_ABK" is none of AiM, R, W\n',
    "AIN MAC_ABK 64 1 0": 'did you mean "AiM"?',
    "AiM": "AiM needs an instruction",
    "R MEN 3 0 0": 'did you mean "MEM"?',
    "R MEM 32 0 0": "channel 32 is not one of 32\n",
    "W CFR 3 1": "register 3 is not one of the 3 of AiM",
    "AiM MAC_ABK 64 1 99999": "row 99999 is not one of the 16384 rows of GDDR6_AiM",
    "AiM MAC_ABK 64 0x100000000 0": "mask 0x100000000 names none of the 32 channels",
    "AiM WR_ABK 0 3 0": "WR_ABK goes to one channel, and mask 0x3 names 2",
}


@pytest.mark.parametrize("line", LINES)
def test_a_bad_line_of_a_trace_is_shown(line: str, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(f"AiM AF 1\n{line}\n")
    with pytest.raises(ArchsimError) as caught:
        api.pim(AIM, file)
    text = caught.value.render()
    assert LINES[line].format(file=file) in text
    assert f"{file}:2:" in text


def test_a_trace_without_instructions_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("# nothing\n")
    with pytest.raises(ArchsimError, match="has no instructions"):
        api.pim(AIM, file)


def test_mistakes_of_a_command_set_are_shown_where_they_are(tmp_path: Path) -> None:
    text = (FOLDER / "AiM.yaml").read_text()
    for right, wrong, said in (
        ("change_mode: TMOD", "change_mode: TMODE", 'command "TMODE" is not one of'),
        ("previous: [MAC16, AF16]", "previous: [MAC16, AF61]", 'did you mean "AF16"?'),
        ("ticks: nMODCH", 'ticks: "2 x nMODCH"', '"2 x nMODCH" is not a sum of timings'),
        ("{level: bank, previous: [PRE]", "{level: bank, previous: [PREA]",
         "PREA goes to a whole channel and meets no rule of a bank"),
        ("RD_MAC: {fields: [gpr, mask], command: RDMAC16,", "RD_MAC: {fields: [], command: WRGB,",
         "RD_MAC waits for WRGB, which returns nothing"),
        ("command: RDAF16, blocks: true}", "command: RDMAC16}",
         "RDMAC16 blocks for another instruction and not for RD_AF"),
        ("command: WRGB}", "commend: WRGB}", 'did you mean "command"?'),
        ("results_per_unit: 1", "ahead_bytes: 64", "units that read ahead have no modes, no queue"),
    ):  # fmt: skip
        file = tmp_path / f"{abs(hash(wrong))}.yaml"
        assert right in text
        file.write_text(text.replace(right, wrong, 1))
        with pytest.raises(ArchsimError) as caught:
            load_set(str(file))
        assert said in caught.value.render()
        assert str(file) in caught.value.render()


SHARED = {
    "an unknown way to share": (
        "bundles", 9,
        'error[E108]: sharing "bundles" is not one of mode_switch, bundle, dual_row_buffer\n'
        '      = help: did you mean "bundle"?',
    ),
    "a bank of both under bundles": (
        "bundle", 7,
        "error[E202]: an ordinary access goes to bank 7, in which the trace works\n"
        "      = help: under `bundle` each has banks of its own",
    ),
    "a bank too many for an access": (
        "bundle", 32,
        "error[E107]: bank 32, row 0 is none of the 32 banks of 16384 rows of HBM3_5.2Gbps",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SHARED)
def test_what_cannot_be_shared_is_refused_with_the_reason(case: str) -> None:
    sharing, bank, text = SHARED[case]
    commands = load_set("Logic-PIM")
    trace = PimTrace.of("one", [Step("RD_ALL", 4, 1, 0, 0)], commands)
    with pytest.raises(ArchsimError) as caught:
        shared(load_standard("HBM3_5.2Gbps"), commands, trace, [Access(0, False, bank, 0)], sharing)
    assert caught.value.render() == text
