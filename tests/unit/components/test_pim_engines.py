"""Do engines inside a memory have the rates, prices and areas that their parts add up to?"""

from fractions import Fraction

import numpy as np
import pytest

from archsim.components.bank_pim import BankPim
from archsim.components.bankgroup_pim import BankgroupPim
from archsim.components.logic_pim import LogicPim
from archsim.components.pim_companion import PimCompanion
from archsim.core.errors import InputError, Unsupported
from archsim.core.yamlio import load_spec
from archsim.energy.table import load_table
from archsim.ir.op import Kind, Op
from archsim.ir.pim import Product
from archsim.ir.problem import Extents
from archsim.memory.dram import Dram

DUPLEX_BUFFERS = "2304 KiB"  # 32 of 8 KiB and 2 of 1 MiB
STANDARDS = {
    LogicPim: "HBM3_5.2Gbps", BankgroupPim: "HBM3_5.2Gbps", BankPim: "HBM3_PIM_5.2Gbps_NPC",
}  # fmt: skip
UNITS = {LogicPim: {"macs_per_stack": 16384}, BankgroupPim: {"lanes": 64}, BankPim: {"lanes": 8}}


def engine(kind, *, standard=None, stacks=1, clock_hz=650e6, **fields):
    """An engine of Duplex, at 650 MHz, with some fields changed."""
    units = UNITS[kind] if "lanes" not in fields else {}
    data = {"kind": kind.kind, "inside": "hbm", **units, "buffer": DUPLEX_BUFFERS, **fields}
    memory = {"kind": "dram", "standard": standard or STANDARDS[kind], "stacks": stacks}
    made = kind("pim", load_spec(data, kind.Spec)[0], clock_hz)
    made.bind(Dram("hbm", load_spec(memory, Dram.Spec)[0], 1e9))
    return made


def companion(**fields):
    return PimCompanion(
        "aux", load_spec({"kind": "pim_companion", **fields}, PimCompanion.Spec)[0], 1e9
    )


def gemv(m=1, n=4096, k=16384):
    return Product((Extents(1, m, n, k),), 16, 16, 16)


def test_five_stacks_of_logic_units_have_four_times_their_bandwidth_and_eight_operations_a_byte():
    made = engine(LogicPim, stacks=5)
    assert 2 * made.macs_per_s("fp16") == 5 * 16384 * 650e6 * 2
    assert made.bytes_per_s == pytest.approx(4 * 5 * 665.6e9, rel=1e-3)
    assert 2 * made.macs_per_s("fp16") / made.bytes_per_s == pytest.approx(8, rel=1e-3)
    assert made.macs_per_s("int8") == 0


def test_units_at_banks_have_sixteen_times_the_bandwidth_and_one_operation_a_byte():
    made = engine(BankPim, stacks=5)
    assert made.bytes_per_s == pytest.approx(16 * 5 * 665.6e9, rel=1e-3)
    assert 2 * made.macs_per_s("fp16") / made.bytes_per_s == pytest.approx(1, rel=1e-3)


def test_a_channel_of_accelerators_in_memory_reads_and_computes_512_giga_a_second():
    made = engine(BankPim, standard="GDDR6_AiM", lanes=16, clock_hz=1e9)
    assert made.bytes_per_s == pytest.approx(32 * 512e9)
    assert 2 * made.macs_per_s("bf16") == 32 * 512e9


def test_narrow_operands_run_at_the_rate_of_the_narrowest_type_that_holds_them():
    both = engine(LogicPim, rates={"fp16": 1, "int8": 2}, macs_per_stack=1024)
    plain = engine(LogicPim, macs_per_stack=1024)
    narrow = Product(gemv(64).cases, 8, 8, 16)
    mixed = Product(gemv(64).cases, 4, 16, 16)
    assert 2 * both.product(narrow).bound_ps == pytest.approx(plain.product(narrow).bound_ps, abs=2)
    assert both.product(mixed).bound_ps == plain.product(mixed).bound_ps


@pytest.mark.parametrize(
    ("kind", "read_pj"), [(LogicPim, 464), (BankgroupPim, 686), (BankPim, 187)]
)
def test_an_access_of_each_path_costs_what_its_source_says(kind, read_pj):
    made = engine(kind)
    for table in (load_table("7nm"), load_table("45nm"), load_table("7nm").at(28)):
        assert made.price(table, "read").pj * 32 == pytest.approx(read_pj, rel=1e-12)
        assert made.price(table, "activate").pj == pytest.approx(909, rel=1e-12)
        assert made.price(table, "mac").pj == pytest.approx(0.46, rel=1e-12)
        assert made.price(table, "input").source


