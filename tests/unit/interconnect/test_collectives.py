"""Do collectives take the time of their closed forms, and say why they are carried out so?"""

import numpy as np
import pytest

from archsim.core.units import PS_PER_S
from archsim.interconnect.base import links
from archsim.interconnect.collective_options import CollectiveOptions
from archsim.interconnect.collectives import exchange
from archsim.interconnect.collectives._pipeline import MOST_PARTS
from archsim.interconnect.collectives.base import algorithms
from archsim.interconnect.collectives.exchange import neighbours
from archsim.ir.collective import Collective

SWITCH = {"kind": "switch", "devices": 8, "bandwidth": "100 GB/s", "latency": "2 us"}
RATE, WAY_PS = 100e9, 2_000_000


def fabric(**spec):
    cls = links.get(spec["kind"])
    return cls("net", cls.Spec.model_validate(spec)).fabric()


def collective(pattern, devices=8, size=1_000_003, **more):
    return Collective(pattern, "tensor", devices, size, **more)


def run(net, what, options=None):
    return exchange(net, what, (tuple(range(what.devices)),), options)


POWERS_OF_TWO = {("halving_doubling", "all_gather"), ("halving_doubling", "reduce_scatter")}
ON_A_SWITCH = [
    (kind, pattern, devices)
    for kind, cls in algorithms.items()
    for pattern in cls.PATTERNS
    for devices in ((2,) if pattern == "send" else (3, 8, 13))
    if kind not in ("bucket", "hierarchical")
    and (devices == 8 or (kind, pattern) not in POWERS_OF_TWO)
]


@pytest.mark.parametrize(("kind", "pattern", "devices"), ON_A_SWITCH)
@pytest.mark.parametrize("blocks", [1, 14_001])
def test_on_an_idle_switch_an_algorithm_takes_its_closed_form(kind, pattern, devices, blocks):
    net = fabric(**SWITCH | {"devices": devices, "reduces": True})
    more = 0 if kind == "bruck" else 5  # of bruck where blocks are alike
    what = collective(pattern, devices, devices * blocks + more, algorithm=kind)
    found = run(net, what)
    want = algorithms.get(kind)().closed_form_ps(what, WAY_PS, RATE)
    assert found.time_ps == pytest.approx(want, abs=found.rounds + 1)


@pytest.mark.parametrize("pattern", ["all_reduce", "all_gather", "reduce_scatter"])
@pytest.mark.parametrize("dims", [(4,), (3, 3), (4, 4, 4)])
def test_on_an_idle_torus_the_bucket_uses_every_link_all_the_time(pattern, dims):
    net = fabric(kind="torus", dims=dims, bandwidth="100 GB/s", latency="2 us")
    n, parts = int(np.prod(dims)), 2 * len(dims)
    what = collective(pattern, n, n * parts * 1000, algorithm="bucket")
    found = run(net, what)
    want = algorithms.get("bucket")().closed_form_ps(what, WAY_PS, RATE, dims)
    assert found.time_ps == pytest.approx(want, abs=found.rounds + 1)
    assert len(set(found.link_bytes.tolist())) == 1
    lower = what.lower_bound_bytes() / (parts * RATE) * PS_PER_S
    assert found.transfer_ps == pytest.approx(lower, rel=1e-6)


@pytest.mark.parametrize("pattern", ["all_reduce", "all_gather", "reduce_scatter"])
@pytest.mark.parametrize("dims", [(8, 4), (4, 16), (6, 3), (8, 4, 4), (3, 4, 5)])
def test_on_an_uneven_torus_all_dimensions_end_a_phase_together(pattern, dims):
    net = fabric(kind="torus", dims=dims, bandwidth="100 GB/s", latency="2 us")
    n = int(np.prod(dims))
    what = collective(pattern, n, n << 20, algorithm="bucket")
    found = run(net, what)
    want = algorithms.get("bucket")().closed_form_ps(what, WAY_PS, RATE, dims)
    assert found.time_ps == pytest.approx(want, rel=1e-3)
    lower = what.lower_bound_bytes() / (2 * len(dims) * RATE) * PS_PER_S
    assert lower < found.transfer_ps < 1.17 * lower


def test_where_an_extent_is_two_the_bucket_beats_a_ring_of_neighbours():
    net = fabric(kind="torus", dims=(4, 2), bandwidth="100 GB/s", latency="2 us")
    what = collective("all_reduce", 8, 16 << 20)
    found = run(net, what)
    both_ways_ps = 14 * (WAY_PS + what.size_bytes / 8 / 2 / RATE * PS_PER_S)
    assert found.algorithm == "bucket"
    assert found.time_ps < 0.75 * both_ways_ps


