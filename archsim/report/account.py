"""From counters to totals by stage: what was moved and computed, how long, and on whose account.

Everything is integer until energy is formed: counts by row, times what a row counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from archsim.core.errors import LawViolation
from archsim.ir.record import RowRecord, RunRecord
from archsim.ir.tensor import Role
from archsim.report.exchanges import (
    OF_ALL,
    check_divided,
    check_exchanges,
    least_bytes,
    ops_of,
    waits,
)

# the sequencer is busy only while it launches a kernel
ISSUER, LAUNCH = "issue", "kernel_launch"
INSIDE = "pim."  # begins what engines inside memories count, before their name
HELD = "inside."  # begins bytes of matrices that these read where they lie, by memory and role
BOUND = "bound."  # begins the count of steps that a network on the chip bounds, before its name
CLASS = "@"  # in names of units, before the class of devices that they are of
STALLS = ("busy_ps", "stall_in_ps", "stall_out_ps", "stall_shared_ps")


@dataclass(frozen=True)
class Totals:
    """Sums of one run.

    Attributes:
        by_stage: counts by stage; keys such as `dram.read.weight.weight`, `mac.bf16`.
        critical_ps: critical-path time by (stage, reason); sums to the makespan.
        units: busy, stalls and idle of each unit, in picoseconds.
        nearest: name of the memory whose counts begin with `dram.`; others with `tier.<name>.`.
    """

    by_stage: tuple[Counter[str], ...]
    critical_ps: dict[tuple[int, str], int]
    units: dict[str, dict[str, int]]
    nearest: str

    @cached_property
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

    def macs(self, stage: int | None = None) -> int:
        """Multiply-accumulates, those inside memories too, of one stage or of all."""
        counts = self.all if stage is None else self.by_stage[stage]
        return sum(n for key, n in counts.items() if is_mac(key))

    def prefix(self, memory: str) -> str:
        """What the counts of a memory behind the chip begin with."""
        return "dram." if memory == self.nearest else f"tier.{memory}."

    def used(self, memory: str, way: str = "", role: Role | None = None) -> int:
        """Bytes between a memory behind the chip and the chip itself: staged ones left out."""
        prefix = self.prefix(memory) + (f"{way}." if way else "") + (f"{role}." if role else "")
        return sum(
            n for k, n in self.all.items() if k.startswith(prefix) and not k.endswith(".staged")
        )


def is_mac(key: str) -> bool:
    """True for a count of multiply-accumulates, of whichever processor."""
    return key.startswith("mac.") or (key.startswith(INSIDE) and key.endswith(".mac"))


def inside(row: RowRecord) -> bool:
    """True for a row of an engine inside a memory, which may be on that memory's own timeline."""
    return any(key.startswith(INSIDE) for key in row.counts)


def account(run: RunRecord) -> Totals:
    """Totals of a run, after the laws have been checked.

    Raises:
        LawViolation: when bytes, operations or time do not add up.
    """
    by_stage: list[Counter[str]] = [Counter() for _ in run.stages]
    for row in run.rows:
        counts, times = by_stage[row.stage], row.executions
        for key, amount in row.counts.items():
            alike = 1 if row.devices == 1 or key.startswith(OF_ALL) else row.devices
            counts[key] = counts.get(key, 0) + times * alike * amount
    units = _units(run) if run.simulated else {}
    totals = Totals(tuple(by_stage), _critical(run), units, run.machine.dram)
    _check(run, totals)
    return totals


def _critical(run: RunRecord) -> dict[tuple[int, str], int]:
    """Time on the critical path by stage and by what it was spent on."""
    parts: Counter[tuple[int, str]] = Counter()
    for row in run.rows:
        if not row.critical_busy_ps and not row.critical_lag_ps:
            continue
        unit = row.unit.partition(CLASS)[0] if run.pod else row.unit
        owner, what = (row.port, "bandwidth") if row.port else (unit, "busy")
        links = next((key for key in row.counts if key.startswith(BOUND)), "")
        if row.critical_busy_ps:
            reason = LAUNCH if owner == ISSUER else f"{owner}_{what}"
            reason = f"{links.removeprefix(BOUND)}_bandwidth" if links else reason
            reason = f"{unit}_busy" if inside(row) else reason
            waited = waits(run, row)
            if row.critical_busy_ps > waited:
                parts[row.stage, reason] += row.critical_busy_ps - waited
            if waited:
                parts[row.stage, f"{owner}_latency"] += waited
        if row.critical_lag_ps:
            parts[row.stage, f"{owner}_latency"] += row.critical_lag_ps
    return dict(parts)


