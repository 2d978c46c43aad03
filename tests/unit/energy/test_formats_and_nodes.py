"""Has every format an energy, do narrow ones cost less, and does a table at another node scale?"""

import pytest

import archsim
from archsim.energy.scaling import area_factor, energy_factor
from archsim.energy.table import AreaSpec, load_table
from archsim.ir.tensor import DTYPES

NODES = pytest.mark.parametrize("name", ["45nm", "7nm"])
FORMATS = (
    "fp32", "tf32", "bf16", "fp16", "fp8", "fp8_e4m3", "fp8_e5m2", "fp4", "int32", "int16", "int8",
    "int4", "int3", "int2", "ternary", "mxfp4", "mxfp6", "mxfp8", "nvfp4",
)  # fmt: skip


@NODES
@pytest.mark.parametrize("form", FORMATS)
def test_every_format_that_an_array_may_have_a_rate_for_has_an_energy(name, form):
    assert form in DTYPES
    assert load_table(name).of("mac", form).pj > 0


@NODES
@pytest.mark.parametrize(
    "order",
    [("int2", "int3", "int4", "int8", "int32"), ("fp4", "mxfp6", "fp8", "fp16", "tf32", "fp32")],
)
def test_wider_formats_cost_more(name, order):
    costs = [load_table(name).of("mac", form).pj for form in order]
    assert costs == sorted(costs)
    assert len(set(costs)) == len(costs)


@NODES
def test_narrow_integers_scale_with_the_square_of_their_bits_but_for_the_add(name):
    mac = {form: load_table(name).of("mac", form).pj for form in ("int8", "int3", "int2")}
    multiply = (mac["int3"] - 3 / 8 * mac["int8"]) / (9 / 64 - 3 / 8)
    add = mac["int8"] - multiply
    assert mac["int2"] == pytest.approx(multiply / 16 + add / 4, rel=1e-3)


@NODES
@pytest.mark.parametrize(
    "order",
    [("int2", "int3", "int4", "int8", "int16", "int32"), ("fp4", "mxfp6", "fp8", "fp16", "tf32")],
)
def test_a_cell_is_as_large_as_its_largest_format(name, order):
    table = load_table(name)
    areas = [table.cell_mm2([form]) for form in order]
    assert areas == sorted(areas)
    assert table.cell_mm2(order) == areas[-1]
    assert table.cell_mm2(["bf16", "int8"]) == table.area("mac", "cell").mm2


def test_a_table_at_another_node_scales_logic_and_leaves_memories_alone():
    table, other = load_table("45nm"), load_table("45nm").at(28)
    factor = energy_factor(45, 28)
    assert other.node_nm == 28
    assert other.of("mac", "int8").pj == pytest.approx(table.of("mac", "int8").pj * factor)
    assert other.of("dram.ddr4", "read") == table.of("dram.ddr4", "read")
    grown = table.area("mac", "cell").mm2 * area_factor(45, 28)
    assert other.area("mac", "cell").mm2 == pytest.approx(grown)
    assert "scaled from 45 to 28 nm" in other.of("mac", "int8").source
    assert other.sram(2**20, 64, 8).read.pj < table.sram(2**20, 64, 8).read.pj


def test_an_area_that_a_machine_replaces_is_the_only_one_that_changes():
    table = load_table("45nm")
    row = AreaSpec.model_validate(
        {"class": "mac", "item": "cell", "value": "1 mm^2", "source": "a test",
         "accuracy": "assumed"}
    )  # fmt: skip
    other = table.with_overrides([], [row])
    assert {k for k in table.areas if table.areas[k] != other.areas[k]} == {("mac", "cell")}
    assert other.area("mac", "cell").mm2 == 1


def test_a_bit_serial_machine_pays_for_the_cycles_of_its_units_at_its_own_price():
    work = {
        "schema": "archsim.workload/1", "name": "one",
        "model": {"layers": [{"name": "a", "m": 32, "n": 32, "k": 64}]},
        "dtypes": {"weights": {"bits": 6, "group": 128, "scale_bytes": 1, "computes_as": "fp16"},
                   "activations": "fp16", "accumulators": "fp32"},
    }  # fmt: skip
    rows = archsim.run("bitmod", work, fidelity="tile", advice=False).result["energy_rows"]
    assert rows["pe.bit_serial"]["count"] == 64 // 4 * 3 * 1024
    assert rows["pe.bit_serial"]["pj"] == 0.84
    assert "mac.in_pe.fp16" not in rows
