"""Do the cycles and counts of arrays that look products up follow closed forms?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.components.lut_array import LutArray
from archsim.energy.table import load_table
from archsim.ir.target import Tiles
from archsim.ir.tensor import DTYPES

EXTENT = st.integers(1, 300)


def array(**fields):
    spec = LutArray.Spec.model_validate({"rows": 64, "cols": 2, **fields})
    return LutArray("array", spec, 1e9)


def tiles(b=1, m=1, n=1, k=1):
    shape = {rank: np.array([size]) for rank, size in zip("bmnk", (b, m, n, k), strict=True)}
    no = np.array([False])
    return Tiles("output", **shape, first=no, resumed=no, opens=~no, closes=~no)


@pytest.mark.parametrize(
    ("name", "cycles"), [("int2", 2), ("ternary", 2), ("int4", 4), ("int8", 8)]
)
def test_a_table_is_looked_up_once_a_bit(name, cycles):
    assert array().cost(tiles(m=2, n=64, k=4), name).cycles.tolist() == [cycles]


def test_a_table_that_takes_longer_to_build_than_to_use_holds_lookups_back():
    slow = array(adders=1)  # eight entries of a table for four weights
    assert slow.cost(tiles(m=2, n=64, k=4), "int2").cycles.tolist() == [8]


@given(EXTENT, EXTENT, EXTENT, EXTENT, st.sampled_from(["int2", "int3", "int4", "int8"]),
       st.integers(1, 6), st.integers(1, 4))  # fmt: skip
def test_cycles_are_blocks_of_outputs_times_tables(b, m, n, k, name, group, count):
    got = array(group=group, count=count, adders=32).cost(tiles(b, m, n, k), name)
    blocks = b * -(-m // 2) * -(-n // 64)
    assert got.cycles.tolist() == [-(-blocks // count) * -(-k // group) * DTYPES[name].bits]


@given(EXTENT, EXTENT, EXTENT, st.sampled_from(["int2", "int4", "int8"]))
def test_it_is_never_faster_than_its_peak(m, n, k, name):
    engine = array()
    cycles = int(engine.cost(tiles(m=m, n=n, k=k), name).cycles[0])
    assert cycles >= m * n * k * 1e9 / engine.macs_per_s(name) * (1 - 1e-12)


def test_it_counts_lookups_of_work_and_tables_for_each_block_of_channels():
    work = array().work({"b": 1, "m": 3, "n": 130, "k": 9}, DTYPES["int4"])
    tables = 3 * 3  # tokens x ceil(9 / 4)
    assert work == {
        "mac.in_pe.int4": 3 * 130 * 9,
        "lut.lookup": tables * 130 * 4,
        "lut.build": tables * 3 * 8,  # three blocks of 64 channels, eight entries
    }


def test_its_area_grows_with_its_lookups_and_with_its_tables():
    table = load_table("7nm")
    lookup, entry = (table.area("lut", item).mm2 for item in ("lookup", "entry"))
    assert array().area_mm2(table) == pytest.approx(128 * lookup + 2 * (16 + 8) * entry)
    assert array(group=5).area_mm2(table) > array().area_mm2(table)
