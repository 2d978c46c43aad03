"""Does the controller with command queues follow its rules, tick by tick?"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.errors import InputError
from archsim.memory.address import AddressMap, Decoded
from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers import command_queues as module
from archsim.memory.controllers import command_queues_kernel as kernel
from archsim.memory.controllers import command_queues_words as w
from archsim.memory.controllers.command_queues import CommandQueues
from archsim.memory.controllers.command_queues_kernel import tick as one_tick
from archsim.memory.controllers.command_queues_program import COMMANDS
from archsim.memory.requests import Pacing, Requests
from archsim.memory.standard import load_standard
from archsim.memory.tables import LEVEL, NEXT, PREVIOUS, SIBLING, TICKS, WINDOW

DDR4, GDDR6, HBM2 = "DDR4_8Gb_x8_3200", "GDDR6_8Gb_x16", "HBM2_8Gb_x128"
STANDARDS = (DDR4, GDDR6, HBM2, "LPDDR4_8Gb_x16_2400", "GDDR5_8Gb_x32", "DDR5_4800BN",
             "HBM2_2000Mbps")  # fmt: skip
RD, WR, ACT, PRE, _, REF, REFB, RDA, WRA = range(9)


def build(name=DDR4, channels=1, **options):
    tables = load_standard(name).tables()
    controller = ControllerSpec(structure="command_queues", **options)
    mapping = AddressMap(tables, channels, "RoBaRaCoCh")
    return CommandQueues(tables, controller, mapping, channels)


def requests(device, places, writes=None):
    """Requests at (bank, row, column) of the first channel."""
    bank, row, column = (np.array(x, np.int64) for x in zip(*places, strict=True))
    address = device.address_map.encode(Decoded(bank * 0, bank, row, column))
    return Requests(address, np.array(writes or [0] * len(bank), np.int64))


def logged(device, asked, pacing=module.AT_ONCE, **how):
    """The run and its commands as (tick, channel, command, bank)."""
    log = np.full(4 * 60_000, -1, np.int64)
    run = device.drive(asked, pacing, log=log, **how)
    log = log.reshape(-1, 4)
    return run, [tuple(map(int, line)) for line in log[log[:, 0] >= 0]]


def short(commands):
    return [(tick, command, bank) for tick, _, command, bank in commands]


def same(one, other):
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b, field.name


def mixed(device, seed, n=400, rows=3, share=3):
    """Random accesses over few rows and columns, so that queues, rows and addresses collide."""
    draw = np.random.default_rng(seed)
    tables = device.tables
    top = (device.channels, tables.banks, rows, 4)
    place = Decoded(*(draw.integers(0, x, n) for x in top))
    return Requests(device.address_map.encode(place), (draw.integers(0, share, n) == 0) * 1)


# -- single requests ---------------------------------------------------------------------------


def test_a_lone_read_opens_its_row_and_is_back_after_the_read_latency():
    device = build()
    t = device.tables.timings
    run, commands = logged(device, requests(device, [(5, 9, 1)]))
    assert short(commands) == [(1, ACT, 5), (1 + t["tRCD"], RD, 5)]
    assert run.read_latency_ticks.tolist() == [1 + t["tRCD"] + t["CL"] + t["B"]]
    assert run.ticks == run.read_latency_max_ticks + 1
    assert run.active_ticks + run.idle_ticks == 2 * run.ticks
    assert run.active_ticks == run.ticks - 1


def test_a_lone_write_is_done_one_tick_later_and_waits():
    device = build()
    run, commands = logged(device, requests(device, [(0, 0, 0)], [1]))
    assert (run.ticks, run.writes, commands) == (2, 1, [])


def test_no_request_takes_no_tick():
    run = build().drive(Requests(np.zeros(0, np.int64), np.zeros(0, np.int64)))
    assert (run.ticks, run.reads, run.active_ticks, run.idle_ticks) == (0, 0, 0, 0)


def test_a_read_of_a_waiting_write_is_back_after_one_tick():
    device = build()
    run = device.drive(requests(device, [(0, 0, 0)] * 2, [1, 0]))
    assert (run.forwarded, run.read_latency_ticks.tolist(), run.ticks) == (1, [1], 3)


def test_equal_reads_share_one_access_and_come_back_together():
    device = build()
    run, commands = logged(device, requests(device, [(0, 0, 0)] * 3))
    assert (run.merged, len(commands), run.reads) == (2, 2, 3)
    first = run.read_latency_ticks[0]
    assert run.read_latency_ticks.tolist() == [first, first - 1, first - 2]
    assert run.read_latency_sum_ticks == 3 * first - 3


def test_equal_writes_share_one_entry():
    device = build()
    run = device.drive(requests(device, [(0, 0, 0)] * 3, [1] * 3))
    assert (run.merged, run.writes) == (2, 3)


# -- order -------------------------------------------------------------------------------------


def test_queues_take_turns():
    device = build(HBM2)
    _, commands = logged(device, requests(device, [(b, 0, 0) for b in (3, 2, 1, 0)]))
    assert [bank for _, command, bank in short(commands) if command == ACT] == [3, 0, 1, 2]


def test_younger_hits_of_an_open_row_go_before_another_row():
    device = build()
    places = [(0, 1, 0), (0, 2, 0), (0, 1, 1), (0, 1, 2)]
    run, commands = logged(device, requests(device, places))
    assert [command for _, command, _ in short(commands)] == [ACT, RD, RD, RD, PRE, ACT, RD]
    assert (run.row_hits, run.row_misses, run.row_conflicts) == (2, 1, 1)


def test_a_row_is_not_closed_for_a_request_with_an_older_one_of_its_bank():
    device = build(queue_per="rank")
    places = [(0, 1, 0), (0, 1, 1), (0, 2, 0), (1, 1, 0)]
    _, commands = logged(device, requests(device, places))
    mine = [command for _, command, bank in short(commands) if bank == 0]
    assert mine == [ACT, RD, RD, PRE, ACT, RD]


def test_the_closed_policy_closes_with_each_access():
    device = build(row_policy="closed")
    run = device.drive(requests(device, [(0, 1, c) for c in range(4)]))
    assert run.commands == {"ACT": 4, "RDA": 4}
    assert (run.row_hits, run.row_misses) == (0, 4)


def test_writes_are_served_when_more_than_eight_wait_alone():
    device = build()
    for n, served in ((8, 0), (9, 1)):
        asked = requests(device, [(0, 0, c) for c in range(n)], [1] * n)
        late = Requests(np.append(asked.address, asked.address[0] + (1 << 30)),
                        np.append(asked.write, 0))  # fmt: skip
        at = np.array([0] * n + [500], np.int64)
        run = device.drive(late, Pacing(per_tick=n, at=at))
        assert run.commands.get("WR", 0) == (9 if served else 0)


def test_a_read_goes_on_when_drained_writes_wait_for_it():
    device = build(read_queue=1, command_queue=1)
    read, others = (0, 0, 0), [(0, 0, c) for c in range(1, 9)]
    asked = requests(device, [(0, 0, 9), read, read, *others], [0, 0, 1, *[1] * 8])
    run = device.drive(asked, Pacing(per_tick=2))
    assert run.reads == 2
    assert run.commands["RD"] == 2


def test_a_dual_command_bus_issues_a_row_and_a_column_command_at_once():
    device = build(HBM2)
    _, commands = logged(device, mixed(device, 1, share=1000))
    ticks = {}
    for tick, command, _ in short(commands):
        ticks.setdefault(tick, []).append(command in (RD, WR))
    assert max(map(len, ticks.values())) == 2
    assert all(sum(both) == 1 for both in ticks.values() if len(both) == 2)


# -- refresh -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [DDR4, HBM2, GDDR6])
def test_ranks_are_refreshed_in_turn_once_in_their_interval(name):
    device = build(name)
    t = device.tables
    ranks = t.nodes(t.refresh_level)
    apart = t.timings["tREFI"] // ranks
    asked = requests(device, [(0, 0, 0), (0, 0, 1)])
    _, commands = logged(device, asked, Pacing(at=np.array([0, 20 * apart + apart // 2])))
    refreshes = [(tick, bank) for tick, command, bank in short(commands) if command == REF]
    assert len(refreshes) == 20
    assert [bank // t.banks_below(t.refresh_level) for _, bank in refreshes] == [
        i % ranks for i in range(20)
    ]
    assert all(0 <= tick - (i + 1) * apart < 60 for i, (tick, _) in enumerate(refreshes))


def test_banks_are_refreshed_in_turn_bank_group_first():
    device = build(refresh="bank_staggered")
    t = device.tables
    asked = requests(device, [(0, 0, 0), (0, 0, 1)])
    _, commands = logged(device, asked, Pacing(at=np.array([0, 40 * t.timings["tREFI"]])))
    banks = [bank for _, command, bank in short(commands) if command == REFB]
    assert banks[:10] == [0, 4, 8, 12, 1, 5, 9, 13, 2, 6]


def test_without_refresh_none_is_issued():
    device = build(refresh="none")
    asked = requests(device, [(0, 0, 0), (0, 0, 1)])
    run = device.drive(asked, Pacing(at=np.array([0, 1_000_000])))
    assert (run.refreshes, run.commands) == (0, {"RD": 2, "ACT": 1})


# -- every command at its time ------------------------------------------------------------------


def too_early(tables, commands):
    """Commands that break a rule of the standard or the state of a bank."""
    issued, found, opened = {}, [], {}
    for tick, channel, command, bank in commands:
        scope = tables.banks_below(tables.refresh_level) if command == REF else 1
        mine = range(bank, bank + scope)
        for rule in tables.constraints:
            before, after = tables.commands[rule[PREVIOUS]], tables.commands[rule[NEXT]]
            if after != COMMANDS[command] or before not in COMMANDS:
                continue
            span = tables.banks_below(int(rule[LEVEL]))
            outer = tables.banks_below(int(rule[LEVEL]) - 1) if rule[SIBLING] else 0
            for node in {b // span for b in mine}:
                past = [
                    at
                    for at, which in issued.get((channel, COMMANDS.index(before)), ())
                    if (which // span == node) != bool(rule[SIBLING])
                    and (not outer or which // outer == node * span // outer)
                ]
                window = int(rule[WINDOW])
                if len(past) >= window and tick < past[-window] + int(rule[TICKS]):
                    found.append((tick, before, after, bank))
        state = [opened.get((channel, b), False) for b in mine]
        if any(state) != (command in (RD, WR, PRE, RDA, WRA)):
            found.append((tick, "state", COMMANDS[command], bank))
        for b in mine:
            opened[channel, b] = command in (RD, WR, ACT)
            issued.setdefault((channel, command), []).append((tick, b))
    return found


@pytest.mark.parametrize(
    "options",
    [{}, {"row_policy": "closed"}, {"refresh": "bank_staggered"}, {"queue_per": "rank"}],
    ids=lambda options: "-".join(options.values()) or "default",
)
@pytest.mark.parametrize("name", STANDARDS)
def test_no_command_breaks_a_rule_of_its_standard(name, options):
    if "refresh" in options and not name.startswith(("DDR4", "HBM2_8", "LPDDR4", "GDDR")):
        options = {}
    device = build(name, **options)
    run, commands = logged(device, mixed(device, 7, n=250), Pacing(gap_ticks=60))
    assert too_early(device.tables, commands) == []
    assert run.refreshes > 0


BOUNDS = {
    "other group opens after tRRD_S": ([(0, 0, 0), (4, 0, 0)], (ACT, 0), (ACT, 4), "tRRD_S"),
    "same group opens after tRRD_L": ([(0, 0, 0), (1, 0, 0)], (ACT, 0), (ACT, 1), "tRRD_L"),
    "fifth row opens after tFAW": (
        [(b, 0, 0) for b in (0, 4, 8, 12, 1)], (ACT, 0), (ACT, 1), "tFAW",
    ),
    "row is read after tRCD": ([(0, 0, 0)], (ACT, 0), (RD, 0), "tRCD"),
    "row closes after tRAS": ([(0, 0, 0), (0, 1, 0)], (ACT, 0), (PRE, 0), "tRAS"),
    "bank opens again after tRP": ([(0, 0, 0), (0, 1, 0)], (PRE, 0), (ACT, 0), "tRP"),
}  # fmt: skip


@pytest.mark.parametrize("what", BOUNDS)
def test_a_command_comes_at_the_first_tick_that_its_rule_allows(what):
    places, before, after, name = BOUNDS[what]
    device = build(HBM2 if name == "tFAW" else DDR4)  # where no read is in the way
    _, commands = logged(device, requests(device, places), Pacing(per_tick=len(places)))
    came = short(commands)
    first = next(i for i, (_, *line) in enumerate(came) if tuple(line) == before)
    then = next(tick for tick, *line in came[first + 1 :] if tuple(line) == after)
    assert then - came[first][0] == device.tables.timings[name]


# -- one text, three ways to run it -------------------------------------------------------------


def every_tick(st, cfg, c, now, latency, link, log):
    """A tick without any skip: the next one runs too, every queue is searched, all may move."""
    base = c * cfg[w.WORDS]
    for q in range(cfg[w.QUEUES]):
        st[base + cfg[w.QUEUE_WAKE] + q] = 0
    st[base + w.TRY_MOVE] = 1
    one_tick(st, cfg, c, now, latency, link, log)
    st[base + w.WAKE] = now + 1


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(STANDARDS),
    seed=st.integers(0, 10_000),
    channels=st.sampled_from([1, 2]),
    queue_per=st.sampled_from(["bank", "rank"]),
    row_policy=st.sampled_from(["open", "closed"]),
    refresh=st.sampled_from(["rank_staggered", "none"]),
    queue=st.sampled_from([1, 4, 32]),
    depth=st.sampled_from([1, 2, 8]),
    pacing=st.builds(
        Pacing,
        outstanding=st.sampled_from([0, 1, 5]),
        per_tick=st.sampled_from([1, 3]),
        gap_ticks=st.sampled_from([0, 3, 60]),
    ),
    share=st.sampled_from([1, 2, 5, 1000]),
)
def test_skipping_idle_ticks_and_compiling_change_nothing(
    name, seed, channels, queue_per, row_policy, refresh, queue, depth, pacing, share
):
    device = build(
        name, channels, queue_per=queue_per, row_policy=row_policy, refresh=refresh,
        read_queue=queue, write_queue=queue, command_queue=depth,
    )  # fmt: skip
    asked = mixed(device, seed, n=120, share=share)
    fast, commands = logged(device, asked, pacing)
    plain, plain_commands = logged(device, asked, pacing, plain=True)
    same(fast, plain)
    assert commands == plain_commands
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "tick", every_tick)
        slow, slow_commands = logged(device, asked, pacing, plain=True)
    same(fast, slow)
    assert commands == slow_commands


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), chunk=st.integers(1, 50), outstanding=st.sampled_from([0, 4]))
def test_a_list_decoded_in_parts_gives_the_same_run(seed, chunk, outstanding):
    device = build(HBM2, 2)
    asked, pacing = mixed(device, seed, n=150), Pacing(outstanding, per_tick=2)
    whole = device.drive(asked, pacing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", chunk)
        same(device.drive(asked, pacing), whole)


# -- what is counted ----------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(STANDARDS),
    seed=st.integers(0, 10_000),
    share=st.sampled_from([1, 2, 1000]),
    outstanding=st.sampled_from([0, 3]),
)
def test_every_request_is_accounted_for(name, seed, share, outstanding):
    device = build(name)
    asked = mixed(device, seed, n=300, share=share)
    run = device.drive(asked, Pacing(outstanding))
    issued = run.commands
    assert run.reads + run.writes == 300
    columns = issued.get("RD", 0) + issued.get("WR", 0)
    assert run.row_hits + run.row_misses + run.row_conflicts == columns
    assert issued.get("RD", 0) <= run.reads - run.forwarded
    assert columns + run.forwarded + run.merged <= 300
    assert run.read_latency_sum_ticks == run.read_latency_ticks.sum()
    assert run.read_latency_max_ticks == max(run.read_latency_ticks, default=0)
    assert run.active_ticks >= 0
    assert run.idle_ticks >= 0
    assert issued.get("ACT", 0) >= issued.get("PREpb", 0)


@pytest.mark.parametrize("outstanding", [1, 2, 7])
def test_no_more_requests_are_in_flight_than_the_cap(outstanding):
    device = build(HBM2)
    asked = mixed(device, 5, n=200, rows=100, share=1000)
    run = device.drive(asked, Pacing(outstanding))
    assert run.read_latency_sum_ticks <= outstanding * run.ticks
    if outstanding == 1:
        assert run.ticks == run.read_latency_sum_ticks + 200


def test_latencies_need_not_be_kept():
    device = build()
    asked = mixed(device, 2)
    kept, not_kept = device.drive(asked), device.drive(asked, keep_latencies=False)
    assert len(not_kept.read_latency_ticks) == 0
    same(dataclasses.replace(not_kept, read_latency_ticks=kept.read_latency_ticks), kept)


# -- what it does not do ------------------------------------------------------------------------

UNKNOWN = 'which structure "command_queues" does not know'


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("LPDDR5_6400", {}, f"has two commands to open a row, {UNKNOWN}"),
        ("HBM3_6400Mbps", {}, f"has half-clock slots, {UNKNOWN}"),
        ("DDR5_4800BN", {"refresh": "bank_staggered"},
         "has no REFpb, which refresh 'bank_staggered' needs"),
    ],
)  # fmt: skip
def test_a_standard_it_cannot_issue_is_refused(name, options, text):
    device = build(name, **options)
    with pytest.raises(InputError) as error:
        device.drive(requests(device, [(0, 0, 0)]))
    diagnostic = error.value.diagnostics[0]
    assert (diagnostic.code, diagnostic.message) == ("E202", f"{name} {text}")


def test_an_address_outside_the_capacity_is_refused():
    device = build()
    asked = Requests(np.array([0, 1 << 50], np.int64), np.zeros(2, np.int64))
    with pytest.raises(InputError, match=r"address 0x4000000000000 \(request 1\) is outside"):
        device.drive(asked)
