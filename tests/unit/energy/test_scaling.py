"""Are the factors between nodes those that were published, and do they act as ratios?"""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.energy.scaling import AREA, ENERGY, area_factor, energy_factor

FACTORS = pytest.mark.parametrize("factor", [energy_factor, area_factor])
NODES = st.floats(7, 130)


@pytest.mark.parametrize(
    ("node_nm", "energy", "area"),
    [
        (130, 3.0681, 6.4), (90, 1.8973, 2.8), (65, 1.2407, 1.5), (45, 1, 1), (32, 0.6593, 0.46),
        (20, 0.2211, 0.21), (16, 0.1735, 0.19), (14, 0.1388, 0.17), (10, 0.1178, 0.1),
        (7, 0.0943, 0.059),
    ],
)  # fmt: skip
def test_from_45_nm_the_factors_are_those_of_stillmaker_and_baas(node_nm, energy, area):
    assert energy_factor(45, node_nm) == pytest.approx(energy)
    assert area_factor(45, node_nm) == pytest.approx(area)


@FACTORS
@given(node=NODES)
def test_a_node_to_itself_is_one(factor, node):
    assert factor(node, node) == 1


@FACTORS
@given(one=NODES, other=NODES, third=NODES)
def test_factors_compose_and_undo_themselves(factor, one, other, third):
    assert factor(one, other) * factor(other, third) == pytest.approx(factor(one, third))
    assert factor(one, other) * factor(other, one) == pytest.approx(1)


@FACTORS
@given(nodes=st.lists(NODES, min_size=2, max_size=5))
def test_a_smaller_node_is_never_dearer_or_larger(factor, nodes):
    for small, large in pairwise(sorted(nodes)):
        assert factor(large, small) <= 1 + 1e-12


@FACTORS
def test_between_two_nodes_lies_their_geometric_mean(factor):
    middle = (10 * 14) ** 0.5
    assert factor(45, middle) ** 2 == pytest.approx(factor(45, 10) * factor(45, 14))


@FACTORS
def test_beyond_the_table_the_nearest_node_holds(factor):
    assert factor(45, 3) == factor(45, 7)
    assert factor(45, 180) == factor(45, 130)


def test_energy_and_area_know_the_same_nodes():
    assert set(ENERGY) == set(AREA)