@pytest.mark.parametrize("pattern", ["all_reduce", "all_gather", "reduce_scatter"])
def test_levels_that_are_alike_take_the_ring_of_each(pattern):
    level = SWITCH | {"devices": 4}
    net = fabric(kind="hierarchical", levels=(level, level | {"devices": 3}))
    what = collective(pattern, 12, 12_000_000, algorithm="hierarchical")
    found = run(net, what)
    want = algorithms.get("hierarchical")().closed_form_ps(what, WAY_PS, RATE, (4, 3))
    assert found.time_ps == pytest.approx(want, abs=found.rounds + 1)


def test_a_narrow_outer_level_carries_a_share_of_the_buffer_only():
    outer = {"kind": "switch", "devices": 2, "bandwidth": "1 GB/s", "latency": "2 us"}
    net = fabric(kind="hierarchical", levels=(SWITCH, outer))
    found = {
        kind: run(net, collective("all_reduce", 16, 1 << 24, algorithm=kind))
        for kind in ("hierarchical", "ring")
    }
    assert found["hierarchical"].time_ps * 4 < found["ring"].time_ps
    far = net.level == 1
    assert found["hierarchical"].link_bytes[far].max() == (1 << 24) // 8


def test_direct_uses_all_links_of_a_full_network_at_once():
    net = fabric(kind="fully_connected", devices=4, bandwidth="100 GB/s", latency="2 us")
    found = run(net, collective("all_gather", 4, 400_000, algorithm="direct"))
    assert found.time_ps == WAY_PS + 1_000_000


def test_the_fastest_algorithm_is_taken_and_the_others_are_named():
    short, long = (run(fabric(**SWITCH), collective("broadcast", 8, n)) for n in (64, 1 << 30))
    assert (short.algorithm, long.algorithm) == ("direct", "tree")
    assert short.reason == "direct: 2 us, ring 14 us, scatter_gather 4 us, tree 6 us"
    forced = run(fabric(**SWITCH), collective("broadcast", 8, 64, algorithm="tree"))
    assert forced.reason == "tree: 6 us, as the workload says"
    options = CollectiveOptions(algorithms={"broadcast": "tree"})
    named = run(fabric(**SWITCH), collective("broadcast", 8, 64), options)
    assert named.reason == "tree: 6 us, as the network's description says"
    several = CollectiveOptions(algorithms={"all_reduce": ("ring", "tree")})
    assert run(fabric(**SWITCH), collective("all_reduce", 8, 800), several).algorithm == "tree"
    assert run(fabric(**SWITCH), collective("gather")).reason.endswith("the only one that fits")


def test_overheads_are_paid_once_and_for_each_message_of_a_device():
    plain = run(fabric(**SWITCH), collective("all_reduce", algorithm="ring"))
    options = CollectiveOptions.model_validate({"launch": "10 us", "step": "0.5 us"})
    costly = run(fabric(**SWITCH), collective("all_reduce", algorithm="ring"), options)
    assert costly.time_ps - plain.time_ps == costly.overhead_ps == 10_000_000 + 14 * 500_000
    direct = run(fabric(**SWITCH), collective("all_to_all", algorithm="direct"), options)
    assert direct.overhead_ps == 10_000_000 + 7 * 500_000


def test_the_faster_of_two_protocols_is_taken():
    low, high = {"efficiency": 0.25}, {"efficiency": 0.8, "setup": "20 us"}
    options = CollectiveOptions.model_validate({"low": low, "high": high})
    for size in (1000, 1 << 30):
        what = collective("all_gather", size=size, algorithm="ring")
        bare = run(fabric(**SWITCH), what).transfer_ps
        found = run(fabric(**SWITCH), what, options).transfer_ps
        assert found == min(round(bare / 0.25), 20_000_000 + round(bare / 0.8))
    only = {"protocols": {"all_gather": {"launch": "1 us"}}, "launch": "3 us"}
    options = CollectiveOptions.model_validate(only)
    for pattern, launch_ps in (("all_gather", 1_000_000), ("all_to_all", 3_000_000)):
        assert run(fabric(**SWITCH), collective(pattern), options).overhead_ps == launch_ps


