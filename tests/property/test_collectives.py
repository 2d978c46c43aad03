"""Are the rounds of every algorithm its collective, byte for byte, with no more bytes than said?"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from archsim.interconnect.base import links
from archsim.interconnect.collectives import exchange
from archsim.interconnect.collectives.base import Site, algorithms
from archsim.interconnect.messages import fabric_routes
from archsim.ir.collective import Collective
from archsim.testing.functional_collectives import check, sent_bytes

PAIRS = [(kind, pattern) for kind, cls in algorithms.items() for pattern in cls.PATTERNS]
LEAST = {  # those that send no byte more than must be sent, where the size divides
    "all_reduce": {"ring", "direct", "bucket", "hierarchical"},
    "all_gather": {"ring", "direct", "bucket", "hierarchical", "halving_doubling", "bruck"},
    "reduce_scatter": {"ring", "direct", "bucket", "hierarchical", "halving_doubling"},
    "all_to_all": {"direct"},
    "gather": {"direct"},
    "send": {"direct"},
    "broadcast": {"ring"},
}
WIRE = {"bandwidth": "100 GB/s", "latency": "1 us"}


def fabric(**spec):
    cls = links.get(spec["kind"])
    return cls("net", cls.Spec.model_validate(spec)).fabric()


@st.composite
def networks(draw, kind):
    """A network on which an algorithm may fit, of 2 to 17 devices or so."""
    if kind == "bucket":
        dims = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
        assume(2 <= np.prod(dims) <= 20)
        return fabric(kind=draw(st.sampled_from(["mesh", "torus"])), dims=tuple(dims), **WIRE)
    if kind == "hierarchical":
        inner, outer = draw(st.integers(2, 5)), draw(st.integers(2, 4))
        levels = ({"kind": "switch", "devices": n, **WIRE} for n in (inner, outer))
        return fabric(kind="hierarchical", levels=tuple(levels))
    return fabric(
        kind="switch", devices=draw(st.integers(2, 17)), reduces=kind == "switched", **WIRE
    )


@st.composite
def collectives(draw, pattern, devices):
    size = draw(st.integers(1, 200) | st.integers(1, 12).map(lambda k: k * devices))
    uneven = ()
    if pattern == "all_to_all" and draw(st.booleans()):
        counts = st.lists(st.integers(0, 9), min_size=devices**2, max_size=devices**2)
        uneven = tuple(draw(counts))
    return Collective(pattern, "tensor", devices, size, uneven)


@pytest.mark.parametrize(("kind", "pattern"), PAIRS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_rounds_carry_out_the_collective_and_claim_the_bytes_that_they_send(kind, pattern, data):
    net = data.draw(networks(kind))
    devices = 2 if pattern == "send" else net.terminals
    what = data.draw(collectives(pattern, devices))
    site, algorithm = Site(net, (range(devices),)), algorithms.get(kind)()
    assume(algorithm.fits(site, what) is None)
    rounds = algorithm.rounds(site, what)
    check(what, rounds)
    most = sent_bytes(what, rounds).max()
    if kind in LEAST[pattern]:
        uneven = 0 if what.sent_bytes or not what.size_bytes % devices else 2
        parts = 2 * devices * bool(uneven)
        assert what.lower_bound_bytes() <= most + devices * uneven
        assert most <= what.lower_bound_bytes() + parts


@pytest.mark.parametrize("n", [2, 4, 8, 16])
def test_halving_and_doubling_of_a_power_of_two_send_the_least_bytes(n):
    what = Collective("all_reduce", "tensor", n, 48 * n)
    rounds = algorithms.get("halving_doubling")().rounds(
        Site(fabric(kind="switch", devices=n, **WIRE), (range(n),)), what
    )
    assert (sent_bytes(what, rounds) == what.lower_bound_bytes()).all()


@pytest.mark.parametrize("n", [2, 3, 6, 9, 16, 17])
def test_no_device_of_two_trees_sends_more_than_the_buffer_each_way(n):
    what = Collective("all_reduce", "tensor", n, 1 << 16)
    rounds = algorithms.get("tree")().rounds(
        Site(fabric(kind="switch", devices=n, **WIRE), (range(n),)), what
    )
    assert sent_bytes(what, rounds).max() <= 2 * what.size_bytes
    assert sent_bytes(what, rounds).sum() == 2 * (n - 1) * what.size_bytes


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bytes_over_links_are_bytes_sent_times_links_passed(data):
    kind, pattern = data.draw(st.sampled_from(PAIRS))
    net = data.draw(networks(kind))
    devices = 2 if pattern == "send" else net.terminals
    what = replace(data.draw(collectives(pattern, devices)), algorithm=kind)
    site, algorithm = Site(net, (range(devices),)), algorithms.get(kind)()
    assume(algorithm.fits(site, what) is None)
    assume(sum(what.sent_bytes) or not what.sent_bytes)
    found = exchange(net, what, (tuple(range(devices)),))
    sent = hops = 0
    for one in algorithm.rounds(site, what):
        if len(one.src):
            first, _ = fabric_routes(net, one.src, one.dst)
            sent += int(one.carried_bytes.sum())
            hops += int((one.carried_bytes * np.diff(first)).sum())
    assert (found.sent_bytes, found.link_bytes.sum()) == (sent, hops)
    assert found.time_ps == found.overhead_ps + found.latency_ps + found.transfer_ps
    assert found.bound_ps <= found.transfer_ps


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 9), size=st.integers(1, 5000), seed=st.integers(0, 99))
def test_the_order_of_groups_changes_nothing(n, size, seed):
    net = fabric(kind="torus", dims=(n, 4), **WIRE)
    what = Collective("all_gather", "tensor", n, size)
    groups = [tuple(range(row * n, row * n + n)) for row in range(4)]
    shuffled = [groups[i] for i in np.random.default_rng(seed).permutation(4)]
    one, other = exchange(net, what, groups), exchange(net, what, shuffled)
    assert (one.time_ps, one.algorithm) == (other.time_ps, other.algorithm)
    assert (one.link_bytes == other.link_bytes).all()


def test_a_lost_round_a_wrong_part_and_a_part_added_twice_are_caught():
    what = Collective("all_reduce", "tensor", 4, 64)
    site = Site(fabric(kind="switch", devices=4, **WIRE), (range(4),))
    for kind in ("ring", "direct", "tree", "halving_doubling"):
        rounds = algorithms.get(kind)().rounds(site, what)
        check(what, rounds)
        for broken in (rounds[1:], rounds[:-1], (rounds[0], *rounds), rounds[::-1]):
            with pytest.raises(AssertionError):
                check(what, broken)
