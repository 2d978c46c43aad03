"""Does a product inside a memory take what its commands take, and lie where its layout says?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest

from archsim.core.errors import InputError, Unmappable
from archsim.ir.pim import Layout, Product
from archsim.ir.problem import Extents
from archsim.memory.pim.command_set import CommandSet, load_set
from archsim.memory.pim.layouts_access import append, relayout
from archsim.memory.pim.products import PimDevice
from archsim.memory.pim.products_dealt import busiest

STACK = {
    "AiM": ("GDDR6_AiM", 16, 1e9),
    "HBM-PIM": ("HBM2_PIM_2.0Gbps", 16, 3e8),
    "AttAcc": ("HBM3_PIM_5.2Gbps", 16, 325e6),
    "AttAccBG": ("HBM3_PIM_5.2Gbps", 16, 325e6),
    "Newton": ("HBM2_NeuPIMs_2.0Gbps", 32, 1e9),
    "Logic-PIM": ("HBM3_5.2Gbps", 512, 650e6),
}
"""Standard, MACs of a unit and its clock, by command set."""


def device(name: str, stacks: int = 1, *, refresh: bool = False, **more: Any) -> PimDevice:
    standard, macs, clock = STACK[name]
    more = {"macs_per_unit": macs, "unit_clock_hz": clock, "refresh": refresh, **more}
    commands, channels = more.pop("commands", name), more.pop("channels", None)
    made = PimDevice.of(more.pop("standard", standard), commands, stacks, **more)
    fresh: dict[str, Any] = {"_works": {}, "_shares": {}, "_alone": {}}
    return made if channels is None else replace(made, channels=channels, **fresh)


def fp16(
    m: int, n: int, k: int, layout: Layout = "row", *, b: int = 1, dealt: bool = False
) -> Product:
    return Product((Extents(b, m, n, k),), 16, 16, 16, layout, dealt)


def without(commands: str, **changes: Any) -> CommandSet:
    """A set whose products are computed in another way."""
    found = load_set(commands)
    assert found.product is not None
    return found.model_copy(update={"product": found.product.model_copy(update=changes)})


@pytest.mark.parametrize("exact", [False, True])
def test_a_gemv_of_aim_takes_the_cycles_and_commands_of_its_published_trace(exact: bool) -> None:
    work = device("AiM", channels=1).work(fp16(1, 1024, 4096), exact=exact)
    assert work.banks_ps == 73728 * 500
    assert work.commands == {
        "WRGB": 256, "WRMAC16": 256, "ACT16": 256, "MAC16": 16384, "RDMAC16": 256, "PREA": 255,
        "TMOD": 513,
    }  # fmt: skip


def test_sums_that_stay_until_they_are_whole_take_the_cycles_of_the_accumulating_trace() -> None:
    aim = device("AiM", commands=without("AiM", input=None), channels=1)
    assert aim.work(fp16(1, 1024, 4096)).banks_ps == 61696 * 500


@pytest.mark.parametrize("name", STACK)
@pytest.mark.parametrize("e", [(1, 640, 130, "interleaved"), (3, 96, 1100, "row")])
def test_the_closed_form_is_the_command_stream(name: str, e: tuple[int, int, int, Layout]) -> None:
    one = device(name, channels=1)
    product = fp16(*e, b=2)
    close, exact = one.work(product), one.work(product, exact=True)
    assert close.commands == exact.commands
    assert abs(close.banks_ps - exact.banks_ps) <= 6 * one.tick_ps
    assert sum(exact.waits_ps.values()) == exact.banks_ps


@pytest.mark.parametrize(("buffer", "macs"), [(0, 32), (8192, 512)])
def test_arithmetic_slows_the_command_stream_too(buffer: int, macs: int) -> None:
    commands = without("Logic-PIM", ahead_bytes=buffer)
    one = device("Logic-PIM", commands=commands, channels=1, macs_per_unit=macs)
    product = fp16(16, 96, 1100)
    close, exact = one.work(product), one.work(product, exact=True)
    assert close.waits_ps["compute"] == exact.waits_ps["compute"] > 0
    assert abs(close.banks_ps - exact.banks_ps) <= 6 * one.tick_ps


def test_a_product_of_too_many_commands_says_that_it_is_not_timed_by_them() -> None:
    aim = device("AiM")
    few, many = (aim.work(fp16(m, 1024, 1 << 14), exact=True) for m in (1, 2000))
    assert few.exact
    assert not many.exact
    assert many == aim.work(fp16(2000, 1024, 1 << 14))


@pytest.mark.parametrize("vectors", [8, 10, 11, 16, 40])
def test_units_with_a_buffer_work_while_the_next_row_is_opened(vectors: int) -> None:
    one = device("Logic-PIM", channels=1)
    work = one.work(fp16(vectors, 8 * 40, 512))
    done, read = [], 0  # ticks: when arithmetic has ended on each access; of the latest read
    for access in range(40 * 32):
        wait = one.rules.row_ticks * (access % 32 == 0 < access)
        free = done[-32] if access >= 32 else 0.0  # 8 KB are 32 accesses of 8 banks
        read = max(20 if not access else read + 4 + wait, free)
        done.append(max(read, done[-1] if done else 0.0) + vectors / 2)
    assert work.banks_ps == pytest.approx(done[-1] * one.tick_ps, rel=0.01)
    assert work.activates == 8 * 40


@pytest.mark.parametrize(
    ("name", "outputs"),
    [("AiM", 960), ("HBM-PIM", 320), ("AttAcc", 1920), ("Newton", 1280), ("Logic-PIM", 640)],
)
def test_with_refresh_the_closed_form_is_within_two_percent_of_ten_refreshes_and_more(
    name: str, outputs: int
) -> None:
    one = device(name, channels=1, refresh=True)
    product = fp16(1, outputs, 2048)
    close, exact = one.work(product), one.work(product, exact=True)
    assert exact.commands["REFab"] >= 10
    assert close.banks_ps == pytest.approx(exact.banks_ps, rel=0.02)


def gain(name: str, stacks: int = 5, **more: Any) -> float:
    """Rate of a long matrix-vector product over that of the memory's own bus."""
    one = device(name, stacks, **more)
    works = [one.work(fp16(1, 16384, 4096, layout)) for layout in get_args(Layout)]
    work = min(works, key=lambda work: work.banks_ps)
    return work.matrix_bytes / (work.banks_ps * 1e-12) / (stacks * one.standard.bytes_per_s)


