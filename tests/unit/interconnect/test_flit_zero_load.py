"""Does a packet alone take the closed form of its router pipeline and links?"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.interconnect.flit_measure import play
from archsim.interconnect.flit_network import FlitNetwork
from archsim.interconnect.flit_spec import RouterSpec
from archsim.interconnect.flit_wires import Wires, coordinates, lattice
from archsim.interconnect.traffic_trace import Packet, replayed


def played(wires: Wires, packets: list[Packet], **router: object):
    spec = RouterSpec(**router)
    network = FlitNetwork(
        wires, spec, replayed(packets, wires.nodes), rate=0, packet_flits=1, seed=1, plain=True
    )
    return play(network)


def latency(wires: Wires, src: int, dst: int, flits: int, **router: object) -> int:
    found = played(wires, [(0, src, dst, flits)], **router)
    assert found.packet_latency == int(found.packet_latency)
    return int(found.packet_latency)


@given(st.sampled_from([(5,), (4, 3), (3, 2, 3)]), st.booleans(), st.data())
@settings(max_examples=40, deadline=None)
def test_zero_load_is_hops_of_the_pipeline_and_the_wires(dims, wraps, data) -> None:
    wires = lattice(dims, wraps=wraps)
    src, dst = (data.draw(st.integers(0, wires.nodes - 1)) for _ in range(2))
    flits = data.draw(st.integers(1, 8))
    away = 0
    for own, there, extent in zip(
        coordinates(src, dims), coordinates(dst, dims), dims, strict=True
    ):
        distance = abs(own - there)
        away += min(distance, extent - distance) if wraps else distance
    link = 2 if wraps else 1
    expected = (3 + link) * away + 6 + flits - 1
    assert latency(wires, src, dst, flits, buffer=16) == expected


@given(
    st.integers(0, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), st.integers(1, 9)
)
@settings(max_examples=30, deadline=None)
def test_every_stage_of_the_pipeline_is_paid_in_every_router(
    routing: int, vc: int, switch: int, crossbar: int, link: int
) -> None:
    wires = lattice((4,), wraps=False)
    found = latency(
        wires, 0, 3, 1, routing_delay=routing, vc_alloc_delay=vc, switch_delay=switch,
        crossbar_delay=crossbar, link_latency=link,
    )  # fmt: skip
    assert found == 4 * (routing + vc + switch + crossbar) + 3 * link + 2 + 1


@pytest.mark.parametrize(("buffer", "more"), [(8, 0), (4, 3), (3, 4), (2, 10)])
def test_small_buffers_wait_for_credits(buffer: int, more: int) -> None:
    wires = lattice((4,), wraps=False)
    assert latency(wires, 0, 3, 5, buffer=buffer) == 4 * 4 + 2 + 4 + more


def test_packets_of_one_source_wait_in_its_queue() -> None:
    wires = lattice((2,), wraps=False)
    found = played(wires, [(0, 0, 1, 4), (0, 0, 1, 4)])
    assert found.packets == 2
    assert (found.packet_latency_min, found.packet_latency_max) == (13, 17)


def test_a_released_vc_takes_a_second_packet_early_only_where_told() -> None:
    wires = lattice((2,), wraps=False)
    packets = [(0, 0, 1, 1)] * 6
    late = played(wires, packets, vcs=1)
    early = played(wires, packets, vcs=1, wait_for_tail_credit=False)
    assert early.cycles < late.cycles


def test_every_flit_passes_every_link_of_its_way_once() -> None:
    wires = lattice((3, 3), wraps=False)
    found = played(wires, [(0, 0, 8, 3), (5, 8, 0, 2)])
    assert found.flits == 5
    assert sum(found.link_flits) == 4 * 5
    assert found.hops == 5
