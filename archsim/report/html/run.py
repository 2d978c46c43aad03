"""The page of a run: the answer first, then where time, bytes, energy and silicon go, and why."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from archsim.core.units import PS_PER_S, format_si
from archsim.core.yamlio import dump_yaml
from archsim.report import figure_tornado
from archsim.report.figure_chart import Figure
from archsim.report.figures import figures
from archsim.report.html.page import AGAIN, Page, Section, Table
from archsim.report.model import SENSITIVITY, Report
from archsim.report.style import Rows

UNITS = {"_s": "s", "_ps": "s", "_j": "J", "_w": "W", "_mm2": "mm²"}


def page(report: Report, folder: Path | None = None, moments: Rows | None = None) -> Page:
    """The page of a run.

    Args:
        report: of the run.
        folder: of the run, where what else was found out about it lies.
        moments: what memories did over time (see `report.moments`), where it is known.
    """
    result = report.result
    title = " on ".join(result["inputs"][kind]["name"] for kind in ("workload", "hardware"))
    found = {figure.name: figure for figure in figures(report, moments)} if report.ops else {}
    return Page(
        title,
        str(result.get("verdict") or "The physical bound: no machine with these peaks is faster."),
        tuple(_facts(report)),
        (
            _key_numbers(result),
            _time(found, result),
            _roofline(found),
            _memories(found, moments),
            _energy(found, result),
            _area(found),
            *_parts(found, result),
            *_experts(report),
            _sensitivity(folder, report.key),
            _rests_on(result),
            _again(report, folder),
        ),
        _passing(report),
    )


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    result, manifest = report.result, report.manifest
    yield "Key", report.key[:8]
    yield "Fidelity", result["fidelity"]
    yield "Seed", str(result["seed"])
    yield "Version", str(manifest.get("archsim", "not known"))


def _passing(report: Report) -> tuple[tuple[str, str], ...]:
    wall_s = report.manifest.get("wall_s")
    return () if wall_s is None else (("Simulated in", format_si(wall_s, "s")),)


def _key_numbers(result: dict[str, Any]) -> Section:
    metrics = result["metrics"]
    rows = [("Time", _number(metrics["time_s"], "s"), _bound(result))]
    for kind, rate in metrics.get("throughput", {}).items():
        if rate is not None:
            rows.append(("Throughput", _number(rate, "tok/s"), f"{kind.split('_')[0]} tokens"))
    energy, power = metrics.get("energy_j"), metrics.get("power_w")
    if energy:
        each = energy.get("per_output_tok")
        detail = f"{_number(each, 'J')} per output token" if each is not None else ""
        rows.append(("Energy", _number(energy["total"], "J"), detail))
    if power:
        rows.append(("Power", _number(power["mean"], "W"), "mean"))
    total = (metrics.get("area_mm2") or {}).get("total")
    if total is not None:
        rows.append(("Area", f"{total:.4g} mm²", ""))
    used = metrics.get("utilization")
    if used:
        rows.append(("MFU", f"{100 * used['mfu']:.3g} %", "of the peak arithmetic"))
        rows.append(("MBU", f"{100 * used['mbu']:.3g} %", "of the peak bandwidth"))
    rows += [_budget(one) for one in result.get("budgets", ())]
    warnings = tuple(result.get("warnings", ()))
    return Section(
        "numbers", "Key numbers", tables=(Table(("", "Value", ""), tuple(rows), (1,)),),
        points=tuple(f"Warning: {text}" for text in warnings),
    )  # fmt: skip


def _bound(result: dict[str, Any]) -> str:
    ratio = result.get("ratio_to_bound")
    if not ratio:
        return ""
    least = _number(result["bound_ps"] / PS_PER_S, "s")
    return f"{ratio:.2f} x the physical bound of {least}, which {result['bound_by']} sets"


def _budget(found: dict[str, Any]) -> tuple[str, str, str]:
    word = {True: "✓ met", False: "✗ violated", None: "not known"}[found["met"]]
    ending = f"_{found['metric'].rpartition('_')[2]}"
    return "Budget", word, f"{found['metric']} at most {_number(found['limit'], UNITS[ending])}"


def _number(value: float | None, unit: str) -> str:
    return "not modelled" if value is None else format_si(value, unit)


def _pick(found: dict[str, Figure], *names: str) -> tuple[Figure, ...]:
    return tuple(found[name] for name in names if name in found)


def _or_else(figures: Sequence[Figure], text: str) -> tuple[str, ...]:
    """The sentence of a section that has nothing to draw."""
    return () if figures else (text,)


def _time(found: dict[str, Figure], result: dict[str, Any]) -> Section:
    shown = _pick(found, "time_by_class", "stalls")
    head = ("Op class", "Share", "On", "Bound by", "MFU", "MBU")
    rows = tuple(
        (c["op_class"], f"{100 * c['share']:.1f} %", c["engine"], c["bound_by"],
         f"{100 * c['mfu']:.1f} %", f"{100 * c['mbu']:.1f} %")
        for c in result.get("op_classes", ())
    )  # fmt: skip
    none = "No time by op class: at this fidelity nothing is run through time."
    tables = (Table(head, rows, (1, 4, 5)),) if rows else ()
    return Section("time", "Time", _or_else(shown, none), shown, tables)


def _roofline(found: dict[str, Figure]) -> Section:
    shown = _pick(found, "roofline")
    none = "No roofline: no op both multiplies and moves bytes off the chip."
    return Section("roofline", "Roofline", _or_else(shown, none), shown)


def _memories(found: dict[str, Figure], moments: Rows | None) -> Section:
    shown = _pick(found, "occupancy", "memory_held", "memory_bandwidth")
    says = _or_else(shown, "No memories: nothing was placed.")
    if shown and not moments:
        says = ("What memories did over time is not known: the run was not simulated through it.",)
    return Section("memories", "Memories", says, shown)


def _energy(found: dict[str, Figure], result: dict[str, Any]) -> Section:
    shown = _pick(found, "energy", "power")
    says = () if "power" in found else (
        "Power over time is not known: the run was not simulated through it.",)  # fmt: skip
    largest = (result.get("provenance") or {}).get("largest_energy", ())
    rows = tuple((r["row"], f"{100 * (r['share'] or 0):.1f} %", r["source"]) for r in largest)
    tables = (Table(("Largest rows", "Share", "Source"), rows, (1,)),) if rows else ()
    none = "No energy: at this fidelity no action is counted."
    return Section("energy", "Energy", says if shown else (none,), shown, tables)


def _area(found: dict[str, Figure]) -> Section:
    shown = _pick(found, "area")
    none = "No area: no component of this machine has a size."
    return Section("area", "Area", _or_else(shown, none), shown)


def _parts(found: dict[str, Figure], result: dict[str, Any]) -> Iterator[Section]:
    """What only some machines have."""
    if "pim" in found:
        yield Section("pim", "Processing in memory", (), _pick(found, "pim"))
    if shown := _pick(found, "collectives", "links"):
        says = (f"{result['devices']} devices.",) if "devices" in result else ()
        parts = {k: v for k, v in result.get("breakdown", {}).items() if v}
        rows = tuple((name, f"{100 * share:.1f} %") for name, share in parts.items())
        tables = (Table(("Time on the critical path", "Share"), rows, (1,)),) if rows else ()
        yield Section("network", "Network", says, shown, tables)
    if "streams" in found:
        yield Section("streams", "Streams", (), _pick(found, "streams"))


def _experts(report: Report) -> Iterator[Section]:
    cache = report.result.get("expert_cache")
    if not cache:
        if any(op["op_class"].startswith("moe") for op in report.ops):
            none = "Experts are all held; how many tokens each was given is not kept by a run."
            yield Section("experts", "Experts", (none,))
        return
    rows = tuple((name.replace("_", " "), f"{value}") for name, value in cache.items())
    yield Section("experts", "Experts", tables=(Table(("Cache of experts", "Value"), rows),))


def _asked(folder: Path | None, key: str) -> dict[str, Any] | str:
    """What a run folder says about sensitivity; in words where it says nothing of this run."""
    ask = (
        "`archsim explain RUN --sensitivity` runs the machine again with each resource changed, "
        "and this page then shows what each is worth."
    )
    path = folder / SENSITIVITY if folder else None
    if path is None or not path.is_file():
        return f"Not asked for: {ask}"
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not found.keys() >= {"key", "rows", "time_s", "step"}:
        return f"{SENSITIVITY} is damaged. {ask}"
    return found if found["key"] == key else f"{SENSITIVITY} is of another run. {ask}"


def _sensitivity(folder: Path | None, key: str) -> Section:
    """What each resource is worth, where the run folder holds an answer for this run."""
    found = _asked(folder, key)
    if isinstance(found, str):
        return Section("sensitivity", "Sensitivity", (found,))
    figure = figure_tornado.tornado(found["rows"], found["time_s"], found["step"])
    bound = found.get("bounded_by")
    says = ["No resource moves the time." if bound is None else
            f"{bound['path']} (now {bound['now']}) bounds this run: its elasticity of time is "
            f"{bound['elasticity_time']:.2f}."]  # fmt: skip
    tables = []
    if changes := found.get("changes"):
        rows = tuple((" and ".join(c["set"]), f"{c['gain']:.3f} x") for c in changes)
        tables.append(Table(("Cheapest changes that gain a tenth", "Faster by"), rows, (1,), (0,)))
    if levels := found.get("levels"):
        steps = tuple((one["fidelity"], _number(one["time_s"], "s"), _number(one["adds_s"], "s"))
                      for one in levels)  # fmt: skip
        tables.append(Table(("Level of detail", "Time", "Adds"), steps, (1, 2)))
    return Section("sensitivity", "Sensitivity", tuple(says), (figure,) if figure else (),
                   tuple(tables))  # fmt: skip


def _rests_on(result: dict[str, Any]) -> Section:
    found = result.get("provenance") or {}
    assumed = [*result.get("placeholders_used", ()), *found.get("assumed_settings", ())]
    says = [*result.get("fidelity_notes", ())]
    if found:
        rows = found["assumed_energy_rows"]
        says.append(
            f"{rows} energy rows and {len(found['assumed_settings'])} settings are assumed."
        )
    left_out = tuple(result.get("not_modelled", ()))
    folded = (("Assumed", "\n".join(assumed)),) if assumed else ()
    return Section(
        "rests-on", "What this rests on", (*says, *(["Not modelled:"] if left_out else [])),
        points=left_out, folded=folded,
    )  # fmt: skip


def _again(report: Report, folder: Path | None) -> Section:
    """How to get the same answer again."""
    result = report.result
    says = ["The descriptions below, each in a file of its own, give the same answer again."]
    commands = [
        "archsim run hardware.yaml workload.yaml "
        f"--fidelity {result['fidelity']} --seed {result['seed']}"
    ]
    if asked := report.typed:
        says.append("The second command is the one that was typed.")
        commands.append(asked)
    if folder and (folder / SENSITIVITY).is_file():
        commands.append(shlex.join(["archsim", "explain", str(folder), "--sensitivity"]))
    hashes = tuple(
        (kind, result["inputs"][kind]["name"], result["inputs"][kind]["sha256"])
        for kind in ("hardware", "workload")
    )
    folded = tuple((f"{kind}.yaml", dump_yaml(report.resolved[kind]))
                   for kind in ("hardware", "workload") if kind in report.resolved)  # fmt: skip
    return Section(
        AGAIN, "Reproduce", tuple(says), folded=folded, commands=tuple(commands),
        tables=(Table(("", "Name", "SHA-256"), hashes, code=(2,)),),
    )  # fmt: skip