def test_a_switch_that_adds_up_halves_a_long_all_reduce():
    what = collective("all_reduce", size=1 << 30)
    plain = run(fabric(**SWITCH), what)
    adding = run(fabric(**SWITCH | {"reduces": True}), what)
    assert adding.algorithm == "switched"
    assert adding.transfer_ps * 7 == pytest.approx(plain.transfer_ps * 4, rel=1e-6)
    assert (adding.link_bytes == 1 << 30).all()
    protocol = {"switched": {"efficiency": 0.5, "setup": "9 us"}}
    slow = run(fabric(**SWITCH | {"reduces": True}), collective("all_reduce", algorithm="switched"),
               CollectiveOptions.model_validate(protocol))  # fmt: skip
    bare = run(fabric(**SWITCH | {"reduces": True}), collective("all_reduce", algorithm="switched"))
    assert slow.transfer_ps == 9_000_000 + 2 * bare.transfer_ps


def test_groups_that_share_links_take_longer_and_those_that_do_not_take_as_long():
    line = fabric(kind="mesh", dims=(8,), bandwidth="100 GB/s", latency="0 us")
    what = collective("all_gather", 2, 1 << 20, algorithm="ring")
    near = exchange(line, what, ((0, 1), (2, 3), (4, 5), (6, 7)))
    apart = exchange(line, what, ((0, 4), (1, 5), (2, 6), (3, 7)))
    assert near.time_ps == exchange(line, what, ((0, 1),)).time_ps
    assert apart.time_ps == 4 * near.time_ps
    assert apart.sent_bytes == near.sent_bytes == 4 << 20
    assert apart.link_bytes.sum() == 4 * near.link_bytes.sum()


def test_both_directions_of_a_wire_that_they_share_take_turns():
    spec = {"kind": "mesh", "dims": (2,), "bandwidth": "100 GB/s", "latency": "0 us"}
    what = collective("all_gather", 2, 2_000_000, algorithm="ring")
    full, half = (run(fabric(**spec, duplex=duplex), what) for duplex in ("full", "half"))
    assert half.time_ps == 2 * full.time_ps


def test_energy_is_that_of_bytes_over_each_link():
    net = fabric(**SWITCH, energy="2 pJ/bit")
    found = run(net, collective("all_gather", 8, 8000, algorithm="ring"))
    assert found.sent_bytes == 7 * 8000
    assert found.link_bytes.sum() == 2 * found.sent_bytes
    assert found.energy_pj == found.link_bytes.sum() * 8 * 2.0


def test_one_device_a_receive_and_an_empty_buffer_take_nothing():
    net = fabric(**SWITCH)
    for what, groups, reason in (
        (collective("all_reduce", 1), ((3,),), "one device has nothing to exchange"),
        (collective("receive", 2), ((0, 1),), "counted where it is sent"),
        (collective("all_gather", 2, 0), ((0, 1),), "there are no bytes to exchange"),
    ):
        found = exchange(net, what, groups)
        assert (found.time_ps, found.sent_bytes, found.algorithm) == (0, 0, "none")
        assert found.reason == reason
        assert not found.link_bytes.any()


def test_a_send_in_a_longer_group_goes_from_each_device_to_the_one_so_far_on():
    assert neighbours(((4, 5, 6),), -1) == ((4, 6), (5, 4), (6, 5))
    assert neighbours(((0, 2, 4), (1, 3, 5)), 1, {2, 3}) == ((2, 4), (3, 5))
    ring = fabric(kind="ring", devices=4, bandwidth="100 GB/s", latency="1 us")
    found = exchange(ring, collective("send", 2, 100_000, peer=1), ((0, 1, 2, 3),))
    assert found.time_ps == 2_000_000
    assert found.sent_bytes == 400_000


def test_four_thousand_devices_are_priced_without_a_loop_over_steps():
    net = fabric(**SWITCH | {"devices": 4096})
    found = run(net, collective("all_reduce", 4096, 1 << 30, algorithm="ring"))
    assert found.rounds == 2 * 4095
    assert found.sent_bytes == 2 * 4095 << 30
    assert run(net, collective("all_to_all", 4096, 1 << 20)).algorithm == "bruck"


def test_a_tree_has_more_parts_the_less_a_step_costs():
    options = [CollectiveOptions.model_validate({"step": f"{us} us"}) for us in (0, 1, 50)]
    what = collective("all_reduce", 13, 1 << 26, algorithm="tree")
    net = fabric(**SWITCH | {"devices": 13, "latency": "0 us"})
    rounds = [run(net, what, option).rounds for option in options]
    assert rounds[0] > MOST_PARTS
    assert rounds == sorted(rounds, reverse=True)
    assert len(set(rounds)) == 3