def test_the_logic_die_of_duplex_grows_by_17_80_mm2_and_its_parts_add_up():
    table = load_table("7nm")
    pim = engine(LogicPim)
    softmax = companion(
        units={"exp": 512, "add": 512, "max": 512, "mul": 512, "div": 4}, buffer="128 KiB"
    )
    bare = engine(LogicPim, buffer="1 B").built_mm2(table)
    parts = [pim.vias_mm2(table), bare, pim.built_mm2(table) - bare, softmax.area_mm2(table)]
    assert parts == pytest.approx([10.89, 3.02, 2.26, 1.64], rel=0.005)
    whole = pim.area_mm2(table) + softmax.area_mm2(table)
    assert whole == pytest.approx(sum(parts))
    assert whole == pytest.approx(17.80, rel=0.01)
    assert whole / 121 == pytest.approx(0.1471, rel=0.01)
    assert pim.area_mm2(load_table("45nm").at(28)) == pim.area_mm2(table)  # the stack's own dies
    assert engine(LogicPim, stacks=5).area_mm2(table) == pytest.approx(5 * pim.area_mm2(table))


def test_units_in_a_dram_process_are_ten_times_as_large():
    table = load_table("7nm")
    logic, group, bank = (engine(kind) for kind in (LogicPim, BankgroupPim, BankPim))
    assert group.area_mm2(table) == pytest.approx(10 * logic.built_mm2(table))
    assert bank.area_mm2(table) == pytest.approx(10 * (3.02 / 2 + 2.26), rel=1e-3)
    assert bank.leakage_w(table) == 0 < logic.leakage_w(table)


def test_a_power_cap_spreads_a_product_over_the_time_that_its_energy_asks_for():
    table = load_table("7nm")
    free, capped = engine(BankPim), engine(BankPim, power_cap="20 W")
    capped.capped(table)
    before, after = free.product(gemv()), capped.product(gemv())
    spent = before.activates * 909 + before.read_bytes * 5.84375 + gemv().macs * 0.46
    assert spent / before.banks_ps > 20
    assert after.banks_ps == pytest.approx(spent / 20, abs=1)
    assert sum(after.waits_ps.values()) == after.banks_ps
    assert after.waits_ps["power"] > 0
    assert (after.activates, after.read_bytes) == (before.activates, before.read_bytes)
    generous = engine(BankPim, power_cap="2000 W")
    generous.capped(table)
    assert generous.product(gemv()) == before


def test_half_the_vias_take_twice_as_long_to_read_a_matrix():
    whole, half = (engine(LogicPim, tsv_multiplier=n).product(gemv()) for n in (4, 2))
    assert half.waits_ps["mac"] == pytest.approx(2 * whole.waits_ps["mac"], rel=1e-2)
    rest = [
        work.banks_ps - work.waits_ps["mac"] - work.waits_ps["refresh"] for work in (whole, half)
    ]
    assert rest[0] == rest[1]
    assert sum(half.waits_ps.values()) == half.banks_ps


def test_fewer_vias_cost_nothing_where_arithmetic_takes_longer_than_reads():
    whole, quarter = (engine(LogicPim, tsv_multiplier=n) for n in (4, 1))
    asked = gemv(64)
    assert quarter.product(asked).banks_ps == pytest.approx(whole.product(asked).banks_ps, rel=0.02)
    assert 4 * quarter.bytes_per_s == pytest.approx(whole.bytes_per_s, rel=1e-3)
    closed, exact = (quarter.product(gemv(1, 512, 1024), exact=how) for how in (False, True))
    assert exact.exact
    assert exact.banks_ps == pytest.approx(closed.banks_ps, rel=0.02)


def test_what_a_register_keeps_is_not_read_again_and_takes_as_long():
    again, kept = engine(BankPim), engine(BankPim, column_register=True)
    once = again.product(gemv(1))
    assert kept.product(gemv(1)) == once
    assert again.product(gemv(8)).read_bytes == 8 * once.read_bytes
    assert kept.product(gemv(8)).read_bytes == once.read_bytes
    assert kept.product(gemv(8)).banks_ps == again.product(gemv(8)).banks_ps
    # a unit holds results of 16 vectors at a time
    assert kept.product(gemv(32)).read_bytes == 2 * once.read_bytes


