"""Do the cycles, counts and area of arrays that take weights by their bits follow closed forms?"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.api import place_only
from archsim.components.bit_serial_array import BitSerialArray
from archsim.core.errors import InputError
from archsim.energy.table import load_table
from archsim.ir.target import Tiles
from archsim.ir.tensor import DTYPES, block_format

EXTENT = st.integers(1, 300)


def array(**fields):
    spec = BitSerialArray.Spec.model_validate({"rows": 32, "cols": 32, **fields})
    return BitSerialArray("array", spec, 1e9)


def tiles(b=1, m=1, n=1, k=1):
    shape = {rank: np.array([size]) for rank, size in zip("bmnk", (b, m, n, k), strict=True)}
    no = np.array([False])
    return Tiles("output", **shape, first=no, resumed=no, opens=~no, closes=~no)


def weight(bits):
    return block_format(bits, 128, 1, "fp16")


@pytest.mark.parametrize(
    ("bits", "cycles"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3), (8, 4)]
)
def test_a_dot_product_takes_a_cycle_for_every_two_bits(bits, cycles):
    cost = array().cost_of(tiles(m=32, n=32, k=4), weight(bits))
    assert cost.cycles.tolist() == [cycles]


def test_units_that_take_all_bits_at_once_are_plain_multipliers():
    plain = array(rows=32, cols=24, width=1, bits_per_cycle=16, max_bits=16)
    cost = plain.cost(tiles(m=256, n=4096, k=4096), "fp16")
    assert cost.cycles.tolist() == [4096 * 128 * 11]  # 11 blocks of 24 tokens


@given(EXTENT, EXTENT, EXTENT, EXTENT, st.integers(1, 8), st.integers(1, 8), st.integers(1, 4))
def test_cycles_are_blocks_of_outputs_times_steps(b, m, n, k, bits, width, count):
    got = array(width=width, count=count).cost_of(tiles(b, m, n, k), weight(bits))
    blocks = b * -(-m // 32) * -(-n // 32)
    steps = -(-k // width) * -(-bits // 2)
    assert got.cycles.tolist() == [-(-blocks // count) * steps]
    assert got.in_reads.tolist() == [b * m * k * -(-n // 32)]
    assert got.weight_reads.tolist() == [b * k * n * -(-m // 32)]
    assert got.out_writes.tolist() == [b * m * n]


@given(EXTENT, EXTENT, EXTENT, st.integers(1, 8))
def test_it_is_never_faster_than_its_peak(m, n, k, bits):
    engine, form = array(also=((64, 16),)), weight(bits)
    cycles = int(engine.cost_of(tiles(m=m, n=n, k=k), form).cycles[0])
    assert cycles >= m * n * k * 1e9 / engine.peak(form) * (1 - 1e-12)


@given(EXTENT, EXTENT, EXTENT)
def test_units_are_arranged_as_is_fastest(m, n, k):
    either = array(also=((64, 16),)).cost_of(tiles(m=m, n=n, k=k), weight(4)).cycles
    one, two = (
        array(rows=r, cols=c).cost_of(tiles(m=m, n=n, k=k), weight(4)).cycles
        for r, c in ((32, 32), (64, 16))
    )
    assert either.tolist() == np.minimum(one, two).tolist()


def test_all_units_are_clocked_while_a_tile_runs():
    work = array().work({"b": 1, "m": 1, "n": 32, "k": 8}, weight(3))
    assert work == {"mac.in_pe.fp16": 256, "pe.bit_serial": 2 * 2 * 1024}


def test_it_takes_any_weight_up_to_its_widest_and_computes_in_its_types():
    engine = array(max_bits=6)
    assert engine.takes(weight(6))
    assert not engine.takes(weight(7))
    assert not engine.takes(DTYPES["mxfp8"])  # computes in fp8
    assert engine.peak(weight(7)) == 0


def test_tiles_have_their_whole_reduction_and_room_for_each_operand():
    limits = array(operands={"in": "512 KiB"}).limits
    assert limits == {"whole_k": True, "operand_bytes": {"in": 512 * 1024}}


def test_its_area_is_that_of_its_units():
    table = load_table("45nm").at(28)
    each = table.area("pe", "bit_serial").mm2
    assert each * 1e6 == pytest.approx(1507.7 * 1.5, rel=1e-5)  # scaled there and back
    assert array().area_mm2(table) == pytest.approx(1024 * each)


def test_units_of_a_synthesised_column_have_its_area_and_no_faster_clock():
    spec = BitSerialArray.Spec.model_validate(
        {"rows": 8, "cols": 8, "width": 1, "pe": "opt4c-pe-column-n32-1000mhz"}
    )
    table = load_table("45nm").at(32)
    area = BitSerialArray("a", spec, 1e9).area_mm2(table)
    assert area == pytest.approx(64 * 35820e-6 / 32)
    with pytest.raises(InputError) as caught:
        BitSerialArray("a", spec, 1.2e9)
    assert caught.value.details["path"] == "engines.a.pe"


@pytest.mark.parametrize(
    ("m", "lies"), [(1, ("n", 64, "m", 1)), (16, ("n", 64, "m", 16)), (32, ("n", 32, "m", 32))]
)
def test_what_lies_on_its_units_is_that_of_the_arrangement_a_tile_takes(m, lies):
    units = array(also=((64, 16),))
    rows, cols, stream = units.lies({"b": 1, "m": m, "n": 128, "k": 4096}, weight(4))
    assert (rows.rank, rows.tile, cols.rank, cols.tile) == lies
    assert (rows.at, cols.at, stream.rank, stream.spatial) == ("rows", "cols", "k", False)


def test_a_printed_nest_has_output_channels_over_rows():
    work = {"schema": "archsim.workload/1", "name": "w",
            "model": {"layers": [{"name": "fc", "m": 1, "n": 256, "k": 4096}]}}  # fmt: skip
    (block,) = place_only("bitmod", work).blocks
    text = block.stages[0].mapping.render()
    assert "spatial n over rows: 64\n" in text
    assert "spatial m over cols: 1\n" in text


@pytest.mark.parametrize("name", ["mxfp4", "mxfp6", "mxfp8", "nvfp4", "ternary", "int4g128", "fp8"])
@pytest.mark.parametrize("types", [("fp16",), ("bf16",), ("fp16", "int8")])
def test_a_weight_narrower_than_its_types_comes_in_any_form(name, types):
    form = DTYPES[name]
    assert array(types=types).takes(form)
    assert not array(types=types, max_bits=form.bits - 1).takes(form)
    assert array(types=types).peak(form) == 32 * 32 * 4 * 1e9 / math.ceil(form.bits / 2)


def test_a_float_as_wide_as_its_types_has_to_be_one_of_them():
    units = array(types=("fp16",), max_bits=32)
    assert [units.takes(DTYPES[name]) for name in ("fp16", "bf16", "fp32")] == [True, False, False]
