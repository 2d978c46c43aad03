"""Do traffic patterns send where the literature says, and traces what their lines say?"""

from __future__ import annotations

from pathlib import Path

import pytest

from archsim.interconnect.flit_fields import NEVER
from archsim.interconnect.traffic import pattern
from archsim.interconnect.traffic_trace import read_packets, replayed

DIMS = (8, 8)


def targets(name: str) -> tuple[int, ...]:
    return pattern(name, 64, DIMS).targets


def test_transpose_swaps_row_and_column() -> None:
    assert all(to == node % 8 * 8 + node // 8 for node, to in enumerate(targets("transpose")))


def test_bitcomp_is_the_opposite_corner() -> None:
    assert all(to == 63 - node for node, to in enumerate(targets("bitcomp")))


def test_neighbour_goes_one_up_in_every_dimension() -> None:
    found = targets("neighbour")
    assert (found[0], found[7], found[63]) == (9, 8, 0)


def test_tornado_goes_almost_half_way_round() -> None:
    found = targets("tornado")
    assert (found[0], found[5 + 8 * 6]) == (3 + 8 * 3, 0 + 8 * 1)


@pytest.mark.parametrize("name", ["transpose", "bitcomp", "neighbour", "tornado"])
def test_permutations_reach_every_node(name: str) -> None:
    assert sorted(targets(name)) == list(range(64))


def test_extents_may_differ() -> None:
    assert pattern("neighbour", 6, (3, 2)).targets == (4, 5, 3, 1, 2, 0)


def test_a_trace_is_read_in_the_order_of_its_cycles(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("cycle,src,dst,flits\n# note\n9,1,0,2\n\n3,1,2,1 # late\n3,0,1,4\n")
    found = read_packets(file, 4)
    assert found == [(3, 1, 2, 1), (3, 0, 1, 4), (9, 1, 0, 2)]
    laid = replayed(found, 4)
    assert laid.first == (3, 3, NEVER, NEVER)
    at = laid.entry[1]
    assert laid.trace[at : at + 6] == (2, 1, 9, 0, 2, NEVER)
