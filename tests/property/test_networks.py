"""Do networks keep every byte, and is nobody faster than alone, whatever is sent?"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.units import PS_PER_S
from archsim.interconnect.graph import hops
from archsim.interconnect.messages import bulk_ps, fabric_routes, on_wires, simulate_messages
from archsim.testing.networks import network

WIRE = {"bandwidth": "37 GB/s", "latency": "12.3 ns"}
SHARING = st.sampled_from(["fair", "fifo"])


@st.composite
def flat_networks(draw):
    """Descriptions of networks whose links are alike."""
    kind = draw(st.sampled_from(["ring", "switch", "bus", "fully_connected", "mesh", "torus",
                                 "fat_tree"]))  # fmt: skip
    duplex = draw(st.sampled_from(["full", "half"])) if kind != "bus" else "half"
    data = {"kind": kind, **WIRE, "duplex": duplex}
    if kind in {"mesh", "torus"}:
        return {**data, "dims": draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))}
    data["devices"] = draw(st.integers(1, 9))
    return {**data, "arity": draw(st.integers(2, 4))} if kind == "fat_tree" else data


@st.composite
def networks(draw):
    """Flat ones, and two levels of them."""
    if draw(st.booleans()):
        return draw(flat_networks())
    return {"kind": "hierarchical", "levels": [draw(flat_networks()), draw(flat_networks())]}


@st.composite
def traffic(draw):
    """A network and up to a dozen messages on it."""
    fabric = network(draw(networks())).fabric()
    device = st.integers(0, fabric.terminals - 1)
    one = st.tuples(device, device, st.integers(0, 10**6), st.integers(0, 10**7))
    messages = draw(st.lists(one, min_size=1, max_size=12))
    return fabric, [np.array(column, np.int64) for column in zip(*messages, strict=True)]


def idle_ps(fabric, src, dst, sizes):
    """What a message takes alone, not rounded."""
    times = []
    for a, b, size in zip(src, dst, sizes, strict=True):
        way = list(fabric.route(int(a), int(b)))
        slowest = fabric.bytes_per_s[way].min(initial=np.inf)
        times.append(fabric.latency_ps[way].sum() + size * PS_PER_S / slowest)
    return np.array(times)


@given(traffic(), SHARING)
@settings(max_examples=30, deadline=None)
def test_every_byte_goes_over_every_link_of_its_way(case, sharing):
    fabric, (src, dst, sizes, start) = case
    found = simulate_messages(fabric, src, dst, sizes, start, sharing=sharing)
    _, loads = bulk_ps(fabric, src, dst, sizes)
    first, _ = fabric_routes(fabric, src, dst)
    assert (found.link_bytes == loads).all()
    assert loads.sum() == (sizes * np.diff(first)).sum()
    assert (found.link_busy_ps[loads > 0] > 0).all()


@given(traffic(), SHARING)
@settings(max_examples=30, deadline=None)
def test_no_message_is_faster_than_alone(case, sharing):
    fabric, (src, dst, sizes, start) = case
    found = simulate_messages(fabric, src, dst, sizes, start, sharing=sharing)
    idle = idle_ps(fabric, src, dst, sizes)
    assert (found.arrival_ps >= start + idle - 1e-3).all()
    for m in range(len(src)):
        alone = [column[m : m + 1] for column in (src, dst, sizes, start)]
        arrival = simulate_messages(fabric, *alone, sharing=sharing).arrival_ps[0]
        assert start[m] + idle[m] - 1e-3 <= arrival < start[m] + idle[m] + 1.001


@given(traffic(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_messages_changes_nothing(case, random):
    fabric, columns = case
    order = list(range(len(columns[0])))
    random.shuffle(order)
    shuffled = [column[order] for column in columns]
    fair = simulate_messages(fabric, *columns).arrival_ps
    assert (simulate_messages(fabric, *shuffled).arrival_ps == fair[order]).all()
    first, again = (simulate_messages(fabric, *c, sharing="fifo") for c in (columns, shuffled))
    assert sorted(first.arrival_ps.tolist()) == sorted(again.arrival_ps.tolist())
    assert (first.link_busy_ps == again.link_busy_ps).all()


@given(traffic())
@settings(max_examples=30, deadline=None)
def test_nothing_is_done_before_its_fullest_link_and_its_longest_way(case):
    fabric, (src, dst, sizes, _) = case
    zero = np.zeros_like(src)
    time_ps, loads = bulk_ps(fabric, src, dst, sizes)
    way_ps = max(fabric.latency_ps[list(fabric.route(int(a), int(b)))].sum()
                 for a, b in zip(src, dst, strict=True))  # fmt: skip
    fullest = (on_wires(fabric, loads) * PS_PER_S / fabric.bytes_per_s).max(initial=0)
    assert fullest + way_ps <= time_ps < fullest + way_ps + 1.001
    for sharing in ("fair", "fifo"):
        found = simulate_messages(fabric, src, dst, sizes, zero, sharing=sharing)
        assert found.arrival_ps.max() >= max(fullest, way_ps)


@given(networks())
@settings(max_examples=30, deadline=None)
def test_closed_forms_hold_for_any_extents(data):
    topology = network(data)
    fabric = topology.fabric()
    found = hops(fabric)
    assert topology.link_count() in (None, fabric.links)
    assert topology.diameter() in (None, found.max())
    mean = topology.mean_hops()
    assert mean is None or np.isclose(mean, found.mean())
