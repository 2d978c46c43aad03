"""What engines inside memories did: their time by what it was spent on, banks, rows, and waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from archsim.core.errors import LawViolation
from archsim.core.units import PS_PER_S
from archsim.ir.pim import PimWork
from archsim.ir.pim_record import PimRecord
from archsim.ir.record import RunRecord
from archsim.report.account import CLASS, Totals


def pim(run: RunRecord) -> dict[str, Any]:
    """By engine: totals over its stages on all devices, then stage by stage.

    Times of banks are those of the busiest channel. `waits` say what they were spent on and add up
    to `banks_ps`. Beside them, changing over took `switch_ps`. An engine waited on the memory's
    port for `waited_for_memory_ps`, inputs and results included, and others for `others_waited_ps`.
    At most `waited_for_others_ps` of the one was for others, and `others_waited_for_it_ps` of the
    other for it: none waits for a turn longer than that takes, and each for every one.
    """
    found = {}
    for engine in sorted({record.engine for record in run.pims}):
        mine = [record for record in run.pims if record.engine == engine]
        busy = sum(row.devices * row.busy_ps for row in run.rows if _unit(run, row.unit) == engine)
        having = run.machine.engine_devices.get(engine, run.devices)
        found[engine] = {
            "memory": mine[0].memory,
            "sharing": mine[0].sharing,
            "bytes_per_s": mine[0].bytes_per_s,
            "busy_ps": busy,
            "busy_share": busy / (having * run.time_ps) if run.simulated else None,
            "switch_ps": max(0, busy - _banks_ps(mine)) if run.simulated else None,
            **_waited(run, engine, mine[0].memory),
            **_summary(mine),
            "stages": {record.stage: _summary([record]) for record in mine},
        }
    return found


def pim_note(run: RunRecord) -> list[str]:
    """How engines inside memories were timed."""
    found: dict[str, list[bool]] = {}
    for record in run.pims:
        of = found.setdefault(f"{record.engine} inside {record.memory}", [])
        of += [step.work.exact for step in record.steps]
    return [f"{who} {_how(exact)}" for who, exact in sorted(found.items())]


def _how(exact: list[bool]) -> str:
    closed = "by closed forms of their commands"
    if not any(exact):
        return closed
    rest = f", {exact.count(False)} of {len(exact)} products {closed}"
    return f"command by command{'' if all(exact) else rest}"


def check_inside(run: RunRecord, totals: Totals) -> None:
    """Units read at least the matrices that they multiply by, and each picosecond has an owner.

    Raises:
        LawViolation: where they do not.
    """

    def law(holds: bool, what: str) -> None:
        if not holds:
            raise LawViolation(f"{run.graph.name}: {what}")

    read = sum(n for k, n in totals.all.items() if k.startswith("pim.") and k.endswith(".read"))
    least = totals.matching("inside.")
    law(read >= least, f"{read} bytes read inside memories, their matrices have {least}")
    for record in run.pims:
        for step in record.steps:
            spent, whole = sum(step.work.waits_ps.values()), step.work.banks_ps
            law(spent == whole, f"{record.stage}: waits of {spent} ps in {whole} ps of the banks")
            least_ps = step.work.bound_ps
            law(whole >= least_ps, f"{record.stage}: {whole} ps, at least {least_ps} ps")


def _banks_ps(records: Iterable[PimRecord]) -> int:
    """Time of the banks over stages, repeats and devices."""
    return sum(r.repeats * r.devices * s.work.banks_ps for r in records for s in r.steps)


def _unit(run: RunRecord, unit: str) -> str:
    return unit.partition(CLASS)[0] if run.pod else unit


def _waited(run: RunRecord, engine: str, memory: str) -> dict[str, int]:
    """Picoseconds of waiting on a memory's port, of an engine and of others, and for whom."""
    waited, held = [0, 0], [0, 0]  # of the engine, of others
    units: tuple[set[str], set[str]] = (set(), set())
    for row in run.rows:
        if row.port == memory:
            name = _unit(run, row.unit)
            side = int(name.partition(".")[0] != engine)
            waited[side] += row.devices * row.stall_shared_ps
            held[side] += row.devices * row.busy_ps
            units[side].add(name)
    return {
        "waited_for_memory_ps": waited[0],
        "others_waited_ps": waited[1],
        "waited_for_others_ps": min(waited[0], held[1] * len(units[0])),
        "others_waited_for_it_ps": min(waited[1], held[0] * len(units[1])),
    }


def _summary(records: Iterable[PimRecord]) -> dict[str, Any]:
    """Totals over stages, repeats and devices; shares are weighted by time, or by accesses."""
    works = [(r.repeats * r.devices, s.work) for r in records for s in r.steps]
    macs = sum(r.repeats * r.devices * s.product.macs for r in records for s in r.steps)
    commands, waits = Counter[str](), Counter[str]()
    for times, work in works:
        commands.update({name: times * n for name, n in work.commands.items()})
        waits.update({name: times * ps for name, ps in work.waits_ps.items()})
    sums = {
        name: sum(times * getattr(work, name) for times, work in works)
        for name in ("banks_ps", "bus_ps", "bound_ps", "activates", "read_bytes", "input_bytes",
                     "result_bytes", "matrix_bytes", "stored_bytes")
    }  # fmt: skip
    return {
        **sums,
        "macs": macs,
        "padding_share": _share(sums["stored_bytes"] - sums["matrix_bytes"], sums["stored_bytes"]),
        "bank_utilisation": _mean(works, "bank_utilisation", "banks_ps"),
        "row_hit_rate": _mean(works, "row_hit_rate", "read_bytes"),
        "ratio_to_bound": _share(sums["banks_ps"], sums["bound_ps"]),
        "waits_ps": dict(sorted(waits.items())),
        "commands": dict(sorted(commands.items())),
    }


def _mean(works: list[tuple[int, PimWork]], name: str, weight: str) -> float | None:
    whole = sum(times * getattr(work, weight) for times, work in works)
    found = sum(times * getattr(work, weight) * getattr(work, name) for times, work in works)
    return found / whole if whole else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


WAITED = (
    ("waited for others on its port", "waited_for_others_ps"),
    ("others waited there for it", "others_waited_for_it_ps"),
)
HEADER = ("Inside memories", "busy", "banks feed", "row hits", "over the least")


def lines(found: Mapping[str, Any], most: int = 3) -> list[list[str]]:
    """Rows of the report: each engine, what its banks' time went to, and its longest stages."""
    rows = []
    for engine, whole in found.items():
        where = f"{engine} in {whole['memory']}"
        rows.append([where, _percent(whole["busy_share"]), *_banks(whole)])
        for reason, ps in sorted(whole["waits_ps"].items(), key=lambda w: (-w[1], w[0])):
            if ps:
                rows.append([f"  {reason}", _percent(ps / whole["banks_ps"]), "", "", ""])
        for text, key in WAITED:
            if whole[key]:
                rows.append([f"  {text}", f"{whole[key] / PS_PER_S * 1e6:.3g} us", "", "", ""])
        longest = sorted(whole["stages"].items(), key=lambda s: (-s[1]["banks_ps"], s[0]))
        for stage, one in longest[:most]:
            part = _percent(one["banks_ps"] / whole["banks_ps"])
            rows.append([f"  {stage}", part, *_banks(one)])
    return rows


def _banks(of: Mapping[str, Any]) -> list[str]:
    over = of["ratio_to_bound"]
    return [
        _percent(of["bank_utilisation"]),
        _percent(of["row_hit_rate"]),
        f"{over:.2f} x" if over else "-",
    ]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
