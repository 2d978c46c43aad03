"""Do messages take the time that their bytes, their links and each other say?"""

import numpy as np
import pytest

from archsim.core.errors import ArchsimError
from archsim.interconnect._rates import compiled, fair_rates, fill
from archsim.interconnect.messages import bulk_ps, simulate_messages, transfer_ps
from archsim.testing.networks import network

US = 10**6  # picoseconds
SHARING = ("fair", "fifo")


def fabric(kind, **fields):
    wire = {"bandwidth": "50 GB/s", "latency": "1 us"}
    return network({"kind": kind, **wire, **fields}).fabric()


def run(net, messages, after=None, sharing="fair"):
    """Messages as (src, dst, bytes, start in ps)."""
    columns = [np.array(column, np.int64) for column in zip(*messages, strict=True)]
    return simulate_messages(net, *columns, after=after, sharing=sharing)


def csr(lists):
    first = np.concatenate([[0], np.cumsum([len(x) for x in lists])])
    return first.astype(np.int64), np.array([m for x in lists for m in x], np.int64)


@pytest.mark.parametrize("sharing", SHARING)
def test_one_message_takes_its_bytes_once_and_the_latency_of_every_hop(sharing):
    found = run(fabric("mesh", dims=[4]), [(0, 3, 50_000, 0)], sharing=sharing)
    assert found.arrival_ps.tolist() == [1 * US + 3 * US]
    assert found.link_bytes.sum() == 3 * 50_000
    assert found.link_busy_ps.max() == 1 * US


@pytest.mark.parametrize("sharing", SHARING)
def test_the_narrowest_link_of_the_way_sets_the_time(sharing):
    edges = [{"from": 0, "to": 1}, {"from": 1, "to": 2, "bandwidth": "10 GB/s"}]
    edges.append({"from": 2, "to": 3, "bandwidth": "100 GB/s"})
    net = fabric("custom", devices=4, links=edges)
    assert run(net, [(0, 3, 50_000, 7)], sharing=sharing).arrival_ps[0] == 7 + 5 * US + 3 * US


def test_flows_on_one_link_share_it_evenly():
    net = fabric("ring", devices=2)
    for k in (1, 2, 3, 7):
        found = run(net, [(0, 1, 50_000, 0)] * k)
        assert found.arrival_ps.tolist() == [k * US + US] * k


def test_first_come_is_first_served():
    net = fabric("ring", devices=2)
    found = run(net, [(0, 1, 50_000, 10), (0, 1, 50_000, 0), (0, 1, 100_000, 0)], sharing="fifo")
    assert found.arrival_ps.tolist() == [5 * US, 2 * US, 4 * US]
    assert found.link_busy_ps.tolist() == [4 * US, 0]


def test_a_flow_takes_what_a_flow_that_is_held_up_elsewhere_leaves():
    # of two flows from 0, one is held to a third by two others into 2: max-min fairness
    net = fabric("switch", devices=5)
    messages = [(0, 2, 50_000, 0), (3, 2, 50_000, 0), (4, 2, 50_000, 0), (0, 1, 50_000, 0)]
    arrival = run(net, messages).arrival_ps
    assert arrival.tolist() == [4 * US, 4 * US, 4 * US, 2.5 * US]


def test_a_flow_speeds_up_when_another_ends():
    net = fabric("ring", devices=2)
    found = run(net, [(0, 1, 50_000, 0), (0, 1, 100_000, 0)])
    # both at half speed for 2 us, then the rest of the longer one alone
    assert found.arrival_ps.tolist() == [2 * US + US, 3 * US + US]


@pytest.mark.parametrize("sharing", SHARING)
def test_a_bus_carries_one_message_at_a_time(sharing):
    net = fabric("bus", devices=4)
    found = run(net, [(0, 1, 50_000, 0), (2, 3, 50_000, 0)], sharing=sharing)
    assert found.arrival_ps.max() == 3 * US
    crossbar = run(fabric("crossbar", devices=4), [(0, 1, 50_000, 0), (2, 3, 50_000, 0)])
    assert crossbar.arrival_ps.max() == 2 * US


@pytest.mark.parametrize("sharing", SHARING)
def test_the_two_ways_of_a_half_duplex_link_share_it(sharing):
    messages = [(0, 1, 50_000, 0), (1, 0, 50_000, 0)]
    half = run(fabric("ring", devices=2, duplex="half"), messages, sharing=sharing)
    full = run(fabric("ring", devices=2), messages, sharing=sharing)
    assert half.arrival_ps.max() == 3 * US
    assert full.arrival_ps.tolist() == [2 * US, 2 * US]
    assert half.link_busy_ps.tolist() == [2 * US, 2 * US]


@pytest.mark.parametrize("sharing", SHARING)
def test_a_message_starts_when_those_before_it_are_there(sharing):
    net = fabric("ring", devices=4)
    messages = [(0, 1, 50_000, 0), (1, 2, 50_000, 0), (2, 3, 50_000, 9 * US)]
    found = run(net, messages, after=csr([[], [0], [1]]), sharing=sharing)
    assert found.arrival_ps.tolist() == [2 * US, 4 * US, 11 * US]


