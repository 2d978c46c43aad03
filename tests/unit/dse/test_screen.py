"""Is a space that is screened at once answered as its designs are one by one?"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from archsim import api
from archsim.dse import screen_group
from archsim.dse.evaluate import evaluate
from archsim.dse.point import Task
from archsim.dse.screen import UNSCREENED, screen
from archsim.dse.screen_group import fitting
from archsim.dse.screen_settings import rates_among
from archsim.lowering.spec import load_workload
from archsim.system.build import build

SMALL = {"phase": "decode", "batch": 2, "context": 64}


def tasks(machine, space, *workloads, weights=None, seed=0):
    """Every design of a grid."""
    hardware = api.load_hardware(machine).to_data()
    works = workloads or (load_workload("gpt2-small", **SMALL)[0].to_data(),)
    settings = [dict(zip(space, values, strict=True)) for values in product(*space.values())]
    weights = weights or (1.0,) * len(works)
    return [Task(hardware, works, one, "bound", seed, weights, machine) for one in settings]


def said_by(outcome):
    metrics = {k: v for k, v in outcome.metrics.items() if not k.startswith(UNSCREENED)}
    return outcome.key, outcome.status, metrics, outcome.error


def same(found, designs, step):
    """Whether every so many designs are answered as by themselves; no other was looked at."""
    assert found.note == ""
    for i in range(0, len(designs), step):
        here, alone = said_by(found.outcome(i)), said_by(evaluate(designs[i]))
        assert here == alone
        assert list(map(type, here[2].values())) == [type(alone[2][k]) for k in here[2]]
    return True


RATES = {
    "clocks.core": ["700 MHz", "1.1 GHz"],
    "engines.array.rows": [32, 96],
    "engines.array.count": [1, 3],
    "engines.vector.lanes": [16, 100],
    "memory.hbm.bandwidth": ["300 B/cycle", "700 B/cycle"],
    "memory.sram.capacity": ["8 MiB", "24 MiB"],
}


def test_designs_that_differ_in_rates_share_a_plan_and_have_the_answers_of_each_alone():
    hardware = api.load_hardware("npu", set_=["memory.hbm.bandwidth=500 B/cycle"])
    designs = [replace(one, hardware=hardware.to_data()) for one in tasks("npu", RATES)]
    found = screen(designs, checks=0)
    assert len(found.groups) == 1
    assert same(found, designs, 21)
    assert len(set(found.metrics("metrics.time_s"))) == 4  # memory decides: clocks and rates


def test_what_may_change_the_plan_is_planned_for_each_of_its_values():
    space = {"workload.phase.batch": [1, 4], "engines.array.fill": ["overlapped", "exposed"],
             "memory.hbm.bandwidth": ["1 TB/s", "512 B/cycle"]}  # fmt: skip
    designs = tasks("npu", space)
    found = screen(designs, checks=0)
    assert len(found.groups) == 8
    assert same(found, designs, 3)


def test_several_devices_with_engines_inside_their_memories_are_screened_too():
    space = {"engines.pim.tsv_multiplier": [2, 4], "memory.hbm.stacks": [5, 8],
             "engines.xpu.count": [64, 132], "interconnect.node.bandwidth": ["90 GB/s", "1 TB/s"],
             "clocks.core": ["1 GHz", "1830 MHz"]}  # fmt: skip
    designs = tasks("duplex-4", space, load_workload("mixtral-8x7b-decode")[0].to_data())
    found = screen(designs, checks=0)
    assert len(found.groups) == 4  # what is inside the memory, and how many there are
    assert same(found, designs, 9)


def test_over_several_workloads_times_add_up_by_weight():
    works = tuple(
        load_workload("gpt2-small", **{**SMALL, "batch": batch})[0].to_data() for batch in (1, 3)
    )
    designs = tasks("npu", {"memory.hbm.bandwidth": ["0.5 TB/s", "2 TB/s"]}, *works,
                    weights=(0.25, 2.0))  # fmt: skip
    assert same(screen(designs, checks=0), designs, 1)


def test_numbers_that_all_differ_go_through_formulas_as_arrays_and_stay_the_same():
    hertz = [f"{500 + 7.3 * i!r} MHz" for i in range(9)]
    lanes = list(range(8, 24))
    designs = tasks("npu", {"clocks.core": hertz, "engines.vector.lanes": lanes})
    found = screen(designs, checks=0)
    (group,) = found.groups
    assert group.rates.forms["engines", "vector"].whole is not None
    assert same(found, designs, 61)


def test_a_value_that_no_rate_can_have_is_refused_as_it_is_alone():
    designs = tasks("npu", {"engines.array.count": [4, [1], {"a": 1}, True, None]})
    found = screen(designs, checks=0)
    assert [found.outcome(i).status for i in range(4)] == ["ok", *["failed"] * 3]
    assert same(found, designs, 1)


def test_designs_that_do_not_fit_are_refused_in_the_words_of_each():
    space = {"memory.hbm.capacity": ["100 MiB", "400 MiB", "200 MiB"],
             "engines.array.rows": [32, 64]}  # fmt: skip
    designs = tasks("npu", space)
    found = screen(designs, checks=0)
    fits = [found.outcome(i).status for i in range(6)]
    assert fits == [*["infeasible"] * 2, *["ok"] * 2, *["infeasible"] * 2]
    assert same(found, designs, 1)
    assert np.isnan(found.metrics("metrics.time_s")).sum() == 4
    assert np.isnan(found.metrics("metrics.energy_j.total")).all()  # no metric of a bound


def test_where_the_checks_find_a_difference_all_designs_are_computed_one_by_one(monkeypatch):
    def wrong(demands, rates):
        times = screen_group_times(demands, rates)
        return type(times)(times.memory_ps + 1, times.compute_ps, times.vector_ps)

    screen_group_times = screen_group.least_times
    monkeypatch.setattr(screen_group, "least_times", wrong)
    designs = tasks("npu", {"memory.hbm.bandwidth": ["0.5 TB/s", "2 TB/s"]})
    found = screen(designs)
    assert found.note.startswith("closed forms over many designs differ at {'memory.hbm.bandwidth'")
    assert found.outcome(1).metrics["time_ps"] == evaluate(designs[1]).metrics["time_ps"]
    assert found.metrics("time_ps")[1] == evaluate(designs[1]).metrics["time_ps"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("memory.hbm.bandwidth", "3 parsecs"),
        ("memory.hbm.stacks", 4),  # of a flat bandwidth
        ("engines.array.shape", 3),
        ("clocks.core", "3 mHz"),
    ],
)
def test_a_design_that_is_refused_where_it_is_described_is_an_answer_of_its_own(path, value):
    designs = [*tasks("npu", {path: [value]}), *tasks("npu", {"clocks.core": ["1 GHz"]})]
    found = screen(designs, checks=0)
    assert [found.outcome(i).status for i in (0, 1)] == ["failed", "ok"]
    assert said_by(found.outcome(0)) == said_by(evaluate(designs[0]))


@pytest.mark.parametrize(
    ("machine", "paths"),
    [
        ("npu", ["clocks.core", "memory.hbm.capacity", "memory.hbm.stacks", "engines.array.rows"]),
        ("npu-cxl", ["clocks.core", "engines.array.rows"]),  # tiers go by capacity and by rate
        ("duplex-4", ["clocks.core", "engines.xpu.count", "interconnect.node.latency"]),
        ("duplex-pe-4", []),  # its rules weigh rates
    ],
)
def test_rates_are_numbers_of_parts_that_decide_nothing(machine, paths):
    asked = ["clocks.core", "clocks.pim", "memory.hbm.capacity", "memory.hbm.stacks",
             "engines.array.rows", "engines.array.fill", "engines.xpu.count",
             "engines.xpu.mma", "engines.pim.count", "interconnect.node.latency",
             "interconnect.node.devices", "workload.phase.batch", "mapping[0].fuse"]  # fmt: skip
    assert list(rates_among(asked, build(api.load_hardware(machine)))) == paths


def test_times_that_are_no_exact_floats_are_computed_one_by_one():
    designs = tasks("npu", {"memory.hbm.bandwidth": ["1 B/s", "1 TB/s"]})
    found = screen(designs)
    assert "are no exact float" in found.note
    assert said_by(found.outcome(0)) == said_by(evaluate(designs[0]))


def test_whether_designs_fit_is_asked_seldom():
    rooms = np.array(list(product([1.0, 2.0, 4.0, 8.0], [1.0, 3.0, 9.0])))
    asked = []

    def fits(place):
        asked.append(place)
        return bool(rooms[place].prod() >= 12)

    mask = fitting(rooms, fits, len(rooms) - 1)
    assert mask.tolist() == (rooms.prod(axis=1) >= 12).tolist()
    assert len(asked) < 8
