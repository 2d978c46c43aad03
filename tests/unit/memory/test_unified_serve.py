"""Do bursts that a unified controller serves one by one take what the whole list takes?"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.memory.address import AddressMap
from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers.unified import Unified
from archsim.memory.requests import Pacing, Requests
from archsim.memory.standard import load_standard
from archsim.memory.traces import Place, trace

STANDARDS = ("DDR4_3200AA", "HBM3_6400Mbps", "LPDDR5_6400", "HBM2_2000Mbps")
REFRESH = {"HBM3_6400Mbps": "per_bank_interleaved", "HBM2_2000Mbps": "per_bank"}


def build(name="DDR4_3200AA", channels=1, plain=False, **options):
    tables = load_standard(name).tables()
    address_map = AddressMap(tables, channels, "MOP4CLXOR")
    return Unified(tables, ControllerSpec(**options), address_map, channels, plain=plain)


def requests_of(device, name, n):
    tables, address_map = device.tables, device.address_map
    place = Place(tables.access_bytes, address_map.row_stride_bytes, address_map.page_bytes)
    return trace(name, n, place)


def cut(requests, first, end):
    return Requests(requests.address[first:end], requests.write[first:end])


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(STANDARDS),
    kind=st.sampled_from(("stream_rd", "rand_2r1w", "stream_2r1w", "kv_gather_rw")),
    ends=st.lists(st.integers(1, 400), min_size=1, max_size=5),
)
def test_a_list_in_bursts_leaves_what_the_whole_list_leaves(name, kind, ends):
    options = {"refresh": REFRESH.get(name, "all_bank")}
    parts, whole = build(name, **options), build(name, **options)
    requests = requests_of(whole, kind, sum(ends) + 50)
    at = first = 0
    for n in ends:
        served = parts.serve(cut(requests, first, first + n), at)
        assert at <= served.accepted_tick <= served.done_tick
        at, first = served.accepted_tick, first + n
    once = whole.serve(cut(requests, 0, first), 0)
    assert once.accepted_tick == at
    assert once.done_tick == whole.drive(cut(requests, 0, first)).ticks
    rest = cut(requests, first, first + 50)
    assert parts.serve(rest, at) == whole.serve(rest, at)


def test_refreshes_between_bursts_happen_as_in_a_run_that_waits():
    for name in STANDARDS:
        device = build(name, refresh=REFRESH.get(name, "all_bank"))
        requests = requests_of(device, "rand_rd", 40)
        late = 1_234_567
        device.serve(cut(requests, 0, 20), 0)
        served = device.serve(cut(requests, 20, 40), late)
        at = np.repeat([0, late], 20)
        log = np.empty(0, np.int64)
        assert served.done_tick == device.drive(requests, Pacing(at=at), log=log).ticks
        # with a log nothing is passed over
        log = np.zeros(4, np.int64)
        run = device.drive(requests, Pacing(at=at), log=log)
        assert run.ticks == served.done_tick
        assert run.refreshes == device.drive(requests, Pacing(at=at)).refreshes > 90


def test_counts_are_those_of_the_burst():
    device = build(refresh="none")
    requests = requests_of(device, "stream_rd", 64)
    first = device.serve(cut(requests, 0, 32), 0)
    second = device.serve(cut(requests, 32, 64), first.done_tick)
    third = device.serve(cut(requests, 32, 64), second.done_tick)
    assert [served.counts["reads"] for served in (first, second, third)] == [32, 32, 32]
    # what waits when the last is accepted counts for the next burst
    assert first.counts["RD"] < 32
    assert second.counts["RD"] == 32


def test_a_burst_over_many_channels_takes_what_its_slowest_channel_takes():
    many, one = build(channels=4), build(channels=1)
    tables = many.tables
    requests = requests_of(many, "rand_rd", 200)
    served = many.serve(requests, 0)
    ends = []
    place = many.address_map.decode(requests.address)
    for channel in range(4):
        mine = place.channel == channel
        # a channel's share, as the addresses of a single channel
        line = requests.address[mine] // tables.access_bytes // 4
        one.reset()
        share = Requests(line * tables.access_bytes, requests.write[mine])
        ends.append(one.serve(share, 0).done_tick)
    assert served.done_tick == max(ends)


def test_a_burst_does_not_wait_for_older_writes():
    device = build(refresh="none", read_queue=64, write_queue=64)
    reads = Requests(np.arange(40) * 64, np.zeros(40, np.int64))
    writes = Requests(np.arange(1000, 1040) * 64, np.ones(40, np.int64))
    waiting = device.serve(writes, 0)
    alone = build(refresh="none", read_queue=64, write_queue=64).serve(reads, 0).done_tick
    served = device.serve(reads, waiting.accepted_tick)
    assert served.done_tick < waiting.done_tick + alone


def test_reset_forgets_what_was_served():
    device = build()
    requests = requests_of(device, "rand_2r1w", 100)
    first = device.serve(requests, 0)
    assert device.serve(requests, 0) != first
    device.reset()
    assert device.serve(requests, 0) == first


def test_a_drive_leaves_the_served_state_alone():
    device, other = build(), build()
    requests = requests_of(device, "rand_2r1w", 100)
    device.serve(requests, 0)
    other.serve(requests, 0)
    device.drive(requests)
    assert device.serve(requests, 5000) == other.serve(requests, 5000)


@pytest.mark.parametrize("sizes", [(3, 5000), (5000, 3)])
def test_bursts_may_grow(sizes):
    compiled, plain = build(), build(plain=True)
    requests = requests_of(compiled, "stream_rd", max(sizes))
    for n in sizes:
        part = cut(requests, 0, n)
        assert compiled.serve(part, 0) == plain.serve(part, 0)
