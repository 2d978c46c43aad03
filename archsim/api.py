"""The straight line from a description to an answer, and the places to stop along it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from archsim.core.document import Document
from archsim.core.errors import ArchsimError, Infeasible, InputError, Unsupported
from archsim.ir.graph import OpGraph
from archsim.lowering.lower import lower_once
from archsim.lowering.spec import load_workload
from archsim.memory.pim.measure import pim as _pim
from archsim.report.degraded import against
from archsim.report.model import Report
from archsim.report.stored import read_run
from archsim.report.timeline import Timeline
from archsim.report.verdict import Tried, advised
from archsim.report.write import compose
from archsim.system.advice import changes
from archsim.system.bank_cost import Streams
from archsim.system.bound import bound, least_moved_bytes
from archsim.system.build import Machine, build
from archsim.system.noc import noc as _noc
from archsim.system.place import Plan
from archsim.system.pod import place_all
from archsim.system.record import record
from archsim.system.simulate import makespan_ps, timed
from archsim.system.spec import load_hardware as _load_hardware
from archsim.system.stream_depths import LeastDepths, least_depths
from archsim.system.stream_stuck import streams_of

FIDELITIES = ("bound", "analytic", "tile", "cycle")
TIMED = ("tile", "cycle")  # of them, those that run a schedule through time
noc = _noc
pim = _pim
SLICES = 200_000  # of a timeline: 30 to 50 MB of JSON, which viewers open at ease


def run(
    hardware: str | Path | dict[str, Any],
    workload: str | Path | dict[str, Any],
    *,
    set_: Sequence[str] = (),
    set_files: Sequence[str] = (),
    fidelity: str = "cycle",
    engine: str = "compiled",
    exact: bool = False,
    seed: int = 0,
    phase: str | None = None,
    batch: int | None = None,
    context: int | None = None,
    tokens: int | None = None,
    advice: bool = True,
) -> Report:
    """Simulate a workload on a machine.

    Args:
        hardware: a shipped name, a path, or the description as data.
        workload: a shipped name, a model name with `phase`, a path, or data.
        set_: overrides of the hardware, or of the workload where they begin with `workload.`.
        set_files: files of overrides of the hardware.
        fidelity: bound | analytic | tile | cycle.
        engine: compiled | simpy; both give the same answer.
        exact: simulate every repeat instead of counting recurring ones.
        seed: of every random draw whose own seed the workload does not say.
        phase: prefill | decode | encode, for a bare model name.
        batch: sequences, for a bare model name.
        context: tokens attended by each sequence of a decode step, the newest included.
        tokens: tokens of each sequence of a prefill or encode step.
        advice: simulate the most urgent change of the machine too, for the verdict.

    Raises:
        ArchsimError: with the exit code that the command line returns.
    """
    began = time.perf_counter()
    if fidelity not in FIDELITIES:
        raise InputError(f"fidelity {fidelity!r} is not one of {', '.join(FIDELITIES)}")
    spec, machine, document = _described(hardware, set_, set_files)
    work, graph, said = _graph(workload, set_, phase, batch, context, tokens, seed)
    plan = _placed(graph, machine, work, document, said)
    start = time.perf_counter()
    streams: Streams = {}
    result = None
    if fidelity != "bound":
        result = timed(plan, fidelity=fidelity, engine=engine, exact=exact, streams=streams)
    simulated_s = time.perf_counter() - start
    done = record(plan, bound(plan), result)
    inputs = {"hardware": spec.to_data(), "workload": work.to_data()}
    report = compose(
        done,
        inputs,
        {"fidelity": fidelity, "seed": seed},
        {"engine": engine, "exact": exact, "simulate_s": simulated_s},
    )
    if result is not None and advice:
        advised(report.result, next(_tried(plan, report, fidelity, streams), None))
    if result is not None and spec.faults:
        report.result["degraded"] = _degraded(report)
    report.manifest["wall_s"] = time.perf_counter() - began
    return _traceable(report)


def _degraded(report: Report) -> dict[str, Any]:
    """What the faults of a run cost: the machine is simulated again without them."""
    hardware, result = report.resolved["hardware"], report.result
    whole = {key: value for key, value in hardware.items() if key != "faults"}
    healthy = run(
        whole, report.resolved["workload"],
        fidelity=result["fidelity"], seed=result["seed"], advice=False,
    )  # fmt: skip
    return against(result, healthy.result, hardware["faults"])


def open_run(folder: str | Path) -> Report:
    """The report that a run folder holds.

    Raises:
        InputError: E003 where the folder, or a file that a run writes, is missing or damaged.
    """
    return _traceable(read_run(folder))


def timeline(report: Report, *, most: int = SLICES) -> Timeline:
    """What each unit did when: the run is simulated again, it kept sums only.

    Args:
        report: of the run, as `run` returns it or as it was read back from its folder.
        most: slices; beyond them, some stand for many steps each.

    Raises:
        InputError: for a run that was not simulated through time.
    """
    fidelity = report.result["fidelity"]
    if fidelity not in TIMED:
        raise InputError(
            f"a run at fidelity {fidelity} has no timeline", help="run at fidelity tile or cycle"
        )
    return _timeline(report.resolved, fidelity, most)


def _traceable(report: Report) -> Report:
    """A report that can tell its timeline, where there is one."""
    fidelity = report.result["fidelity"]
    if fidelity not in TIMED:
        return report
    return replace(report, tracer=partial(_timeline, report.resolved, fidelity, SLICES))


def _timeline(resolved: dict[str, Any], fidelity: str, most: int) -> Timeline:
    plan = _planned(resolved)
    result = timed(plan, fidelity=fidelity, slices=most)
    assert result.run is not None
    assert result.run.slices is not None
    done = record(plan, bound(plan), result)
    return Timeline(done, result.schedule.program.units, result.run.slices)


def _planned(resolved: dict[str, Any]) -> Plan:
    """The plan of a run, from what it says it was given."""
    _, machine = _machine(resolved["hardware"], (), ())
    work, graph, _ = _graph(resolved["workload"], (), None, None, None, None)
    return place_all(graph, machine, _accumulator_bits(work), work.parallel)


def try_changes(report: Report) -> list[Tried]:
    """Changes of the machine that would relieve a run, each simulated, the most urgent first.

    Args:
        report: of the run, as `run` returns it or as it was read back from its folder.
    """
    return list(_tried(_planned(report.resolved), report, report.result["fidelity"]))


def fifo_depths(report: Report) -> dict[str, LeastDepths]:
    """The least depths of the FIFOs of every stream of a run, by stage.

    Args:
        report: of the run, as `run` returns it or as it was read back from its folder.
    """
    plan = _planned(report.resolved)
    return {stage.path: least_depths(plan, stage) for stage in streams_of(plan)}


def _tried(
    plan: Plan, report: Report, fidelity: str, streams: Streams | None = None
) -> Iterator[Tried]:
    streams = {} if streams is None else streams
    graph, before, parallel = plan.graph, report.result, None
    if plan.pod is not None:
        graph, parallel = plan.pod.partition.whole, plan.pod.partition.plan
    data = report.resolved["hardware"]
    moved = sum(m["total_bytes"] - m.get("staged_bytes", 0) for m in before["traffic"].values())
    reread = 1 - min(1.0, least_moved_bytes(plan) / moved) if moved else 0.0
    for change in changes(plan.machine, data, before["stalls"], reread):
        _, machine = _machine(data, change.overrides, ())
        try:
            again = place_all(graph, machine, plan.accumulator_bits, parallel)
            again_ps = makespan_ps(again, fidelity, streams)
        except ArchsimError:
            continue  # the changed machine has no mapping: nothing to recommend
        yield Tried(change.reason, change.share, change.settings, change.overrides, again_ps)


def place_only(
    hardware: Any,
    workload: Any,
    *,
    set_: Sequence[str] = (),
    set_files: Sequence[str] = (),
    phase: str | None = None,
    batch: int | None = None,
    context: int | None = None,
    tokens: int | None = None,
    seed: int = 0,
) -> Plan:
    """Everything up to time: engines, fusion, residency, mappings (`archsim map`)."""
    _, machine, document = _described(hardware, set_, set_files)
    work, graph, said = _graph(workload, set_, phase, batch, context, tokens, seed)
    return _placed(graph, machine, work, document, said)


def load_hardware(source: Any, *, set_: Sequence[str] = (), set_files: Sequence[str] = ()) -> Any:
    """The frozen, checked description of a machine."""
    return _machine(source, set_, set_files)[0]


def _machine(hardware: Any, set_: Sequence[str], set_files: Sequence[str]) -> tuple[Any, Machine]:
    return _described(hardware, set_, set_files)[:2]


def _described(
    hardware: Any, set_: Sequence[str], set_files: Sequence[str]
) -> tuple[Any, Machine, Document]:
    own = [s for s in set_ if not s.startswith("workload.")]
    spec, document = _load_hardware(hardware, set_=own, set_files=set_files)
    try:
        return spec, build(spec), document
    except InputError as error:
        raise document.locate(error) from None


def _placed(
    graph: OpGraph, machine: Machine, work: Any, document: Document, said: Document
) -> Plan:
    """The plan; what is refused is placed where it is described: in the machine, or the workload.

    `document` is the machine's, `said` the workload's.
    """
    try:
        return place_all(graph, machine, _accumulator_bits(work), work.parallel)
    except InputError as error:
        path = str(error.details.get("path", ""))
        if not path or error.diagnostics[0].file:
            raise
        raise (said if path.startswith("parallel") else document).locate(error) from None
    except (Unsupported, Infeasible) as error:
        if not error.details.get("path"):
            raise
        there = InputError(error.message, code=error.code, details=error.details)
        where = document.locate(there).diagnostics[0]
        raise type(error)(
            error.message, code=error.code, help=error.help, where=where, details=error.details
        ) from None


def _graph(
    workload: Any,
    set_: Sequence[str],
    phase: str | None,
    batch: int | None,
    context: int | None,
    tokens: int | None,
    seed: int = 0,
) -> tuple[Any, OpGraph, Document]:
    own = [s.removeprefix("workload.") for s in set_ if s.startswith("workload.")]
    work, document = load_workload(
        workload, set_=own, phase=phase, batch=batch, context=context, tokens=tokens, seed=seed
    )
    return work, lower_once(work), document


def _accumulator_bits(work: Any) -> int:
    from archsim.ir.tensor import DTYPES

    return DTYPES[work.dtypes.accumulators].bits
