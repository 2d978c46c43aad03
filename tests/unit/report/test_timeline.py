"""Does the timeline of a run say what its counters say, in a file that viewers open?"""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archsim import api
from archsim.core.errors import InputError
from archsim.report.model import MOMENTS, TIMELINE, Report
from archsim.report.stored import read_moments
from archsim.report.timeline import Timeline

CASES = {
    "one memory": ("npu", "gpt2-small-prefill", ()),
    "a machine of kernels": ("h100", "bert-base-encode", ()),
    "memories in tiers": (
        "sn40l", "llama-3-8b-decode", ("memory.hbm.capacity=8 GiB", "workload.phase.batch=1"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def report(request: pytest.FixtureRequest) -> Report:
    hardware, workload, overrides = CASES[request.param]
    return api.run(hardware, workload, set_=overrides)


@pytest.fixture(scope="module")
def timeline(report: Report) -> Timeline:
    return report.timeline()


@pytest.fixture(scope="module")
def trace(timeline: Timeline) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(timeline.to_json())
    return found


def spent(events: list[dict[str, Any]]) -> Iterator[tuple[str, str, int]]:
    """(unit, state, ps) of every slice; one that stands for many has its sums beside it."""
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    for event in events:
        if event["ph"] == "X":
            args = event["args"]
            many = {k.removesuffix("_ps"): v for k, v in args.items() if k.endswith("_ps")}
            many.pop("start")
            for state, ps in many.items() if many else [(event["cat"], args["ps"])]:
                yield names[event["tid"]], state, ps


def test_there_is_one_track_for_each_unit(report: Report, trace: dict[str, Any]) -> None:
    names = [e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name"]
    assert sorted(names) == sorted(report.result["units"])


def test_slices_of_a_unit_add_up_to_its_counters(report: Report, trace: dict[str, Any]) -> None:
    sums: Counter[tuple[str, str]] = Counter()
    for unit, state, ps in spent(trace["traceEvents"]):
        sums[unit, state] += ps
    for unit, counters in report.result["units"].items():
        for state in ("busy", "stall_in", "stall_out", "stall_shared"):
            assert sums[unit, state] == counters[f"{state}_ps"], (unit, state)


def test_slices_of_a_track_do_not_overlap(report: Report, trace: dict[str, Any]) -> None:
    ends: dict[int, int] = {}
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            start = event["args"]["start_ps"]
            assert start >= ends.get(event["tid"], 0)
            assert event["ts"] == pytest.approx(start * 1e-6, abs=1e-9)
            ends[event["tid"]] = start + event["args"]["ps"]
    assert max(ends.values()) == report.result["time_ps"]


def test_bytes_over_time_add_up_to_the_traffic(report: Report, timeline: Timeline) -> None:
    found = timeline.moments(100)
    assert len(found) == 100
    for memory, moved in report.result["traffic"].items():
        rates = [m[f"{memory}.bytes_per_s"] for m in found]
        total = sum(rates) / 100 * report.metrics["time_s"]
        assert total == pytest.approx(moved["total_bytes"], rel=1e-9)


def test_no_port_is_faster_than_its_peak(report: Report, timeline: Timeline) -> None:
    found = timeline.moments(100)
    peak = report.result["machine"]["bandwidth_bytes_per_s"]
    nearest = next(iter(report.result["traffic"]))
    assert max(m[f"{nearest}.bytes_per_s"] for m in found) <= peak * (1 + 1e-9)


def test_no_memory_is_ever_fuller_than_it_is(report: Report, timeline: Timeline) -> None:
    for memory, capacity in report.result["machine"]["capacity_bytes"].items():
        held = [m[f"{memory}.held_bytes"] for m in timeline.moments()]
        assert 0 < max(held) <= capacity


def test_counters_over_time_are_tracks_of_each_memory(trace: dict[str, Any]) -> None:
    names = {e["name"] for e in trace["traceEvents"] if e["ph"] == "C"}
    assert {name.rpartition(" ")[2] for name in names} == {"[B]", "[B/s]"}


def test_a_frame_has_one_row_for_each_step(report: Report, timeline: Timeline) -> None:
    frame = timeline.frame()
    assert len(frame) == report.manifest["steps"]
    assert frame["busy_ps"].sum() == sum(u["busy_ps"] for u in report.result["units"].values())


def test_a_run_folder_tells_the_timeline_again(
    report: Report, timeline: Timeline, tmp_path: Path
) -> None:
    report.write(tmp_path)
    again = api.open_run(tmp_path)
    again.write_timeline(tmp_path)
    assert (tmp_path / TIMELINE).read_text() == timeline.to_json()
    assert read_moments(tmp_path) == timeline.moments()


def test_a_new_run_in_a_folder_leaves_no_timeline_of_the_old(tmp_path: Path) -> None:
    report = api.run("npu", "gpt2-small-prefill")
    report.write(tmp_path)
    report.write_timeline(tmp_path)
    report.write(tmp_path)
    assert not (tmp_path / TIMELINE).exists()
    assert not (tmp_path / MOMENTS).exists()
    assert read_moments(tmp_path) == []


@pytest.mark.parametrize("fidelity", ["bound", "analytic"])
def test_a_run_that_was_not_simulated_has_no_timeline(fidelity: str) -> None:
    report = api.run("npu", "gpt2-small-prefill", fidelity=fidelity)
    with pytest.raises(InputError, match=f"a run at fidelity {fidelity} has no timeline"):
        report.timeline()


def test_a_report_with_its_timeline_can_be_sent_to_another_process(report: Report) -> None:
    assert pickle.loads(pickle.dumps(report)).result == report.result


def test_a_timeline_of_few_slices_says_so_and_adds_up() -> None:
    report = api.run("npu", "llama-3-8b-decode")
    short = api.timeline(report, most=20_000)
    trace = json.loads(short.to_json())
    assert trace["otherData"]["shortened"] is True
    blocks = {e["name"] for e in trace["traceEvents"] if e.get("cat") == "repeated"}
    assert blocks == {"repeated 29 times"}
    test_slices_of_a_unit_add_up_to_its_counters(report, trace)
    test_bytes_over_time_add_up_to_the_traffic(report, short)