@pytest.mark.parametrize("sharing", SHARING)
def test_messages_that_wait_for_each_other_are_named(sharing):
    with pytest.raises(ArchsimError) as caught:
        run(fabric("ring", devices=4), [(0, 1, 5, 0)] * 3, csr([[], [2], [1]]), sharing)
    assert str(caught.value) == "messages wait for each other: 1, 2"


@pytest.mark.parametrize("sharing", SHARING)
def test_nothing_to_send_and_nowhere_to_send_it_take_latency_alone(sharing):
    found = run(fabric("mesh", dims=[3]), [(0, 2, 0, 5), (1, 1, 10_000, 5)], sharing=sharing)
    assert found.arrival_ps.tolist() == [2 * US + 5, 5]
    assert found.link_bytes.sum() == 0


def test_all_at_once_is_the_fullest_link_and_the_longest_way():
    net = fabric("mesh", dims=[4])
    src, dst, sizes = np.array([0, 1, 3]), np.array([3, 2, 2]), np.array([50_000, 100_000, 1])
    time_ps, loads = bulk_ps(net, src, dst, sizes)
    assert time_ps == 3 * US + 3 * US
    assert loads.max() == 150_000


def test_all_at_once_is_the_fair_answer_where_messages_are_alike():
    for net in (fabric("torus", dims=[4, 4]), fabric("switch", devices=16)):
        for step in (1, 3, 5):
            src = np.arange(16)
            dst, sizes = (src + step) % 16, np.full(16, 12_345_677)
            found = simulate_messages(net, src, dst, sizes, src * 0)
            ways = {len(net.route(int(a), int(b))) for a, b in zip(src, dst, strict=True)}
            if len(ways) == 1:
                assert bulk_ps(net, src, dst, sizes)[0] == found.arrival_ps.max()


def test_all_at_once_shares_the_wire_of_a_half_duplex_link():
    ends = np.array([0, 1]), np.array([1, 0]), np.array([50_000, 25_000])
    assert bulk_ps(fabric("ring", devices=2, duplex="half"), *ends)[0] == 2.5 * US
    assert bulk_ps(fabric("ring", devices=2), *ends)[0] == 2 * US


def test_no_messages_take_no_time():
    none = np.empty(0, np.int64)
    time_ps, loads = bulk_ps(fabric("ring", devices=3), none, none, none)
    assert (time_ps, loads.tolist()) == (0, [0] * 6)
    assert len(simulate_messages(fabric("ring", devices=3), *[none] * 4).arrival_ps) == 0


def test_times_are_rounded_up_once_and_exactly():
    assert transfer_ps(64, 64e9) == 1000
    assert transfer_ps(1, 3e12) == 1
    assert transfer_ps(2**40, 450e9) == -(-(2**40) * 1000 // 450)


def test_a_round_of_4096_devices_is_one_pass():
    net = fabric("torus", dims=[16, 16, 16])
    src = np.arange(4096)
    time_ps, loads = bulk_ps(net, src, (src + 1) % 4096, np.full(4096, 50_000))
    # from the end of a row: round its ring, one along y, and from the last row one along z
    assert time_ps == 1 * US + 3 * US
    assert loads.max() == 50_000
    assert loads.sum() == (4096 + 256 + 16) * 50_000


def test_the_compiled_rates_are_those_of_numpy_to_the_bit():
    rng = np.random.default_rng(7)
    for _ in range(20):
        hops = rng.integers(0, 5, 30)
        first = np.concatenate([[0], np.cumsum(hops)])
        wire, capacity = rng.integers(0, 9, first[-1]), rng.random(9) + 0.1
        expected = fair_rates(first, wire, capacity)
        assert (fill(first, wire, capacity) == expected).all()
        fast = compiled()
        assert fast is None or (fast(first, wire, capacity) == expected).all()


def test_fair_rates_fill_a_wire_of_every_message():
    rng = np.random.default_rng(3)
    hops = rng.integers(1, 5, 40)
    first = np.concatenate([[0], np.cumsum(hops)])
    wire, capacity = rng.integers(0, 12, first[-1]), rng.random(12) + 0.1
    rates = fair_rates(first, wire, capacity)
    used = np.bincount(wire, np.repeat(rates, hops), 12)
    assert (used <= capacity * (1 + 1e-9)).all()
    full = used >= capacity * (1 - 1e-9)
    largest = np.array([rates[np.repeat(np.arange(40), hops)[wire == w]].max(initial=0)
                        for w in range(12)])  # fmt: skip
    for m in range(40):  # none could have more without taking it from one that has no more
        mine = wire[first[m] : first[m + 1]]
        assert any(full[w] and rates[m] >= largest[w] * (1 - 1e-9) for w in mine)