def test_gains_over_the_bus_are_those_that_papers_report() -> None:
    assert gain("Logic-PIM") / 4 == pytest.approx(0.75, abs=0.02)  # LLMSimulator: 0.75 of its peak
    assert gain("AttAcc") == pytest.approx(9, abs=0.3)  # AttAcc (ASPLOS 2024), power-limited
    assert 11 < gain("AttAcc", standard="HBM3_PIM_5.2Gbps_NPC") < 16  # without: 16 at best
    assert gain("AttAccBG") == pytest.approx(3, abs=0.4)  # AttAcc (ASPLOS 2024), power-limited
    assert gain("Newton", 4) == pytest.approx(3.5, abs=0.3)  # 8 activates 30 ns apart: NeuPIMs
    assert 2.5 < gain("HBM-PIM", 1) < 4  # HBM-PIM (ISCA 2021): 4 at best


def test_units_on_the_logic_die_take_eight_vectors_in_the_time_of_one() -> None:
    logic = device("Logic-PIM", 5)
    assert logic.macs_per_s * 2 == pytest.approx(106.5e12, rel=1e-3)
    assert logic.bytes_per_s == pytest.approx(13.3e12, rel=2e-3)
    one, eight, more = (logic.work(fp16(m, 16384, 4096)) for m in (1, 8, 16))
    assert eight.banks_ps == one.banks_ps
    assert eight.waits_ps["compute"] == 0 < more.waits_ps["compute"]
    assert more.read_bytes == one.read_bytes


def test_a_clock_that_misses_ticks_by_a_hair_is_no_faster_than_its_arithmetic() -> None:
    one = PimDevice.of(
        "HBM3_PIM_5.2Gbps", "AttAccBG", macs_per_unit=16, unit_clock_hz=0.3333 / 769e-12,
        refresh=False,
    )  # fmt: skip
    work = one.work(fp16(14, 16384, 16384, "column", b=8))
    assert work.bound_ps <= work.banks_ps < 1.001 * work.bound_ps


