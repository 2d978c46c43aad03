"""Do command sets other than AiM's take what their rules say, and does every log keep the rules?"""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim import api
from archsim.core.errors import InputError, SimulationStopped
from archsim.memory.pim import lanes
from archsim.memory.pim.command_set import fitting, load_set, set_names, set_of
from archsim.memory.pim.lane_program import Access, lane_program
from archsim.memory.pim.lane_rules import lane_rules
from archsim.memory.pim.lanes import commands_of, run_lane
from archsim.memory.pim.measure import replay
from archsim.memory.pim.shared import shared
from archsim.memory.pim.trace import PimTrace, Step
from archsim.memory.standard import load_standard, standard_names
from archsim.testing.pim_timing import violations

ATTACC, LOGIC = "HBM3_PIM_5.2Gbps", "HBM3_5.2Gbps"
FIM, NEUPIMS = "HBM2_PIM_2.0Gbps", "HBM2_NeuPIMs_2.0Gbps"
OF = {"AttAcc": ATTACC, "AttAccBG": ATTACC, "Logic-PIM": LOGIC, "HBM-PIM": FIM, "Newton": NEUPIMS}


def rows(name, columns, count, bank=-1):
    """Steps that multiply some columns of each of some rows."""
    commands = load_set(name)
    word = next(w for w, f in commands.instructions.items() if f.command == commands.product.mac)
    return PimTrace.of("rows", [Step(word, columns, 1, bank, r) for r in range(count)], commands)


