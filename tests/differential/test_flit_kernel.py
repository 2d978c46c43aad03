"""Does machine code of the flit simulator say what the same text says as plain Python?"""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from archsim.interconnect.flit_compile import compiled
from archsim.interconnect.flit_measure import Protocol, measure, play
from archsim.interconnect.flit_network import FlitNetwork
from archsim.interconnect.traffic import pattern
from archsim.interconnect.traffic_trace import replayed
from archsim.system.noc_network import network_of

SHORT = Protocol(period_cycles=60, most_latency_cycles=120)


def both(topology, traffic, load, flits, seed, replay, **router):
    network = network_of(topology, router, fidelity="cycle")
    wires = network.wires
    hot = (0, wires.nodes // 2) if traffic == "hotspot" else ()
    return [
        measure(
            FlitNetwork(
                wires, network.routers, pattern(traffic, wires.nodes, wires.dims, hot),
                rate=load / flits, packet_flits=flits, seed=seed, replay=replay, plain=plain,
            ),
            SHORT,
        )
        for plain in (True, False)
    ]  # fmt: skip


def test_numba_is_there_to_compare_with() -> None:
    assert compiled() is not None


@given(
    st.sampled_from(
        [("mesh:4x4", "dimension_order"), ("torus:4x4", "dimension_order"),
         ("torus:3x2x2", "dimension_order"), ("mesh:3x3", "adaptive"), ("torus:4x3", "adaptive"),
         ("torus:4x3", "table"), ("ring:6", "table"), ("switch:5", "table")]
    ),
    st.sampled_from(["uniform", "tornado", "neighbour", "hotspot"]),
    st.sampled_from([0.02, 0.2, 0.6, 1.0]),
    st.integers(1, 5),
    st.integers(0, 99),
    st.booleans(),
    st.sampled_from([(3, 1), (4, 3), (5, 8)]),
    st.booleans(),
    st.integers(0, 3),
)  # fmt: skip
@example(("torus:4x4", "dimension_order"), "tornado", 0.6, 2, 1, True, (4, 3), False, 1)
@example(("mesh:3x3", "adaptive"), "uniform", 1.0, 3, 2, False, (3, 1), True, 2)
@example(("switch:8", "table"), "uniform", 0.6, 2, 3, False, (8, 4), False, 0)
@example(("switch:17", "table"), "uniform", 0.6, 2, 4, True, (8, 4), True, 0)
@settings(max_examples=25, deadline=None)
def test_plain_and_compiled_agree(net, traffic, load, flits, seed, replay, size, holds, delay):
    topology, routing = net
    plain, fast = both(
        topology, traffic, load, flits, seed, replay, routing=routing, vcs=size[0],
        buffer=size[1], credit_delay=delay, routing_delay=delay,
        wait_for_tail_credit=holds or routing == "adaptive",
    )  # fmt: skip
    assert plain == fast


def test_traces_agree() -> None:
    network = network_of("mesh:4x4", {}, fidelity="cycle")
    packets = replayed([(c, c * 7 % 16, c * 5 % 16, 1 + c % 4) for c in range(60)], 16)
    runs = [
        play(FlitNetwork(network.wires, network.routers, packets, rate=0, packet_flits=1, seed=1,
                         plain=plain))
        for plain in (True, False)
    ]  # fmt: skip
    assert runs[0] == runs[1]
    assert runs[0].packets == 60