def test_units_at_banks_read_an_open_row_again_for_every_vector() -> None:
    attacc = device("AttAcc")
    one, eight = (attacc.work(fp16(m, 4096, 512)) for m in (1, 8))
    assert eight.read_bytes == 8 * one.read_bytes
    assert eight.activates == one.activates


def test_a_power_limit_is_told_from_the_data_it_slows() -> None:
    limited = device("AttAcc").work(fp16(1, 4096, 512)).waits_ps
    assert limited["power"] == pytest.approx(limited["mac"] / 2, rel=0.01)  # 6 ticks, data 4
    free = device("AttAcc", standard="HBM3_PIM_5.2Gbps_NPC").work(fp16(1, 4096, 512)).waits_ps
    assert free["power"] == 0


def test_padding_is_what_a_layout_leaves_of_its_rows() -> None:
    aim = device("AiM", channels=1)
    rows = aim.work(fp16(1, 32, 128))  # two outputs a bank, each with a row of 2 KB to itself
    shared = aim.work(fp16(1, 32, 128, "interleaved"))
    assert (rows.matrix_bytes, rows.stored_bytes) == (8192, 2 * 16 * 2048)
    assert shared.stored_bytes == 16 * 2048
    assert (rows.activates, shared.activates) == (32, 16)
    assert rows.banks_ps > shared.banks_ps


def test_a_reduction_over_channels_brings_fewer_inputs_and_more_results() -> None:
    attacc = device("AttAcc")
    row, column = (attacc.work(fp16(1, 1024, 4096, w)) for w in ("row", "column"))
    assert column.input_bytes < row.input_bytes
    assert column.result_bytes > row.result_bytes


def test_the_fullest_channel_decides_over_dealt_matrices() -> None:
    one, three = (
        device("Newton", channels=2, deal="balanced").work(fp16(1, 512, 512, b=b, dealt=True))
        for b in (2, 3)
    )
    assert three.banks_ps > 1.9 * one.banks_ps
    assert busiest([5, 3, 3], [1, 1, 1], 2, "balanced") == [0, 1, 1]
    assert busiest([5, 3, 2], [1, 1, 1], 2, "in_turn") == [1, 1, 0]
    assert busiest([3, 1], [2, 4], 2, "balanced", together=2) == [2, 0]


def test_a_new_key_is_one_run_and_a_new_value_an_element_of_many_rows() -> None:
    logic = device("Logic-PIM")
    keys = fp16(4, 1000, 128, "interleaved", b=32, dealt=True)
    values = fp16(4, 128, 1000, "row", b=32, dealt=True)
    key, value = append(logic, keys, "n"), append(logic, values, "k")
    assert (key.activates, key.write_bytes, key.read_bytes) == (32, 32 * 256, 0)
    assert (value.activates, value.write_bytes) == (32 * 128, 32 * 128 * 32)
    assert value.read_bytes == value.write_bytes
    assert value.banks_ps > key.banks_ps
    prompt = append(logic, keys, "n", tokens=1000)  # four keys of 256 B share a row of 1 KB
    assert prompt.activates == logic.work(keys).stored_bytes / 1024 < 32 * 1000
    gathered = append(logic, values, "k", gathered=True)
    assert (gathered.read_bytes, gathered.write_bytes) == (0, 32 * 128 * 2)


def test_others_read_whole_rows_at_full_rate_and_pay_for_padding() -> None:
    logic = device("Logic-PIM")
    assert relayout(logic, fp16(1, 4096, 4096)).share == 1
    short = relayout(logic, fp16(1, 4096, 24))  # 24 of 32 elements in two accesses of a row
    assert short.share < 24 / 32
    whole = relayout(logic, fp16(1, 4096, 4096))
    assert whole.copy_bytes == 2 * 4096 * 4096 * 2


def test_what_does_not_fit_is_refused_with_its_reason() -> None:
    newton = device("Newton", channels=1)
    with pytest.raises(Unmappable, match="cannot be dealt over 1 channels"):
        newton.work(fp16(1, 64, 512, "column"))
    with pytest.raises(Unmappable, match="take 65536 rows of each bank, padding included, and"):
        newton.work(fp16(1, 1 << 20, 1024))
    with pytest.raises(InputError, match="AiM does not say how GDDR6_AiM computes products"):
        device("AiM", commands=load_set("AiM").model_copy(update={"product": None}))
