"""Do units of a fabric cost what their cells and lanes take?"""

import numpy as np
import pytest

from archsim.components.spatial_pipeline import SpatialPipeline
from archsim.core.errors import InputError
from archsim.core.yamlio import load_spec
from archsim.ir.op import Access, Kind, Op
from archsim.ir.target import Tiles
from archsim.testing.contracts import EngineContract


def fabric(**more):
    data = SpatialPipeline.example() | more
    return SpatialPipeline("fabric", load_spec(data, SpatialPipeline.Spec)[0], 1e9)


def tiles(stationary, b, m, n, k):
    sizes = (np.array([x], dtype=np.int64) for x in (b, m, n, k))
    no = np.zeros(1, dtype=bool)
    return Tiles(stationary, *sizes, first=no, resumed=no, opens=~no, closes=~no)


class TestSpatialPipeline(EngineContract):
    plugin = SpatialPipeline


@pytest.mark.parametrize(
    ("stationary", "size", "cycles"),
    [
        # 64 folds of 8 x 4 on 16 units: 4 each, a beat a row of the stream
        ("weight", (1, 100, 32, 64), 4 * 100),
        # a short stream waits for the next tile to load: 8 rows
        ("weight", (1, 1, 32, 64), 4 * 8),
        # the stream is cut where there are fewer folds than units: 2 folds, 8 copies each
        ("weight", (1, 800, 4, 16), 100),
        ("input", (1, 4, 100, 64), 50),
        ("output", (1, 64, 32, 50), 4 * 50),
        ("output", (3, 64, 32, 50), 12 * 50),
    ],
)
def test_folds_are_dealt_to_units_and_take_a_beat_an_element_of_the_stream(
    stationary, size, cycles
):
    assert fabric().cost(tiles(stationary, *size), "bf16").cycles[0] == cycles


def test_a_part_of_the_fabric_is_slower_by_the_units_it_lacks():
    whole, part = fabric(), fabric().part(4)
    work = tiles("weight", 1, 100, 32, 64)
    assert part.cost(work, "bf16").cycles[0] == 4 * whole.cost(work, "bf16").cycles[0]
    assert part.macs_per_s("bf16") * 4 == whole.macs_per_s("bf16") == 16 * 32 * 1e9


def test_no_tile_is_faster_than_its_cells():
    for stationary in ("weight", "input", "output"):
        for size in ((1, 7, 13, 5), (3, 1, 999, 4096), (2, 64, 64, 64)):
            cycles = int(fabric().cost(tiles(stationary, *size), "bf16").cycles[0])
            assert cycles * 16 * 8 * 4 >= np.prod(size)


def test_other_primitives_run_on_the_lanes_of_every_unit():
    op = Op("a", Kind.VECTOR, "activation", {"M": 10, "N": 100}, (Access("x"),), (Access("y"),),
            primitives={"add": 1, "exp": 1})  # fmt: skip
    engine = fabric(cycles_per_primitive={"exp": 4})
    points, rows = np.array([1000]), np.array([10])
    assert engine.cycles(*engine.lane_cycles(op), points, rows)[0] == -(-1000 * 5 // (16 * 8))


def test_who_launches_decides_what_a_launch_takes():
    times = {"host_launch": "20 us", "hardware_launch": "3 us"}
    assert fabric(**times).launch_s == pytest.approx(20e-6)
    assert fabric(**times, orchestration="hardware").launch_s == pytest.approx(3e-6)


def test_the_launch_of_other_engines_is_refused():
    with pytest.raises(InputError) as caught:
        fabric(launch="1 us")
    assert "launched by the host or by itself: launch has no effect" in str(caught.value.render())
