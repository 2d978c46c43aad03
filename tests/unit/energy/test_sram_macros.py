"""Is a macro CACTI's own where CACTI ran, and reasonable where it did not?"""

import csv
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.energy.scaling import area_factor, energy_factor
from archsim.energy.sram import TABLE, macro, sizes
from archsim.energy.table import load_table

KIB, MIB = 1 << 10, 1 << 20
NODES = st.sampled_from([7, 16, 22, 28, 32, 45, 65])
WIDTHS = st.integers(8, 4096)
PORTS = st.sampled_from([(64, 128), (128, 256), (256, 512)])
CAPACITIES = st.integers(64, 256 * MIB)


def figures(one):
    return one.read_pj, one.write_pj, one.area_mm2, one.leakage_w


@pytest.mark.parametrize(
    ("node_nm", "width_bits", "capacity_bytes", "read_pj", "write_pj", "area_mm2", "leakage_w"),
    [  # printed by CACTI 7: plain RAM, itrs-hp, 360 K, one port
        (32, 64, 64 * KIB, 12.0341, 8.1665, 0.105779, 35.9544e-3),
        (32, 128, 1 * MIB, 58.9416, 55.3536, 1.740717, 571.497e-3),
        (65, 128, 16 * KIB, 15.4237, 34.3802, 0.105834, 21.9933e-3),
        (65, 512, 1 * MIB, 571.424, 660.756, 8.249071, 1126.07e-3),
    ],
)
def test_a_macro_that_cacti_ran_has_its_figures(
    node_nm, width_bits, capacity_bytes, read_pj, write_pj, area_mm2, leakage_w
):
    got = figures(macro(capacity_bytes, width_bits, node_nm))
    assert got == pytest.approx((read_pj, write_pj, area_mm2, leakage_w), rel=1e-12)


def test_every_point_of_the_table_is_returned_as_cacti_printed_it():
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    rows = [{key: float(x) for key, x in row.items()} for row in csv.DictReader(lines)]
    assert {row["node_nm"] for row in rows} == {22, 32, 45, 65}
    for row in rows:
        got = macro(row["capacity_bytes"], int(row["width_bits"]), int(row["node_nm"]))
        want = row["read_pj"], row["write_pj"], row["area_mm2"], row["leakage_mw"] * 1e-3
        assert figures(got) == pytest.approx(want, rel=1e-12)
        assert got.source == f"CACTI 7, plain RAM, itrs-hp, one port, {row['node_nm']:.0f} nm"


def test_halfway_between_two_sizes_lies_their_geometric_mean():
    small, half, large = (macro(size, 128, 32) for size in (256 * KIB, 512 * KIB, 1 * MIB))
    for low, mid, high in zip(figures(small), figures(half), figures(large), strict=True):
        assert mid**2 == pytest.approx(low * high)


def test_halfway_between_two_ports_lies_their_geometric_mean():
    narrow, half, wide = (macro(256 * KIB, width, 45) for width in (64, 64 * 2**0.5, 128))
    for low, mid, high in zip(figures(narrow), figures(half), figures(wide), strict=True):
        assert mid**2 == pytest.approx(low * high)


def test_beyond_the_largest_size_energy_keeps_its_slope_and_area_its_density():
    # the 64-bit port at 32 nm ends at 1 MiB; each further factor of 4 costs what the last one did
    quarter, end, beyond = (macro(size, 64, 32) for size in (256 * KIB, 1 * MIB, 4 * MIB))
    assert beyond.read_pj / end.read_pj == pytest.approx(end.read_pj / quarter.read_pj)
    assert beyond.write_pj / end.write_pj == pytest.approx(end.write_pj / quarter.write_pj)
    assert beyond.area_mm2 == pytest.approx(4 * end.area_mm2)
    assert beyond.leakage_w == pytest.approx(4 * end.leakage_w)


def test_below_the_smallest_size_an_access_costs_the_same_and_area_shrinks():
    end, below = macro(1 * KIB, 64, 45), macro(256, 64, 45)
    assert (below.read_pj, below.write_pj) == (end.read_pj, end.write_pj)
    assert below.area_mm2 == pytest.approx(end.area_mm2 / 4)


def test_a_port_twice_the_widest_costs_twice_the_access():
    one, two = macro(1 * MIB, 512, 45), macro(1 * MIB, 1024, 45)
    assert two.read_pj == 2 * one.read_pj
    assert two.area_mm2 == one.area_mm2


def test_a_byte_through_a_port_narrower_than_the_narrowest_pays_for_all_of_it():
    assert figures(macro(64 * KIB, 8, 45)) == figures(macro(64 * KIB, 64, 45))
    byte = load_table("45nm").sram(64 * KIB, 8, 1).read.pj
    assert byte == macro(64 * KIB, 64, 45).read_pj


def test_another_node_is_the_nearest_one_scaled():
    at_32, at_7 = macro(1 * MIB, 128, 32), macro(1 * MIB, 128, 7)
    assert at_7.read_pj == pytest.approx(at_32.read_pj * energy_factor(32, 7))
    assert at_7.area_mm2 == pytest.approx(at_32.area_mm2 * area_factor(32, 7))
    assert at_7.source == (
        "CACTI 7, plain RAM, itrs-hp, one port, 32 nm, scaled to 7 nm (Stillmaker and Baas 2017)"
    )


@given(node=NODES, width=WIDTHS, sizes=st.lists(CAPACITIES, min_size=2, max_size=5, unique=True))
def test_a_larger_macro_is_never_cheaper_smaller_or_tighter(node, width, sizes):
    for small, large in pairwise(macro(size, width, node) for size in sorted(sizes)):
        pairs = zip(figures(small), figures(large), strict=True)
        assert all(a <= b * (1 + 1e-12) for a, b in pairs)


@given(node=NODES, size=CAPACITIES, ports=PORTS, width=st.floats(0, 1))
def test_a_port_between_two_that_cacti_ran_costs_no_more_and_no_less_than_they(
    node, size, ports, width
):
    narrow, wide = ports
    ends = [figures(macro(size, port, node)) for port in ports]
    got = figures(macro(size, narrow + round(width * (wide - narrow)), node))
    for one, other, mine in zip(*ends, got, strict=True):
        assert min(one, other) * (1 - 1e-12) <= mine <= max(one, other) * (1 + 1e-12)


def test_many_capacities_at_once_have_the_figures_that_each_has_by_itself():
    many = np.array([1000, 64 * KIB, 3 * MIB + 1, 16 * MIB, 300 * MIB])
    area, leakage = sizes(many, 96, 4, 28)
    alone = [sizes(int(one), 96, 4, 28) for one in many]
    assert list(zip(area.tolist(), leakage.tolist(), strict=True)) == alone
    assert alone[1][0] == 4 * macro(16 * KIB, 96, 28).area_mm2