def streaming(banks, count, gap):
    """Ordinary reads that go along a row of each bank in turn."""
    return [
        Access(i * gap, False, banks[i // 32 % len(banks)], i // 32 // len(banks))
        for i in range(count)
    ]


def test_every_standard_that_computes_has_a_set_and_every_set_a_standard():
    fit = {name: fitting(load_set(name)) for name in set_names()}
    assert all(fit.values())
    for name in standard_names():
        device = load_standard(name).device
        computes = device is not None and device.pim is not None
        assert computes == any(name in names for names in fit.values())
        assert not computes or name in fit[set_of(load_standard(name)).name]


@pytest.mark.parametrize("name", sorted(OF))
def test_what_a_set_says_of_products_is_what_its_commands_do(name):
    commands = load_set(name)
    rules, product = lane_rules(load_standard(OF[name]), commands), commands.product
    assert len(rules.banks_of(product.open, 0)) == product.open_banks
    forms = commands.commands
    access = load_standard(OF[name]).device.access_bytes
    assert forms[product.mac].macs * 2 == product.banks_at_once * access
    assert (forms[product.mac].opened_by, forms[product.mac].closed_by) == (
        product.open, product.close,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "first", "column", "row", "done"),
    [
        # ACTAB, nRCDRD 19, a MAC each nCCDAB 6, then nRTPL 8, nRP 19
        ("AttAcc", 19, 6, 8 + 19 + 19, 1),
        # ACTALL, nRCDRD 19, reads of the bundle at nCCDL 4, then nRTPS 6, nRP 19; data 21 later
        ("Logic-PIM", 19, 4, 6 + 19 + 19, 21),
        # all 16 banks open after tRCDRD 14, an instruction each tCCDL 4, tRTPL 5, tRP 14; RL + nBL
        ("HBM-PIM", 14, 4, 5 + 14 + 14, 22),
        # eight G_ACT at tFAW 30 open 32 banks, tRCDRD 14, COMP each 2, tRTP 5, tRP 14
        ("Newton", 7 * 30 + 14, 2, 5 + 14 + 7 * 30 + 14, 1),
    ],
)
def test_rows_of_products_take_what_the_rules_add_up_to(name, first, column, row, done):
    standard, commands = load_standard(OF[name]), load_set(name)
    found = replay(standard, commands, rows(name, 12, 5, 0 if name == "Logic-PIM" else -1))
    assert found.cycles == first + 5 * 11 * column + 4 * row + done
    group = next(g for g in found.groups if g.counts[commands.product.mac])
    assert group.counts[commands.product.open] == 5 * (8 if name == "Newton" else 1)
    assert group.issuing + sum(group.waits.values()) == found.cycles


def test_the_power_limit_is_the_spacing_of_macs_and_costs_what_is_published():
    def rate(standard, spent):
        found = replay(load_standard(standard), load_set("AttAcc"), rows("AttAcc", 32, 20))
        assert sum(g.waits[spent] for g in found.groups) > 0
        return 20 * 32 * 32 * 32 / found.cycles / 16  # of 32 B in nBL 2

    limited, free = rate(ATTACC, "mac_spacing"), rate(f"{ATTACC}_NPC", "mac_spacing")
    # 16 x and 9 x without and with the limit (AttAcc), before rows are opened and closed
    assert limited * (31 * 6 + 46) / (32 * 6) == pytest.approx(16 * 4 / 6, rel=0.01)
    assert free * (31 * 4 + 46) / (32 * 4) == pytest.approx(16, rel=0.01)


def test_bank_groups_open_the_next_rows_while_they_work():
    steps = [Step("MAC_SB", 32, 1, bank, row) for row in range(4) for bank in range(4)]
    commands = load_set("AttAccBG")
    found = replay(load_standard(ATTACC), commands, PimTrace.of("turns", steps, commands))
    assert found.cycles == 19 + (16 * 32 - 1) * 6 + 1


@pytest.mark.parametrize("name", sorted(OF))
def test_a_product_by_name_has_the_macs_of_its_matrix_and_prices_its_commands(name):
    found = api.pim(OF[name], "gemv:512x1024", commands=name, channels=2)
    assert found.macs == 2 * 512 * 1024
    priced = load_set(name).energies
    energy = found.to_dict()["energy_j"]
    assert energy["total"] == pytest.approx(
        math.fsum(n * priced[c].value for c, n in found.counts.items() if c in priced)
    )
    assert set(energy["missing"]) <= {"WRGB", "MVSB", "WRAB"}


def test_refresh_goes_on_and_stretches_a_trace():
    plain, refreshed = (
        api.pim(LOGIC, "mac:32x200", channels=1, refresh=how) for how in ("none", "all_bank")
    )
    assert refreshed.counts["REFab"] == refreshed.cycles // 5070
    assert refreshed.cycles - plain.cycles > refreshed.counts["REFab"] * 455
    assert api.pim(LOGIC, "mac:32x40", channels=1, refresh="per_bank").counts["REFpb"] > 0


def test_commands_to_all_banks_never_find_them_free_of_refresh_bank_by_bank():
    with pytest.raises(SimulationStopped, match="command 1 never becomes legal"):
        api.pim(ATTACC, "mac:32x40", channels=1, refresh="per_bank")


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_lanes_in_order_do_what_the_simulator_of_the_decoder_does(data):
    standard, commands = load_standard("GDDR6_AiM"), load_set("AiM")
    words = ("MAC_ABK", "EWMUL", "AF", "MAC_SBK", "COPY_BKGB", "COPY_GBBK", "WR_GB", "WR_BIAS")
    step = st.builds(
        Step, st.sampled_from(words), st.integers(1, 9), st.just(1), st.integers(0, 15),
        st.integers(0, 2),
    )  # fmt: skip
    trace = PimTrace.of("any", data.draw(st.lists(step, min_size=4, max_size=16)), commands)
    # The decoder takes an instruction a tick: the first keeps the others waiting.
    trace = dataclasses.replace(trace, steps=(Step("MAC_ABK", 20, 1, -1, 3), *trace.steps))
    decoded = replay(standard, commands, trace, plain=True)
    made = lane_program(standard, commands, commands_of(trace.steps, commands, standard))
    found = run_lane(made, plain=True)
    assert found.pim_ticks + 2 == decoded.cycles
    assert decoded.counts.items() <= found.pim_counts.items()


def test_bundles_apart_do_not_wait_for_each_other():
    both = shared(
        load_standard(LOGIC), load_set("Logic-PIM"), rows("Logic-PIM", 32, 10, 0),
        streaming(range(8, 16), 600, 2), "bundle",
    )  # fmt: skip
    alone, host_alone, together = both.ticks
    assert together <= max(alone, host_alone) + 4
    assert both.waits == {"pim_for_host": 0, "host_for_pim": 0, "mode_change": 0}


def test_changing_over_closes_rows_and_costs_the_mode_change_and_nobody_works_beside():
    standard, commands = load_standard(FIM), load_set("HBM-PIM")
    trace, asked = rows("HBM-PIM", 32, 6), streaming(range(16), 200, 2)
    both = shared(standard, commands, trace, asked, "mode_switch")
    alone, host_alone, together = both.ticks
    change = sum(commands.ticks_of(x, standard) for x in (commands.enter, commands.leave))
    assert alone + host_alone < together < alone + host_alone + change + 60
    assert both.together.host_waits["host_for_pim"] > alone
    # in turns, each waits for the other and the modes change more often
    turns = shared(standard, commands, trace, asked, "mode_switch", turn=300)
    assert turns.waits["pim_for_host"] > 0
    assert turns.ticks[2] > together
    assert turns.waits["mode_change"] > both.waits["mode_change"]


def test_two_row_buffers_let_both_work_in_the_same_banks():
    standard, commands = load_standard(NEUPIMS), load_set("Newton")
    trace, asked = rows("Newton", 16, 10), streaming(range(32), 600, 2)
    one, two = (
        shared(standard, commands, trace, asked, how) for how in ("mode_switch", "dual_row_buffer")
    )
    assert max(two.ticks[:2]) <= two.ticks[2] < 0.8 * one.ticks[2]
    for party in (two.together.pim_waits, two.together.host_waits):
        assert all(ticks >= 0 for ticks in party.values())


def with_timings(name, **timings):
    standard = load_standard(OF[name])
    device = standard.device
    changed = device.model_copy(update={"timings": device.timings | timings})
    return standard.model_copy(update={"device": changed})


def test_parties_that_close_each_others_rows_for_ever_are_stopped_without_refresh_too():
    trace, asked = rows("AttAcc", 16, 4), streaming(range(16), 100, 3)
    standard = with_timings("AttAcc", nREFI=200)  # 64 of them are waited for
    with pytest.raises(SimulationStopped, match="command 2 never becomes legal"):
        shared(standard, load_set("AttAcc"), trace, asked, "dual_row_buffer")


def test_accesses_far_apart_are_no_standstill():
    commands, apart = load_set("Newton"), 10**7
    asked = (Access(0, False, 0, 0), Access(apart, False, 0, 1))
    assert run_lane(lane_program(load_standard(NEUPIMS), commands, [], asked)).host_ticks > apart


def test_a_lane_of_more_banks_than_a_word_has_bits_is_refused():
    standard = load_standard(LOGIC)
    device = standard.device
    wide = device.model_copy(update={"counts": device.counts | {"bank": 16}})
    with pytest.raises(InputError, match="has 128 banks, and 62 can be simulated"):
        lane_program(standard.model_copy(update={"device": wide}), load_set("Logic-PIM"), [])


def test_the_text_of_the_inner_loop_does_the_same_compiled(monkeypatch):
    monkeypatch.setattr(lanes, "pays", lambda _: True)
    standard, commands = load_standard(NEUPIMS), load_set("Newton")
    trace, asked = rows("Newton", 16, 4), streaming(range(32), 100, 3)
    plain, fast = (
        shared(standard, commands, trace, asked, "dual_row_buffer", refresh="all_bank", plain=how)
        for how in (True, False)
    )
    assert plain == fast


@st.composite
def any_lane(draw):
    """A set, a trace, accesses, and a way to share."""
    name = draw(st.sampled_from(sorted(OF)))
    ways = {"Logic-PIM": ["mode_switch", "bundle"], "Newton": ["mode_switch", "dual_row_buffer"]}
    sharing = draw(st.sampled_from(ways.get(name, ["mode_switch"])))
    commands, apart = load_set(name), sharing == "bundle"
    step = st.builds(
        Step, st.sampled_from([w for w, f in commands.instructions.items() if f.command]),
        st.integers(1, 12), st.just(1), st.integers(0, 7 if apart else 15), st.integers(0, 2),
    )  # fmt: skip
    access = st.builds(
        Access, st.integers(0, 900), st.booleans(), st.integers(8 * apart, 15), st.integers(0, 2)
    )
    trace = PimTrace.of("any", draw(st.lists(step, max_size=8)), commands)
    asked = draw(st.lists(access, max_size=25))
    refresh = draw(
        st.sampled_from(["none", "all_bank", "per_bank"] if apart else ["none", "all_bank"])
    )
    return name, sharing, trace, asked, refresh, draw(st.sampled_from([0, 50, 400]))


@settings(deadline=None, max_examples=40)
@given(any_lane())
def test_every_log_keeps_the_rules_of_its_standard(lane):
    name, sharing, trace, asked, refresh, turn = lane
    standard, commands = load_standard(OF[name]), load_set(name)
    # Refresh so often that it happens in a short log.
    device = standard.device
    keys = {"nREFI": 1500, "tREFI": 1200, "nREFIpb": 400, "tREFISB": 300}
    short = {k: v for k, v in keys.items() if k in device.timings}
    device = device.model_copy(update={"timings": device.timings | short})
    standard = standard.model_copy(update={"device": device})
    found = shared(
        standard, commands, trace, asked, sharing, turn=turn, refresh=refresh, plain=True, log=True
    )
    for run in (found.alone, found.host_alone, found.together):
        assert violations(standard, commands, run.log, dual=sharing == "dual_row_buffer") == []
    final = sum(s.opsize for s in trace.steps if commands.instructions[s.word].command)
    columns = {f.command for f in commands.instructions.values() if f.command}
    counts = found.together.pim_counts
    assert sum(counts[c] for c in columns) <= final
    assert found.together.host_counts["RD"] + found.together.host_counts["WR"] == len(asked)


def test_the_timing_checker_sees_each_kind_of_mistake():
    standard, commands = load_standard(NEUPIMS), load_set("Newton")
    made = shared(
        standard, commands, rows("Newton", 4, 2), streaming(range(32), 40, 3), "dual_row_buffer",
        log=True,
    )  # fmt: skip
    log = list(made.together.log)
    assert violations(standard, commands, log, dual=True) == []
    for i, entry in enumerate(log):
        if entry.command in ("COMP", "G_ACT", "RD") and entry.tick > 0:
            early = sorted(
                [*log[:i], dataclasses.replace(entry, tick=entry.tick - 20), *log[i + 1 :]],
                key=lambda e: e.tick,
            )
            if entry.command in ("COMP", "G_ACT"):
                assert violations(standard, commands, early, dual=True)
    other = [dataclasses.replace(e, row=e.row + 1) if e.command == "COMP" else e for e in log]
    assert any("is not open" in text for text in violations(standard, commands, other, dual=True))
    twice = [log[0], dataclasses.replace(log[0], banks=(31,)), *log[1:]]
    assert any(" in tick " in text for text in violations(standard, commands, twice, dual=True))
