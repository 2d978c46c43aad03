"""From counters to totals by stage: what was moved and computed, how long, and on whose account.

Everything is integer until energy is formed: counts by row, times what a row counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from archsim.core.errors import LawViolation
from archsim.ir.tensor import Role
from archsim.system.place import Plan
from archsim.system.simulate import Timed


@dataclass(frozen=True)
class Totals:
    """Sums of one run.

    Attributes:
        by_stage: counts by stage label; keys such as `dram.read.weight.weight`, `mac.bf16`.
        critical_ps: critical-path time by (stage, reason); sums to the makespan.
        units: busy, stalls and idle of each unit, in picoseconds.
    """

    by_stage: tuple[Counter[str], ...]
    critical_ps: dict[tuple[int, str], int]
    units: dict[str, dict[str, int]]

    @property
    def all(self) -> Counter[str]:
        """Counts of the whole run."""
        total: Counter[str] = Counter()
        for stage in self.by_stage:
            total.update(stage)
        return total

    def matching(self, prefix: str, stage: int | None = None) -> int:
        """Sum of the counts whose key starts with a prefix, of one stage or of all."""
        counts = self.all if stage is None else self.by_stage[stage]
        return sum(n for key, n in counts.items() if key.startswith(prefix))


def account(plan: Plan, timed: Timed) -> Totals:
    """Totals of a run, after the laws have been checked.

    Raises:
        LawViolation: when bytes, operations or time do not add up.
    """
    book = timed.schedule
    by_stage: list[Counter[str]] = [Counter() for _ in book.stages]
    for row, counts, n in zip(book.program.rows, book.counts, timed.count.tolist(), strict=True):
        for key, amount in counts.items():
            by_stage[row.op][key] += n * amount
    totals = Totals(tuple(by_stage), _critical(plan, timed), _units(timed))
    _check(plan, timed, totals)
    return totals


def _critical(plan: Plan, timed: Timed) -> dict[tuple[int, str], int]:
    program, run = timed.schedule.program, timed.run
    dram = plan.machine.dram.name
    parts: Counter[tuple[int, str]] = Counter()

    def add(i: int, ps: int, what: str) -> None:
        unit = program.units[program.rows[i].unit]
        reason = f"{dram}_{what}" if unit.timeline else f"{unit.name}_{what}"
        parts[program.rows[i].op, reason] += ps

    if run is None:
        for i, ps in enumerate(timed.critical_ps.tolist()):
            if ps:
                add(i, ps, "bandwidth" if program.units[program.rows[i].unit].timeline else "busy")
        return dict(parts)
    assert run.critical_busy_ps is not None
    assert run.critical_lag_ps is not None
    for i, (busy, lag) in enumerate(
        zip(run.critical_busy_ps.tolist(), run.critical_lag_ps.tolist(), strict=True)
    ):
        shared = program.units[program.rows[i].unit].timeline
        if busy:
            add(i, busy, "bandwidth" if shared else "busy")
        if lag:
            add(i, lag, "latency")
    return dict(parts)


def _units(timed: Timed) -> dict[str, dict[str, int]]:
    run, program = timed.run, timed.schedule.program
    if run is None:
        return {}
    columns = {
        "busy_ps": run.busy_ps,
        "stall_in_ps": run.stall_in_ps,
        "stall_out_ps": run.stall_out_ps,
        "stall_shared_ps": run.stall_shared_ps,
    }
    units: dict[str, dict[str, int]] = {
        unit.name: dict.fromkeys(columns, 0) for unit in program.units
    }
    for name, column in columns.items():
        for row, ps in zip(program.rows, column.tolist(), strict=True):
            units[program.units[row.unit].name][name] += ps
    for spent in units.values():
        spent["idle_ps"] = run.makespan_ps - sum(spent.values())
    return {name: units[name] for name in sorted(units)}


def _check(plan: Plan, timed: Timed, totals: Totals) -> None:
    """The laws that need to know what rows mean; `sim` has checked those of time."""
    graph, everything = plan.graph, totals.all

    def law(holds: bool, what: str) -> None:
        if not holds:
            raise LawViolation(f"{graph.name}: {what}")

    macs = totals.matching("mac.")
    law(macs == graph.macs(), f"{macs} MACs counted, the graph has {graph.macs()}")
    points = sum(b.count * op.points() for b, op in graph.ops() if not op.is_mac)
    counted = everything["vector.points"]
    law(counted == points, f"{counted} vector points counted, the graph has {points}")
    moved = totals.matching("dram.")
    law(moved == everything["dma.transfer"], "bytes of the DRAM are not those of the DMA")
    for role in (Role.WEIGHT, Role.KV_CACHE):
        read = totals.matching(f"dram.read.{role.value}.")
        least = graph.read_bytes(role)
        law(read >= least, f"{read} bytes of {role.value} read, {least} are compulsory")
    wrote = totals.matching("dram.write.kv_cache.")
    law(wrote >= graph.write_bytes(Role.KV_CACHE), "less of the KV cache written than appended")
    on_path = sum(totals.critical_ps.values())
    law(on_path == timed.time_ps, f"critical path {on_path} ps, makespan {timed.time_ps} ps")
    law(all(s["idle_ps"] >= 0 for s in totals.units.values()), "a unit is busier than the run")
    room = plan.resident_bytes + plan.stream_bytes
    law(room <= plan.machine.sram.capacity_bytes, "more on chip than fits")
    law(timed.time_ps > 0, "a run of no work")
