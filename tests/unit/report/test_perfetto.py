"""Does a trace in Perfetto's format say what the counters of the run say, to the picosecond?"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace

from archsim import api
from archsim.report.flows import flows
from archsim.report.model import Report
from archsim.report.power import power_w
from archsim.report.timeline import Timeline

PIPELINE = ("workload.parallel.pipeline=2", "workload.parallel.tensor=4")
CASES = {
    "one device": ("npu", {"phase": "prefill", "tokens": 8}, ()),
    "a pipeline of two": ("h100x8", {"phase": "decode", "context": 8}, PIPELINE),
}
BEGIN, END, COUNTER = 1, 2, 4


class Slice(NamedTuple):
    """One slice as the file has it: names in full, times in nanoseconds."""

    name: str
    state: str
    start: int
    end: int
    args: dict[str, Any]
    leaves: list[int]
    arrives: list[int]


class Read:
    """A trace, decoded."""

    def __init__(self, content: bytes) -> None:
        self.tracks: dict[int, Any] = {}
        self.slices: dict[str, list[Slice]] = defaultdict(list)
        self.samples: dict[str, list[tuple[int, float]]] = defaultdict(list)
        packets = Trace.FromString(content).packet
        self.names = packets[0].interned_data
        table = {
            kind: {e.iid: getattr(e, field) for e in getattr(self.names, kind)}
            for kind, field in (
                ("event_names", "name"), ("event_categories", "name"),
                ("debug_annotation_names", "name"), ("debug_annotation_string_values", "str"),
            )
        }  # fmt: skip
        opened: dict[int, Any] = {}
        for packet in packets:
            event, at = packet.track_event, packet.timestamp
            if packet.HasField("track_descriptor"):
                self.tracks[packet.track_descriptor.uuid] = packet.track_descriptor
            elif event.type == BEGIN:
                assert event.track_uuid not in opened  # no slice inside another
                opened[event.track_uuid] = event, at
            elif event.type == END:
                begun, start = opened.pop(event.track_uuid)
                self.slices[self.tracks[event.track_uuid].name].append(
                    Slice(
                        table["event_names"][begun.name_iid],
                        table["event_categories"][begun.category_iids[0]],
                        start, at, arguments(begun.debug_annotations, table),
                        list(begun.flow_ids), list(begun.terminating_flow_ids),
                    )
                )  # fmt: skip
            elif event.type == COUNTER:
                name = self.tracks[event.track_uuid].name
                self.samples[name].append((at, event.double_counter_value))
        assert not opened

    def above(self, name: str) -> list[str]:
        """Names of the tracks that a track is in, from the outermost."""
        found = []
        track = next(t for t in self.tracks.values() if t.name == name)
        while track.parent_uuid:
            track = self.tracks[track.parent_uuid]
            found.append(track.name)
        return found[::-1]


def arguments(annotations: Any, table: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in annotations:
        kind = one.WhichOneof("value")
        value = getattr(one, kind) if kind else arguments(one.dict_entries, table)
        if kind == "string_value_iid":
            value = table["debug_annotation_string_values"][value].decode()
        found[table["debug_annotation_names"][one.name_iid]] = value
    return found


@pytest.fixture(scope="module", params=CASES)
def report(request: pytest.FixtureRequest) -> Report:
    machine, phase, overrides = CASES[request.param]
    return api.run(
        machine, "gpt2-small", **phase, batch=1, set_=overrides, fidelity="tile", advice=False
    )


@pytest.fixture(scope="module")
def timeline(report: Report) -> Timeline:
    return report.timeline()


@pytest.fixture(scope="module")
def trace(timeline: Timeline) -> Read:
    return Read(timeline.to_perfetto())


def test_exact_times_of_a_track_add_up_to_the_counters_of_its_unit(
    report: Report, trace: Read
) -> None:
    for unit, counters in report.result["units"].items():
        sums: Counter[str] = Counter()
        for one in trace.slices[unit]:
            sums[one.state] += one.args["ps"]
        for state in ("busy", "stall_in", "stall_out", "stall_shared"):
            assert sums[state] == counters[f"{state}_ps"], (unit, state)


def test_slices_touch_without_an_overlap_in_whole_nanoseconds(report: Report, trace: Read) -> None:
    ends = []
    for slices in trace.slices.values():
        assert all(a.end == b.start for a, b in pairwise(slices))
        assert slices[0].start == 0
        last = slices[-1].args
        assert slices[-1].end == (last["start_ps"] + last["ps"]) // 1000
        assert sum(s.end - s.start for s in slices) == slices[-1].end
        ends.append(slices[-1].end)
    assert max(ends) == report.result["time_ps"] // 1000


def test_tracks_are_nested_in_what_they_belong_to(trace: Read, report: Report) -> None:
    piped = "parallel" in report.result
    vector, at = ("vector@stage1", "@stage1") if piped else ("vector", "")
    device, group = trace.above(vector)
    assert group == "engines"
    assert device.endswith("stage1, one of 4 alike devices" if piped else "x gpt2-small")
    assert trace.above(f"vector.load{at}") == [device, "memory hbm"]
    assert trace.above(f"issue{at}") == [device, "sequencing"]
    if piped:
        assert trace.above("node.pipeline.send@stage0")[1] == "link node"


def test_counters_say_their_unit_and_last_as_long_as_the_run(trace: Read, report: Report) -> None:
    units = {t.name: (t.counter.unit, t.counter.unit_name) for t in trace.tracks.values()}
    assert units["hbm held"] == (3, "")  # UNIT_SIZE_BYTES
    assert units["hbm bandwidth"] == (0, "B/s")
    for samples in trace.samples.values():
        assert [at for at, _ in samples] == sorted(at for at, _ in samples)
        assert samples[-1] == (report.result["time_ps"] // 1000, 0)


def test_power_over_time_adds_up_to_the_energy_of_the_run(
    trace: Read, report: Report, timeline: Timeline
) -> None:
    energy, time_s = report.metrics["energy_j"], report.metrics["time_s"]
    for shown in (timeline, api.timeline(report, most=200)):
        watts = power_w(shown, 100)
        assert watts.mean() * time_s == pytest.approx(energy["total"], rel=1e-9)
        assert 0 < watts.min() < watts.max()
    assert len(trace.samples["power"]) == 257


def test_no_memory_of_a_device_holds_or_moves_more_than_it_can(trace: Read, report: Report) -> None:
    machine = report.result["machine"]
    for memory, capacity in machine["capacity_bytes"].items():
        assert 0 < max(held for _, held in trace.samples[f"{memory} held"]) <= capacity
    peak = machine["bandwidth_bytes_per_s"] / report.result.get("devices", 1)
    assert 0 < max(rate for _, rate in trace.samples["hbm bandwidth"]) <= peak * (1 + 1e-9)


def test_every_arrow_goes_forward_to_an_op_that_reads_what_the_other_wrote(
    trace: Read, timeline: Timeline
) -> None:
    leave, arrive = {}, {}
    for slices in trace.slices.values():
        for one in slices:
            leave |= dict.fromkeys(one.leaves, one)
            arrive |= dict.fromkeys(one.arrives, one)
    assert leave.keys() == arrive.keys()
    assert len(leave) == len(flows(timeline).arrows) > 100
    reads, writes = fused_accesses(timeline)
    for number, source in leave.items():
        target = arrive[number]
        assert source.start < target.start
        assert writes[source.name] & reads[target.name], (source.name, target.name)


def fused_accesses(timeline: Timeline) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Tensors that each stage reads and writes; what carries over counts by both its names."""
    run = timeline.run
    shares = run.pod.shares if run.pod else []
    reads: dict[str, set[str]] = defaultdict(set)
    writes: dict[str, set[str]] = defaultdict(set)
    for prefix, graph in [(f"{s.name}:", s.graph) for s in shares] or [("", run.graph)]:
        places = {
            (stage.path.removeprefix(prefix).partition("/")[0], name): stage.path
            for stage in run.stages if stage.path.startswith(prefix)
            for name in (stage.path.partition("/")[2], *stage.fused.split(" + "))
        }  # fmt: skip
        for block, op in graph.ops():
            path = places[block.name, op.name]
            carried = {after: read for read, after in block.carry}
            reads[path] |= {a.tensor for a in op.reads}
            made = {a.tensor for a in op.writes}
            writes[path] |= made | {carried[t] for t in made if t in carried}
    return reads, writes


def test_a_stretch_of_work_says_its_bytes_its_flop_and_what_bounds_its_op(
    trace: Read, report: Report
) -> None:
    ops = {op["op"]: op for op in report.ops}
    flop: Counter[str] = Counter()
    for unit, slices in trace.slices.items():
        for one in slices:
            if one.state == "busy":
                about = one.args["op"]
                assert about["bound_by"] == ops[one.name]["bound_by"], unit
                assert about["flop"] == 2 * ops[one.name]["macs"]
                flop[one.name] += one.args["step"]["flop"] * one.args["steps"]
    alike = 4 if "parallel" in report.result else 1
    assert {op: n * alike for op, n in flop.items()} == {op: 2 * ops[op]["macs"] for op in flop}


def test_what_a_shortened_timeline_leaves_out_is_counted(report: Report) -> None:
    whole = flows(report.timeline())
    few = flows(api.timeline(report, most=200))
    assert len(few.arrows) < len(whole.arrows)
    assert len(few.arrows) + few.left_out == len(whole.arrows) + whole.left_out
