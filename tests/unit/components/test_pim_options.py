"""Do options of engines inside a memory, and routines of their companions, cost what they say?"""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from archsim.components.bank_pim import BankPim
from archsim.components.pim_companion import PimCompanion
from archsim.core.errors import InputError
from archsim.core.yamlio import load_spec
from archsim.ir.op import Kind, Op
from archsim.ir.pim import Product
from archsim.ir.problem import Extents
from archsim.memory.dram import Dram


def bank(channels=32, controller=None, **fields):
    memory = {"kind": "dram", "standard": "GDDR6_AiM_1ch", "stacks": channels}
    memory |= {"controller": {"refresh": controller}} if controller else {}
    data = {"kind": "bank_pim", "inside": "dram", "lanes": 16, **fields}
    made = BankPim("pim", load_spec(data, BankPim.Spec)[0], 1e9)
    made.bind(Dram("dram", load_spec(memory, Dram.Spec)[0], 1e9))
    return made


def gemv(n=4096, k=4096, b=1, dealt=False):
    return Product((Extents(b, 1, n, k),), 16, 16, 16, "interleaved", dealt)


def companion(**fields):
    data = {"kind": "pim_companion", "units": {"add": 16}, **fields}
    return PimCompanion("aux", load_spec(data, PimCompanion.Spec)[0], 2e9)


def softmax(rows=32, length=512):
    return Op("s", Kind.VECTOR, "softmax", {"M": rows, "N": length}, (), (),
              primitives={"exp": 1}, row_primitives={"div": 1})  # fmt: skip


def test_a_row_of_a_bank_takes_98_ticks_and_two_for_each_of_its_columns():
    few, more = (bank(1, "none").product(gemv(n, 2048)) for n in (16 * 8, 16 * 9))
    assert more.banks_ps - few.banks_ps == (2 * (98 + 2 * 64) + 2 + 3) * 500  # a bias, a result
    assert more.activates - few.activates == 2 * 16


def test_refresh_takes_its_share_unless_the_controller_issues_none():
    on, off = (bank(controller=how).product(gemv()) for how in ("all_bank", "none"))
    assert on.waits_ps["refresh"] > 0 == off.waits_ps["refresh"]
    assert 1.05 < on.banks_ps / off.banks_ps < 1.15


def test_sums_of_a_cache_that_are_not_held_wait_for_a_change_of_mode_each():
    keys = gemv(2304, 128, b=32, dealt=True)
    held, alone = bank(controller="none"), bank(controller="none", cache_results=1)
    more = alone.product(keys).waits_ps["mode"] - held.product(keys).waits_ps["mode"]
    keys_of_a_bank, in_a_row = 2304 // 16, 8
    turns = keys_of_a_bank - keys_of_a_bank // in_a_row
    assert more == turns * 2 * 32 * 500
    assert alone.product(gemv()) == held.product(gemv())


def test_values_that_lie_in_one_channel_each_leave_the_others_idle():
    spread, whole = gemv(128, 2304, b=8, dealt=True), bank(controller="none")
    one = replace(spread, over=1)
    assert whole.product(one).banks_ps > 3 * whole.product(spread).banks_ps
    assert whole.product(replace(one, cases=(Extents(32, 1, 128, 2304),))).banks_ps == (
        whole.product(one).banks_ps
    )


def test_channels_in_lockstep_repeat_the_busiest_and_take_no_longer():
    apart, alike = bank(), bank(lockstep=True)
    few = gemv(256)  # outputs for half of the banks
    one, all_ = apart.product(few), alike.product(few)
    assert all_.banks_ps == one.banks_ps
    assert (all_.activates, all_.read_bytes) == (2 * one.activates, 2 * one.read_bytes)
    assert alike.product(gemv()) == apart.product(gemv())


def test_static_power_is_that_of_every_stack_where_it_is_stated():
    spec = {"kind": "dram", "standard": "GDDR6_AiM_1ch", "stacks": 8, "standby": "0.25 W"}
    made = Dram("dram", load_spec(spec, Dram.Spec)[0], 1e9)
    assert made.leakage_w(None) == 2.0


def test_a_routine_stands_in_place_of_primitives_and_its_passes_cross_the_port():
    routine = {"points": 512, "cycles": 110, "row_cycles": 18.25, "row_time": "5 ns", "passes": 6}
    made = companion(port=16, routines={"softmax": routine})
    point, row = made.lane_cycles(softmax())
    assert point == Fraction(110, 512) + Fraction(6, 16)
    assert row == Fraction(73, 4) + 10
    assert made.can_run(softmax())
    assert not companion().can_run(softmax())
    tile = made.cycles(point, row, np.array([32 * 512]), np.array([32]))
    assert tile[0] == 32 * 110 + 32 * 512 * 6 // 16 + 32 * 28.25


def test_passes_need_a_port():
    with pytest.raises(InputError, match="softmax passes a port, and there is none"):
        companion(routines={"softmax": {"passes": 1}})