def test_a_register_keeps_no_more_than_a_cache_holds_results_of():
    made = engine(BankPim, column_register=True, lockstep=True, cache_results=1)
    alike = engine(BankPim, lockstep=True)
    once, eight = (Product((Extents(3, m, 96, 128),), 16, 16, 16, dealt=True) for m in (1, 8))
    assert made.product(eight).read_bytes == 8 * made.product(once).read_bytes
    assert made.product(once).read_bytes == alike.product(once).read_bytes


def test_a_power_cap_counts_what_is_read_in_the_end():
    table = load_table("7nm")
    for fields in ({"column_register": True}, {"lockstep": True}):
        free, capped = engine(BankPim, **fields), engine(BankPim, power_cap="5 W", **fields)
        capped.capped(table)
        work, asked = capped.product(gemv(16, 40)), gemv(16, 40)
        spent = work.activates * 909 + work.read_bytes * 5.84375 + asked.macs * 0.46
        assert work.banks_ps == max(free.product(asked).banks_ps, -(-spent // 5))


def test_changing_over_takes_a_change_of_mode_or_what_is_stated():
    aim = engine(BankPim, standard="GDDR6_AiM", lanes=16)
    assert aim.switch_ps == 32 * 500
    assert engine(LogicPim).switch_ps == (19 + 19) * 769  # no modes: a row is closed, one opened
    assert engine(LogicPim, switch="1 us").switch_ps == 10**6


NEWTON = {"standard": "HBM2_NeuPIMs_2.0Gbps", "lanes": 4, "clock_hz": 1e9}


@pytest.mark.parametrize(
    ("made", "m"), [(engine(LogicPim), 1), (engine(LogicPim), 16), (engine(BankPim, **NEWTON), 64)]
)
def test_the_stream_of_commands_takes_what_the_closed_form_says(made, m):
    asked = gemv(m, n=512, k=1024)
    closed, exact = made.product(asked), made.product(asked, exact=True)
    assert not closed.exact
    assert exact.exact
    assert exact.waits_ps["compute"] == 0 if m == 1 else exact.waits_ps["compute"] > 0
    assert min(exact.waits_ps.values()) >= 0
    assert exact.banks_ps == pytest.approx(closed.banks_ps, rel=0.15)
    assert exact.banks_ps >= exact.bound_ps
    assert sum(exact.waits_ps.values()) == exact.banks_ps


SOFTMAX = Op(
    "softmax", Kind.VECTOR, "softmax", {"M": 2, "N": 8}, (), (),
    primitives={"max": 1, "add": 2, "exp": 1}, row_primitives={"div": 1},
)  # fmt: skip


def test_units_of_several_primitives_work_side_by_side():
    made = companion(units={"max": 16, "add": 16, "exp": 4, "div": 1}, count=5)
    point, row = made.lane_cycles(SOFTMAX)
    assert (point, row) == (Fraction(1, 4), 1)
    got = made.cycles(point, row, np.array([1000, 1]), np.array([10, 1]))
    assert got.tolist() == [(1000 // 4 + 10) // 5, 1]


def test_a_primitive_without_units_is_a_series_of_others():
    series = {"exp": {"add": 6, "mul": 6}, "max": {"add": 1}, "div": {"mul": 4, "add": 2}}
    made = companion(units={"add": 256, "mul": 128}, series=series)
    assert made.lane_cycles(SOFTMAX) == (Fraction(6, 128), Fraction(4, 128))
    assert made.can_run(SOFTMAX)
    lame = companion(units={"add": 256})
    assert not lame.can_run(SOFTMAX)
    with pytest.raises(Unsupported, match="aux has neither units nor a series for max"):
        lame.lane_cycles(SOFTMAX)


def test_a_series_of_what_has_no_units_is_refused():
    with pytest.raises(InputError, match="the series of exp has mul, which has no units"):
        companion(units={"add": 1}, series={"exp": {"mul": 6}})
    with pytest.raises(InputError, match="exp has units and a series"):
        companion(units={"exp": 1, "add": 1}, series={"exp": {"add": 6}})
