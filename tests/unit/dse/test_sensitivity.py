"""Is every resource found, and are its elasticity, its cause and its cheapest change the true ones?

Machines here answer by closed forms, so that what is found can be compared with algebra.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.core.errors import InputError
from archsim.core.units import parse_quantity
from archsim.dse.asking import Machine, machine_of
from archsim.dse.cheapest import cheapest
from archsim.dse.executors.base import Executor
from archsim.dse.point import Outcome, Task
from archsim.dse.resources import Resource, resources
from archsim.dse.sensitivity import bounded_by, levels, reread, tornado
from archsim.report.model import Report

HARDWARE: dict[str, Any] = {
    "schema": "archsim.hardware/1",
    "clocks": {"core": "1 GHz"},
    "memory": {
        "hbm": {"kind": "dram", "bandwidth": "1 TB/s", "latency": "100 ns", "efficiency": 0.75},
        "sram": {"kind": "sram", "capacity": "32 MiB", "width_bits": 512},
    },
    "engines": {
        "array": {"kind": "systolic_array", "rows": 128, "launch": "2 us", "fill": "overlapped"},
        "vector": {"kind": "vector_unit", "lanes": 16, "launch": "2 us", "latency_cycles": 1},
    },
    "interconnect": {"net": {"kind": "mesh", "dims": [4, 4], "latency": "0 s", "duplex": True}},
    "provenance": {"engines.array.rows": "2 of them"},
}
Times = Callable[[Mapping[str, float]], dict[str, float]]


class Algebra(Executor):
    """Answers with the time, by reason, that a function gives of the amounts of resources."""

    kind = "algebra"

    def __init__(self, times: Times, area_of: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.times, self.area_of, self.asked = times, area_of, 0

    def run(self, tasks: Iterable[Task], done: Callable[[Task, Outcome], None]) -> None:
        known = resources(HARDWARE)
        for task in tasks:
            self.asked += 1
            amounts = {one.name: one.amount for one in known}
            for one in known:
                if one.paths[0] in task.settings:
                    amounts[one.name] = _base(task.settings[one.paths[0]], one.dimension)
            done(task, self._answer(task, amounts))

    def _answer(self, task: Task, amounts: Mapping[str, float]) -> Outcome:
        try:
            parts = self.times(amounts)
        except ValueError as error:
            return Outcome(task.key, "infeasible", {}, error={"message": str(error)})
        total_s = sum(parts.values())
        area_mm2 = 100 + sum(amounts[name] / _now(name).amount for name in self.area_of)
        return Outcome(
            task.key, "ok",
            {
                "time_ps": round(1e12 * total_s), "metrics.time_s": total_s,
                "metrics.energy_j.total": 2 * total_s, "metrics.area_mm2.total": area_mm2,
                **{f"stalls.{reason}": part / total_s for reason, part in parts.items()},
            },
        )  # fmt: skip

    def close(self) -> None:
        pass


def _base(value: Any, dimension: str) -> float:
    return float(value if dimension == "count" else parse_quantity(value, dimension))


def _now(name: str) -> Resource:
    return next(one for one in resources(HARDWARE) if one.name == name)


def machine(times: Times, area_of: tuple[str, ...] = ()) -> Machine:
    return Machine(HARDWARE, {}, "tile", 0, Algebra(times, area_of))


def streaming(amounts: Mapping[str, float]) -> dict[str, float]:
    """Eight tenths of a millisecond behind memory, one on lanes, one in launches."""
    return {
        "hbm_bandwidth": 0.8e9 / amounts["memory.hbm.bandwidth"],
        "vector_busy": 1.6e-3 * 1e9 / (amounts["clocks.core"] * amounts["engines.vector.lanes"]),
        "kernel_launch": 50 * amounts["engines.*.launch"],
    }


def found(one: Machine) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    known = resources(HARDWARE)
    rows = tornado(one, known)
    return rows, cheapest(one, known, {row["resource"]: row["elasticity_time"] for row in rows})


def test_quantities_and_counts_are_resources_and_choices_shares_and_words_are_not() -> None:
    assert [(one.name, one.amount, one.dimension) for one in resources(HARDWARE)] == [
        ("clocks.core", 1e9, "hertz"),
        ("memory.hbm.bandwidth", 1e12, "bytes/s"),
        ("memory.hbm.latency", 1e-7, "seconds"),
        ("memory.sram.capacity", 2.0**25, "bytes"),
        ("engines.array.rows", 128, "count"),
        ("engines.*.launch", 2e-6, "seconds"),
        ("engines.vector.lanes", 16, "count"),
        ("engines.vector.latency_cycles", 1, "count"),
    ]
    assert _now("engines.*.launch").paths == ("engines.array.launch", "engines.vector.launch")


def test_a_host_that_launches_kernels_unlike_has_a_resource_of_each() -> None:
    engines = {name: dict(HARDWARE["engines"][name]) for name in ("array", "vector")}
    engines["vector"]["launch"] = "3 us"
    names = [one.name for one in resources({"engines": engines})]
    assert "engines.array.launch" in names
    assert "engines.vector.launch" in names


@given(st.sampled_from(resources(HARDWARE)), st.floats(0.25, 4.0))
def test_a_step_is_one_that_a_description_holds_and_leads_the_way_it_was_asked(
    one: Resource, factor: float
) -> None:
    step = one.times(factor)
    if step is None:
        assert one.amount * factor < 1 or factor == pytest.approx(1, abs=0.05)
        return
    value, amount = step
    assert _base(value, one.dimension) == pytest.approx(amount, rel=1e-12)
    assert (amount - one.amount) * (factor - 1) >= 0
    assert amount == pytest.approx(one.amount * factor, abs=max(1, one.amount / 100))


def test_elasticities_are_shares_of_the_time_and_the_reason_is_what_shrinks() -> None:
    rows, _ = found(machine(streaming))
    by_name = {row["resource"]: row for row in rows}
    hbm = by_name["memory.hbm.bandwidth"]
    assert rows[0] is hbm
    assert (hbm["low"], hbm["high"]) == ("800 GB/s", "1.2 TB/s")
    assert hbm["time_s_low"] == pytest.approx(0.8e-3 / 0.8 + 0.2e-3)
    assert hbm["time_s_high"] == pytest.approx(0.8e-3 / 1.2 + 0.2e-3)
    assert hbm["elasticity_time"] == pytest.approx(-0.8, abs=0.02)
    assert hbm["elasticity_energy"] == pytest.approx(hbm["elasticity_time"])
    assert (hbm["relieves"], hbm["share"]) == ("hbm_bandwidth", pytest.approx(0.8))
    launch = by_name["engines.*.launch"]
    assert launch["elasticity_time"] == pytest.approx(0.1, abs=0.005)
    assert launch["relieves"] == "kernel_launch"
    still = by_name["memory.sram.capacity"]
    assert (still["elasticity_time"], still["relieves"], still["share"]) == (0, "", None)
    once = by_name["engines.vector.latency_cycles"]
    assert (once["low"], once["said_low"]) == (None, "no step this way")


def test_a_machine_that_is_refused_says_why_and_the_other_side_counts() -> None:
    def times(amounts: Mapping[str, float]) -> dict[str, float]:
        if amounts["engines.vector.lanes"] > 16:
            raise ValueError("too many lanes")
        return streaming(amounts)

    row = next(r for r in found(machine(times))[0] if r["resource"] == "engines.vector.lanes")
    assert (row["time_s_high"], row["said_high"], row["said_low"]) == (None, "too many lanes", "")
    assert row["elasticity_time"] < 0


def test_the_cheapest_change_is_the_least_that_gains_a_tenth_and_says_what_it_costs() -> None:
    one = machine(streaming, area_of=("engines.vector.lanes",))
    _, changes = found(one)
    assert [c["resources"] for c in changes] == [["memory.hbm.bandwidth"]]
    hbm = changes[0]
    least = 0.8 / (1 / 1.1 - 0.2)  # of 0.8 / f + 0.2 = 1 / 1.1
    assert least <= hbm["factor"] <= least * 1.02
    assert hbm["gain"] == pytest.approx(1 / (0.8 / hbm["factor"] + 0.2))
    assert hbm["set"] == [f"memory.hbm.bandwidth={hbm['settings'][0]['tried']}"]
    assert (hbm["cost_is"], hbm["added_mm2"]) == ("relative change", 0)
    assert hbm["cost"] == pytest.approx(hbm["factor"] - 1)


def test_a_change_with_an_area_is_ranked_by_its_share_of_the_chip() -> None:
    def times(amounts: Mapping[str, float]) -> dict[str, float]:
        lanes, rate = amounts["engines.vector.lanes"], amounts["clocks.core"]
        return {"vector_busy": 16e6 / (lanes * rate)}

    rows, changes = found(machine(times, area_of=("engines.vector.lanes",)))
    assert [c["resources"] for c in changes] == [["engines.vector.lanes"], ["clocks.core"]]
    assert changes[0]["added_mm2"] == pytest.approx(2 / 16)  # 16 lanes are 1 mm2 of 101
    assert changes[0]["cost"] == pytest.approx(2 / 16 / 101)
    assert changes[0]["cost_is"] == "added area"
    by = bounded_by(RESULT, rows, resources(HARDWARE), changes)
    assert by is not None
    assert by["resource"] == "engines.vector.lanes"  # not the clock, though it is as elastic


def test_where_no_resource_alone_is_enough_two_are_changed_together() -> None:
    def times(amounts: Mapping[str, float]) -> dict[str, float]:
        return {
            "hbm_bandwidth": 0.07e-3 * 1e12 / amounts["memory.hbm.bandwidth"],
            "kernel_launch": 0.07e-3 / 2e-6 * amounts["engines.*.launch"],
            "array_busy": 0.86e-3,
        }

    _, changes = found(machine(times))
    assert [set(c["resources"]) for c in changes] == [{"memory.hbm.bandwidth", "engines.*.launch"}]
    assert changes[0]["gain"] >= 1.1
    assert len(changes[0]["set"]) == 3
    assert found(machine(lambda amounts: {"array_busy": 1e-3}))[1] == []


def test_more_that_is_slower_again_hides_no_change_that_helps() -> None:
    def times(amounts: Mapping[str, float]) -> dict[str, float]:
        factor = amounts["memory.hbm.bandwidth"] / 1e12
        return {"hbm_bandwidth": 1e-3 / factor if factor < 1.5 else 5e-3}

    _, changes = found(machine(times))
    assert changes[0]["factor"] == pytest.approx(1.1, abs=0.02)


RESULT: dict[str, Any] = {
    "stalls": {"hbm_bandwidth": 1.0}, "bound": {"memory_ps": 10**8}, "advice": None,
    "machine": {"bandwidth_bytes_per_s": 1e12}, "traffic": {"hbm": {"total_bytes": 10**9}},
}  # fmt: skip


def test_bytes_that_are_moved_again_are_for_want_of_room_where_room_helps() -> None:
    def times(amounts: Mapping[str, float]) -> dict[str, float]:
        again = 32 * 2**20 / amounts["memory.sram.capacity"]
        return {"hbm_bandwidth": (0.1 + 0.9 * again) * 1e9 / amounts["memory.hbm.bandwidth"]}

    rows, changes = found(machine(times))
    assert reread(RESULT) == pytest.approx(0.9)
    by = bounded_by(RESULT, rows, resources(HARDWARE), changes)
    assert by is not None
    assert by["resource"] == "memory.sram.capacity"
    assert (by["relieves"], by["why"]) == (
        "hbm_bandwidth", "90 % of the bytes behind memory are moved again",
    )  # fmt: skip
    once = {**RESULT, "traffic": {"hbm": {"total_bytes": 10**8}}}
    other = bounded_by(once, rows, resources(HARDWARE), changes)
    assert other is not None
    assert other["resource"] == "memory.hbm.bandwidth"
    assert bounded_by(once, [{**r, "elasticity_time": 0.0} for r in rows], (), ()) is None


def test_levels_add_up_and_nothing_is_run_twice() -> None:
    one = machine(streaming)
    ladder = levels(one)
    assert [level["fidelity"] for level in ladder] == ["bound", "analytic", "tile"]
    assert sum(level["adds_s"] for level in ladder) == pytest.approx(ladder[-1]["time_s"])
    before = one.executor.asked  # type: ignore[union-attr]
    levels(one)
    assert one.executor.asked == before  # type: ignore[union-attr]


def test_a_run_of_the_bound_alone_and_one_of_other_numbers_are_refused() -> None:
    result = {"fidelity": "bound", "seed": 0, "time_ps": 1}
    resolved = {"hardware": HARDWARE, "workload": {}}
    with pytest.raises(InputError, match="nothing that a setting could relieve") as refused:
        machine_of(Report(result, [], [], resolved, {}))
    assert refused.value.code == "E708"
    with pytest.raises(InputError, match="gives the run another time_ps than") as refused:
        machine_of(Report({**result, "fidelity": "tile"}, [], [], resolved, {}), Algebra(streaming))
    assert refused.value.help == "run again with -o and --force"
