"""What a report shows in a notebook: the answer first, the rest at a click."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.core import html
from archsim.core.units import format_si

if TYPE_CHECKING:
    from archsim.report.model import Report

CLASSES = 8  # op classes to show, those that take longest
KEY = 12  # characters of a hash, enough to tell runs apart


def shown(report: Report) -> str:
    """The verdict, the key numbers, the op classes that take longest, and the console summary."""
    result, metrics = report.result, report.metrics
    machine, workload = (report.resolved[k].get("name", "") for k in ("hardware", "workload"))
    numbers = [("time", format_si(metrics["time_s"], "s"))]
    for name, unit in (("energy_j", "J"), ("area_mm2", "mm2")):
        found = metrics.get(name)
        if found and found.get("total"):
            numbers.append((name.partition("_")[0], format_si(found["total"], unit)))
    above = f"{result['ratio_to_bound']:.3g} x, set by {result['bound_by']}"
    numbers.append(("over the physical bound", above))
    numbers += [("fidelity", result["fidelity"]), ("run", report.key[:KEY])]
    longest = sorted(result.get("op_classes", ()), key=lambda c: -c["share"])[:CLASSES]
    classes = [(c["op_class"], f"{c['share']:.1%}", c["bound_by"]) for c in longest]
    parts = [html.heading(f"{machine} x {workload}", result.get("verdict", ""))]
    parts.append(html.table(numbers))
    if classes:
        parts.append(html.table(classes, ("op class", "of the time", "bound by")))
    if report.warnings:
        parts.append(html.folded("warnings", html.lines("\n".join(report.warnings)), open_=True))
    parts.append(html.folded("summary", html.lines(report.summary())))
    return html.joined(*parts)