def _units(run: RunRecord) -> dict[str, dict[str, int]]:
    units: dict[str, dict[str, int]] = {}
    for row in run.rows:
        if row.unit not in units:
            units[row.unit] = dict.fromkeys(STALLS, 0)
        spent = units[row.unit]
        spent["busy_ps"] += row.busy_ps
        spent["stall_in_ps"] += row.stall_in_ps
        spent["stall_out_ps"] += row.stall_out_ps
        spent["stall_shared_ps"] += row.stall_shared_ps
    for spent in units.values():
        spent["idle_ps"] = run.time_ps - sum(spent.values())
    return {name: units[name] for name in sorted(units)}


def _check_tiers(run: RunRecord, totals: Totals, law: Callable[[bool, str], None]) -> None:
    """What one memory gives another gets, all that lies far away comes, and nothing overflows."""
    taken, given = Counter[str](), Counter[str]()
    for key, amount in totals.all.items():
        kind, _, rest = key.partition(".")
        owner, _, side = rest.rpartition(".")
        if kind == "hop":
            (taken if side == "taken" else given)[owner] += amount
    law(taken == given, "a DMA between memories takes other bytes than it gives")
    for tier in run.memory.tiers:
        port = totals.matching(totals.prefix(tier.name))
        least = tier.compulsory_bytes
        law(port >= least, f"{port} bytes pass {tier.name}, {least} are compulsory")
        held, most = tier.peak_bytes, tier.capacity_bytes
        law(held <= most, f"{tier.name} holds {held} bytes, more than its {most}")


def _check(run: RunRecord, totals: Totals) -> None:
    """The laws that need to know what rows mean; `sim` has checked those of time."""
    graph, everything = run.graph, totals.all

    def law(holds: bool, what: str) -> None:
        if not holds:
            raise LawViolation(f"{graph.name}: {what}")

    # with those that a mask rules out, and those that an engine leaves out for their zeros
    macs = totals.macs() + everything["skipped.macs"] + everything["skipped.zero_macs"]
    work, points = ops_of(run)
    law(macs == work, f"{macs} MACs counted, the graph has {work}")
    counted = everything["vector.points"] + everything["skipped.points"]
    law(counted == points, f"{counted} vector points counted, the graph has {points}")
    moved = totals.used(run.machine.dram)
    law(moved == everything["dma.transfer"], "bytes of the DRAM are not those of the DMA")
    for role in (Role.WEIGHT, Role.KV_CACHE):
        read = sum(totals.used(t.name, "read", role) for t in run.memory.tiers)
        read += sum(n for k, n in everything.items() if k.startswith(HELD) and k.endswith(role))
        least = least_bytes(run, role, "reads")
        law(read >= least, f"{read} bytes of {role.value} read, {least} are compulsory")
    _check_tiers(run, totals, law)
    wrote = totals.used(run.machine.dram, "write", Role.KV_CACHE)
    least = least_bytes(run, Role.KV_CACHE, "writes")
    law(wrote >= least, "less of the KV cache written than appended")
    if run.pod is not None:
        check_exchanges(run.pod, everything, law)
        check_divided(run, law)
    for stage, counts in zip(run.stages, totals.by_stage, strict=True):
        # operands of MACs that are left out for their zeros are brought all the same
        zeros = "skipped.zero_macs"
        work = sum(n for key, n in counts.items() if is_mac(key) or key == zeros)
        loaded = sum(n for key, n in counts.items() if key.endswith((".in", ".weight")))
        # no reuse at all: both operands of every MAC, at the widest element
        fine = not stage.is_mac or loaded <= 8 * work
        law(fine, f"{stage.path} reads {loaded} bytes for {work} MACs")
    on_path = sum(totals.critical_ps.values())
    law(on_path == run.time_ps, f"critical path {on_path} ps, makespan {run.time_ps} ps")
    law(all(s["idle_ps"] >= 0 for s in totals.units.values()), "a unit is busier than the run")
    room = run.memory.resident_bytes + run.memory.stream_bytes
    law(room <= run.memory.sram_capacity_bytes, "more on chip than fits")
    law(run.time_ps >= run.bound.ps, f"{run.time_ps} ps is less than physics allows")
    law(run.time_ps > 0, "a run of no work")
