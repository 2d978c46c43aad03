"""Do synthesised arrays give a machine their area and clock, and come back from what is shown?"""

import pytest

from archsim.cli._portray import machine
from archsim.components.systolic_array import SystolicArray
from archsim.core.errors import InputError
from archsim.energy.pe_arrays import design, designs
from archsim.energy.table import load_table

OS = "opt1-os-systolic-16x16-322mhz"


def array(clock_hz, **fields):
    spec = SystolicArray.Spec.model_validate(
        {"rows": 16, "cols": 16, "rates": {"int8": 1}, "pe": OS, **fields}
    )
    return SystolicArray("array", spec, clock_hz)


def test_every_row_of_the_table_is_a_design():
    assert len(designs()) == 24
    assert {d.style for d in designs().values()} == {
        "OS systolic", "WS systolic", "3D cube", "mul-tree WS", "PE column",
    }  # fmt: skip
    cells = {name: d.cells for name, d in designs().items()}
    assert cells[OS] == 256
    assert cells["mac-3d-cube-8x8x8-154mhz"] == 512
    assert cells["opt2-mul-tree-ws-k16xn32-666mhz"] == 512
    assert cells["opt4c-pe-column-n16-1000mhz"] == 16


def test_every_design_runs_at_the_clock_it_was_synthesised_for():
    for name, found in designs().items():
        assert design(name, found.clock_hz, "a", serial=found.serial) is found


def test_an_array_of_the_same_size_at_the_same_node_has_the_area_of_its_design():
    table = load_table("45nm").at(32)
    assert array(3e8).area_mm2(table) == pytest.approx(0.575546)
    assert array(3e8, count=4).area_mm2(table) == pytest.approx(4 * 0.575546)


@pytest.mark.parametrize(
    ("field", "value", "clock", "message"),
    [
        ("pe", OS, 4e8, f"{OS} has a path of 3.04 ns, too long for a clock of 400 MHz"),
        ("pe", "opt4c-pe-column-n32-714mhz", 3e8,
         "cells of opt4c-pe-column-n32-714mhz take a weight digit by digit"),
    ],
)  # fmt: skip
def test_a_clock_beyond_the_delay_and_cells_of_another_way_are_refused(
    field, value, clock, message
):
    with pytest.raises(InputError) as caught:
        array(clock, **{field: value})
    assert caught.value.message == message
    assert caught.value.details["path"] == "engines.array.pe"


def test_cells_of_int8_are_refused_beside_other_rates():
    with pytest.raises(ValueError, match=f"cells of {OS} multiply int8, and rates are bf16"):
        array(3e8, rates={"bf16": 1})


def test_area_efficiency_comes_back_from_what_is_shown():
    changes = [f"engines.array.pe={OS}", "engines.array.rates={int8: 1}", "engines.array.rows=16",
               "engines.array.cols=16", "clocks.core=322 MHz", "energy.node_nm=32"]  # fmt: skip
    found, _ = machine("scalesim-128", changes, [])
    assert found["flop_per_s_mm2"] == {
        "array": {"int8": pytest.approx(2 * designs()[OS].macs_per_s_mm2)}
    }


def test_ratios_of_area_efficiency_that_the_table_gives():
    """At the fastest clocks of each kind, nets included; the paper's are of another library."""
    best = {
        (d.name.split("-")[0], d.style): max(
            e.macs_per_s_mm2 for e in designs().values()
            if (e.name.split("-")[0], e.style) == (d.name.split("-")[0], d.style)
        )
        for d in designs().values()
    }  # fmt: skip
    ratios = {
        s: best["opt1", s] / best["mac", s] for s in ("OS systolic", "WS systolic", "3D cube")
    }
    assert ratios == {
        "OS systolic": pytest.approx(2.164, abs=1e-3),
        "WS systolic": pytest.approx(1.319, abs=1e-3),
        "3D cube": pytest.approx(1.417, abs=1e-3),
    }
    assert not any(
        design_ == "mac" for design_, style in best if style in ("mul-tree WS", "PE column")
    )
