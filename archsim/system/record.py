"""Closes a run: from the plan, the schedule and its counters to plain data for the report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from archsim.components.base import MacEngine
from archsim.interconnect.dma import Dma
from archsim.ir.cascade_mapping import CascadeMapping
from archsim.ir.line import LINE, line_of
from archsim.ir.mapping import Mapping
from archsim.ir.nest import NestMapping
from archsim.ir.record import (
    BoundRecord,
    FoldRecord,
    MachineRecord,
    MemoryRecord,
    RowRecord,
    RunRecord,
    StageRecord,
    TierRecord,
)
from archsim.ir.region import RegionMapping
from archsim.ir.tensor import DType
from archsim.system.dispatch_record import dispatch_records
from archsim.system.expert_cache import expert_records
from archsim.system.homes import tier_bytes
from archsim.system.kinds import devices_with
from archsim.system.nest_stage import busy_pct, cells_used
from archsim.system.on_chip_record import floor_record, short_buffers
from archsim.system.pim_record import pim_records
from archsim.system.place import Plan, Stage
from archsim.system.prices import price
from archsim.system.record_pod import (
    all_tier_bytes,
    devices_of,
    fullest,
    merged,
    pod_record,
    users_of,
)
from archsim.system.simulate import Timed
from archsim.system.stream import compute_type
from archsim.system.stream_record import stream_records
from archsim.system.tagged import AT
from archsim.system.unheard import unheard


def record(plan: Plan, bound: BoundRecord, timed: Timed | None) -> RunRecord:
    """What the report reads; of the bound alone when nothing was timed."""
    stages, repeats, paths, at = merged(plan, timed.schedule) if timed else ([], [], [], [])
    rows = tuple(_rows(timed, at)) if timed else ()
    keys = sorted({key for row in rows for key in row.counts})
    machine = plan.machine
    memory = MemoryRecord(
        tuple(sorted(plan.resident)),
        plan.resident_bytes,
        plan.stream_bytes,
        _tiles_bytes(plan),
        machine.sram.capacity_bytes,
        dict(fullest(plan).dram_bytes),
        _tiers(plan),
        expert_records(plan.homes, machine),
    )
    common = {
        "graph": plan.pod.partition.whole if plan.pod else plan.graph,
        "pod": pod_record(plan.pod, timed) if plan.pod else None,
        "machine": _machine(plan, keys),
        "floor": floor_record(machine.noc, keys, timed),
        "memory": memory,
        "bound": bound,
        "unmatched": plan.unmatched,
        "dispatch": dispatch_records(plan),
        "unheard": (
            *unheard(plan, _banked(timed), memory.tiers),
            *short_buffers(machine.noc, timed),
        ),
    }
    if timed is None:
        return RunRecord(**common, time_ps=bound.ps, timed=False, simulated=False)  # type: ignore[arg-type]
    book, run = timed.schedule, timed.run
    users = users_of(book, at)
    folds = run.folds if run else ()
    return RunRecord(
        **common,  # type: ignore[arg-type]
        time_ps=timed.time_ps,
        timed=True,
        simulated=run is not None,
        stages=tuple(map(_stage, stages, repeats, paths, users)),
        pims=pim_records(stages, repeats, paths, users, exact=book.routers),
        rows=rows,
        banks=book.banks,
        streams=tuple(stream_records(plan, book, run)),
        launches=sum(
            n * devices_of(book, i)
            for i, (s, n) in enumerate(zip(book.stages, book.repeats, strict=True)) if s.launched
        ),
        folds=tuple(FoldRecord(f.loop, f.period, f.simulated, f.counted)
                    for f in folds if f.loop in {b.block.name for b in plan.blocks}),
        steps=run.steps if run else 0,
        steps_simulated=run.steps_simulated if run else 0,
    )  # fmt: skip


def _banked(timed: Timed | None) -> frozenset[str]:
    """Memories whose banks were simulated."""
    return frozenset(r.memory for r in timed.schedule.banks) if timed else frozenset()


def _rows(timed: Timed, at: list[int]) -> Iterable[RowRecord]:
    """Every kind of step; `at` says in the place of which stage each stage is reported."""
    book, run = timed.schedule, timed.run
    units = book.program.units
    nothing = [0] * len(book.program.rows)
    columns = [
        column.tolist() if column is not None else nothing
        for column in (
            (run.busy_ps, run.stall_in_ps, run.stall_out_ps, run.stall_shared_ps,
             run.critical_busy_ps, run.critical_lag_ps)
            if run
            else (None, None, None, None, timed.critical_ps, None)
        )
    ]  # fmt: skip
    counted = zip(
        book.program.rows, book.counts, book.holds, timed.count.tolist(), *columns, strict=True
    )
    for row, counts, holds, executions, *times in counted:
        unit = units[row.unit]
        port = unit.timeline.partition(AT)[0] if unit.timeline else None
        one = RowRecord(unit.name, port, at[row.op], counts, executions, holds, *times)
        alike = devices_of(book, row.op)
        yield replace(one, devices=alike) if alike > 1 else one


def _tiers(plan: Plan) -> tuple[TierRecord, ...]:
    """What each memory behind the chip holds; a lone one holds everything.

    Of several devices that which holds most, and the bandwidth and compulsory bytes of all.
    """
    most = fullest(plan)
    machine, homes = most.machine, most.homes
    moved, count = tier_bytes(plan), 1
    if plan.pod:
        moved, count = all_tier_bytes(plan.pod), plan.machine.devices
    return tuple(
        TierRecord(
            m.name,
            m.capacity_bytes,
            count * m.peak_bytes_per_s,
            machine.route(m.name),
            dict(homes.held.get(m.name, {}) if homes.held else most.dram_bytes),
            homes.reserved(m.name),
            moved[m.name],
        )
        for m in machine.tiers
    )


def _stage(stage: Stage, repeats: int, path: str, devices: int) -> StageRecord:
    mapping = stage.mapping
    return StageRecord(
        path,
        " + ".join(op.name for op in stage.ops[1:]),
        "region" if len(stage.ops) > 1 and _is_region(stage) else stage.ops[0].op_class,
        stage.engine.name,
        mapping.dataflow if mapping else "streaming",
        mapping is not None and any(op.is_mac for op in stage.ops),
        repeats,
        _mapping_eff_pct(stage),
        cells_used(stage),
        devices,
    )


def _is_region(stage: Stage) -> bool:
    """True where ops of any class run side by side, with the chip to themselves."""
    return isinstance(stage.mapping, RegionMapping)


def _mapping_eff_pct(stage: Stage) -> float | None:
    """Share of the array's cells that hold work, mean over the folds, in percent."""
    mapping = stage.mapping
    if isinstance(mapping, CascadeMapping):
        return mapping.busy_pct
    if not isinstance(stage.engine, MacEngine):
        return None
    if isinstance(mapping, NestMapping):
        return busy_pct(mapping, stage.engine)
    if not isinstance(mapping, Mapping):
        return None
    high, wide, _ = stage.engine.grid
    if mapping.stationary == LINE:
        return _line_eff_pct(mapping, high, wide)
    along = {"weight": ("k", "n"), "input": ("k", "m"), "output": ("m", "n")}[mapping.stationary]
    used = cells = 0
    for e in mapping.problem.cases:
        rows, cols = e.of(along[0]), e.of(along[1])
        used += e.b * rows * cols
        cells += e.b * -(-rows // high) * -(-cols // wide) * high * wide
    return 100.0 * used / cells


def _line_eff_pct(mapping: Mapping, high: int, wide: int) -> float:
    """The same where each row of cells holds a line: positions that a stride skips hold no work."""
    line, e = line_of(mapping.problem.op), mapping.problem.largest
    assert line is not None
    outputs = e.b * e.m
    folds = -(-(outputs // line.outputs) // high) * line.parts(wide)
    return 100.0 * outputs / (folds * high * wide)


def _machine(plan: Plan, keys: list[str]) -> MachineRecord:
    machine = plan.machine
    count, port = machine.devices, machine.port
    area, static = (
        {name: devices_with(machine, name) * of for name, of in parts.items()}
        for parts in (machine.area_mm2(), machine.leakage_w())
    )
    if port is not None:
        area[port.name], static[port.name] = (
            port.area_mm2(machine.table), port.leakage_w(machine.table)
        )  # fmt: skip
    return MachineRecord(
        machine.spec.name,
        machine.sram.name,
        machine.dram.name,
        count * machine.dram.peak_bytes_per_s,
        {name: devices_with(machine, name) * peak for name, peak in _engine_peaks(plan).items()},
        tuple(e.name for e in machine.mac_engines),
        area,
        static,
        {key: price(machine, key) for key in keys},
        {x.name: (x.spec.from_, x.spec.to) for x in machine.links.values() if isinstance(x, Dma)},
        machine.spec.budgets.limits(),
        {e: n for e in machine.engines if (n := devices_with(machine, e)) != count},
    )


def _engine_peaks(plan: Plan) -> dict[str, float]:
    """Peak FLOP/s of each engine at the element type of most of the MACs."""
    macs: dict[DType, int] = {}
    for block, op in plan.graph.ops():
        if op.macs():
            weight = compute_type(op, plan.graph)
            macs[weight] = macs.get(weight, 0) + block.count * op.macs()
    if not macs:
        return {}
    most = max(sorted(macs, key=lambda d: d.name), key=macs.__getitem__)
    return {e.name: 2 * e.peak(most) for e in plan.machine.mac_engines}


def _tiles_bytes(plan: Plan) -> int:
    """Most room that the tiles of stages in flight take together."""
    stages = [stage for block in plan.blocks for stage in block.stages]
    rooms = [stage.room_bytes * (1 if _is_region(stage) else 2) for stage in stages]
    return min(plan.stream_bytes, max(rooms, default=0))
