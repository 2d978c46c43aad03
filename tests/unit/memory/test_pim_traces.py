"""Are descriptions, names and files the instructions that they say?"""

from __future__ import annotations

import pytest

from archsim import api
from archsim.memory.pim.command_set import load_set
from archsim.memory.pim.described import described
from archsim.memory.pim.trace import READ, Step, channels_of
from archsim.memory.pim.trace_lines import read_trace
from archsim.memory.standard import load_standard

SET = load_set("AiM")


def steps(text, mask=1):
    found = described(text, mask, SET).steps
    assert found[-1] == Step("EOC")
    return [(s.word, s.opsize, s.bank, s.row) for s in found[:-1]]


def mac(row, size=64):
    return ("MAC_ABK", size, -1, row)


SAME = {
    "MAC_ABK 64 rows 0..3": [
        "opsize 64 MAC_ABK rows 0..3 in order", "MAC_ABK 64 rows 0-3", "MAC_ABK 64 row r, r=0..3",
        "for r in 0..3: MAC_ABK 64 row r", "MAC_ABK 64 row r for r in 0..3",
        "MAC_ABK 64 row r (r=0..3)", "for r in range(4): MAC_ABK op64 row r",
        "mac_abk opsize=64 rows = 0..3", "ISR_MAC_ABK 64 rows 0 to 3", "MAC_ABK 64 row r; r=0..3",
        "AiM MAC_ABK 64 0x1 row r, r=0..3",
    ],
    "WR_GB 64 x3": ["WR_GB 64, 3 times", "3x WR_GB 64", "WR_GB 64; WR_GB 64; WR_GB 64",
                    "WR_GB 64 \\u00d73", "WR_GB 64 (3 times)", "for i in 1..3: WR_GB 64"],
    "WR_BIAS, RD_MAC x2": ["(WR_BIAS, RD_MAC) x2", "WR_BIAS; RD_MAC; 2 times",
                           "WR_BIAS, RD_MAC, WR_BIAS, RD_MAC", "WR_BIAS then RD_MAC, 2 times"],
    "for r in 0..1: AF; for r in 0..1: SYNC": ["AF x2; SYNC x2", "AF x2, then SYNC x2",
                                               "for r in 0..1 {AF}; SYNC x2"],
    "AF; for r in 0..1: WR_GB 64, MAC_ABK 64 row r": [
        "AF, then for r in 0..1: WR_GB 64, MAC_ABK 64 row r",
        "AF; WR_GB 64, MAC_ABK 64 row r, r=0..1", "AF, for r=0..1: WR_GB 64; MAC_ABK 64 row r",
    ],
}  # fmt: skip


@pytest.mark.parametrize("text", SAME)
def test_ways_to_write_the_same_are_the_same(text):
    for other in SAME[text]:
        assert steps(other.replace("\\u00d7", "\u00d7")) == steps(text), other


def test_loops_hold_what_follows_them():
    found = steps("for t in 0..1: WR_GB 64; for o in 0..1: WR_BIAS, MAC_ABK 64 row t*2+o, RD_MAC")
    inner = [[("WR_BIAS", 1, -1, -1), mac(r), ("RD_MAC", 1, -1, -1)] for r in range(4)]
    buffer = ("WR_GB", 64, -1, -1)
    assert found == [buffer, *inner[0], *inner[1], buffer, *inner[2], *inner[3]]


def test_expressions_are_those_of_whole_numbers():
    found = steps("MAC_SBK 8 bank r mod 4 row 2r+(r div 3)-r, r=0..7 step 2")
    assert found == [("MAC_SBK", 8, r % 4, 2 * r + r // 3 - r) for r in range(0, 8, 2)]
    assert steps("MAC_ABK 64 rows 4o..4o+1 for o in 1..2") == [mac(r) for r in (4, 5, 8, 9)]


def test_an_instruction_of_one_channel_goes_to_each_of_several():
    found = described("WR_ABK row 3", 0b101, SET).steps
    assert [s.mask for s in found[:-1]] == [0b001, 0b100]


def test_masks_and_channels_are_those_of_the_instruction():
    found = described("MAC_ABK 64 row 0 mask 0x6; R MEM 30 2 5; AF channel 0", 1, SET).steps
    assert [s.mask for s in found] == [6, 2, 1 << 31, 0]
    assert channels_of(6, SET) == [29, 30]
    assert found[1] == Step(READ, 1, 2, 2, 5)


def test_names_are_descriptions():
    named = api.pim("GDDR6_AiM", "gemv:1024x4096", channels=1)
    text = "for t in 0..3: WR_GB 64; for o in 0..63: WR_BIAS, MAC_ABK 64 row t*64+o, RD_MAC"
    assert named.trace.steps == described(text, 1, SET).steps
    text = "for o in 0..63: WR_BIAS, MAC_ABK 64 rows 4o..4o+3, RD_MAC"
    named = api.pim("GDDR6_AiM", "gemv_acc:1024x4096", channels=1)
    assert named.trace.steps == described(text, 1, SET).steps


def test_a_file_says_the_same_line_by_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        '#,"AiM,[opcode],[fields]",,,\n,AiM,WR_GB,64,0,0x1,,\n\nAiM MAC_ABK 64 1 3  # a comment\n'
        "aim isr_mac_sbk 8 1 2 5\nR MEM 31 0 5\nW GPR 3\nW CFR 2 1\nAiM AF 1\nAiM EOC\nnothing\n"
    )
    found = read_trace(path, SET, load_standard("GDDR6_AiM")).steps
    assert [(s.word, s.opsize, s.mask, s.bank, s.row) for s in found] == [
        ("WR_GB", 64, 1, -1, -1), ("MAC_ABK", 64, 1, -1, 3), ("MAC_SBK", 8, 1, 2, 5),
        (READ, 1, 1, 0, 5), ("GPR", 1, 0, -1, -1), ("W CFR", 1, 0, 2, 1), ("AF", 1, 1, -1, -1),
        ("EOC", 1, 0, -1, -1),
    ]  # fmt: skip
    assert api.pim("GDDR6_AiM", path).counts["AF16"] == 1
