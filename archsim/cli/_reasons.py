"""What `explain` prints: a metric's formula and terms, the settings behind it, and what-ifs."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim.cli import _fifos, _inside

if TYPE_CHECKING:
    from archsim.core.document import Document
    from archsim.report.model import Report

ROOMS = ("memory", "engines", "interconnect")


def page(folder: str, metric: str | None) -> dict[str, Any]:
    """Everything that `explain` says, as data."""
    from archsim.core.yamlio import load_yaml
    from archsim.report.explain import explain
    from archsim.report.stored import read_run

    report = read_run(folder)
    found = asdict(explain(report.result, report.ops, metric or "metrics.time_s"))
    document = load_yaml(Path(folder) / "config.resolved.yaml")
    found["settings"] = list(_settings(document, found.pop("components")))
    found["rules"] = _rules(report, document, metric) if metric else []
    found["dispatch"] = [d for d in report.result.get("dispatch", ()) if d["op"] == metric]
    found["inside"] = _inside.inside(report.result, metric) if metric else []
    if metric is None:
        found["verdict"] = report.result.get("verdict", "")
        found["changes"] = _changes(report)
        found["streams"] = _fifos.depths(report)
    return found


def _settings(document: "Document", components: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Settings of components, with their line in the resolved configuration and their source."""
    machine = document.data["hardware"]
    sources = machine.get("provenance", {})
    for room in ROOMS:
        for name, described in machine.get(room, {}).items():
            wanted = name in components
            launches = "launch" if "kernel" in components else None  # of `kernel_launch`
            for key, value in described.items():
                if key in ("kind", "provenance") or value in (None, {}, []):
                    continue
                if wanted or key == launches:
                    path = f"{room}.{name}.{key}"
                    line = document.mark(("hardware", room, name, key), "key").line
                    own = described.get("provenance", {}).get(key)
                    text = own or _nearest_source(sources, path)
                    yield {"path": path, "value": value, "line": line, "source": text}


def _nearest_source(sources: dict[str, str], path: str) -> str:
    """The source of a path, or of the nearest one that encloses it."""
    while path:
        if path in sources:
            return sources[path]
        path = path.rpartition(".")[0]
    return ""


def _rules(report: "Report", document: "Document", metric: str) -> list[dict[str, Any]]:
    """The dispatch and mapping rules that cover an op, with their lines."""
    from archsim.system.build import selects

    row = next((r for r in report.ops if r["op"] == metric), None)
    exchanges = {one["path"] for one in report.result.get("collectives", ())}
    if row is None or metric in exchanges:  # these are the network's, whatever rules say
        return []
    found = []
    for kind in ("dispatch", "mapping"):
        for i, rule in enumerate(document.data["hardware"].get(kind, ())):
            if selects(rule["ops"], metric, row["op_class"]):
                idle = "" if rule.get("run_on") == "auto" else "prefer"
                said = {k: v for k, v in rule.items() if v not in (None, []) and k != idle}
                line = document.mark(("hardware", kind, i)).line
                found.append({"rule": f"{kind}[{i}]", "line": line, "says": said})
    return found


def _changes(report: "Report") -> list[dict[str, Any]]:
    """Every change worth trying, with the time that was simulated for it."""
    from archsim import api
    from archsim.report.verdict import LEAST_GAIN

    if report.result["fidelity"] == "bound":
        return []
    before = report.result["time_ps"]
    least = LEAST_GAIN if report.result.get("streams") else 0.0  # more units speed no stream up
    found = [
        {
            "reason": t.reason, "share": t.share, "set": list(t.overrides),
            "was": [str(now) for _, now, _ in t.settings],
            "time_ps": t.time_ps, "gain": before / t.time_ps,
        }
        for t in api.try_changes(report)
    ]  # fmt: skip
    return [change for change in found if change["gain"] >= least]


def text(found: dict[str, Any]) -> str:
    """The page for people."""
    from archsim.cli._output import table_text

    head = f"{found['metric']} = {_value(found['value'], found['unit'])}"
    parts = [f"{head}\n  = {found['formula']}"]
    if found.get("verdict"):
        parts.insert(0, table_text([[found["verdict"]]]))
    for title, key in (("Terms", "parts"), ("Ops behind it", "ops")):
        if found[key]:
            rows = [
                [p["name"], _value(p["value"], p["unit"]), _share(p["share"]), p["note"]]
                for p in found[key]
            ]
            parts.append(table_text(rows, [title, "", "", ""]))
    parts += [
        "\n".join([f"Why it ran on {d['engine']}", *sent_lines(d)])
        for d in found.get("dispatch", ())
    ]
    parts += [_inside.inside_text(one) for one in found.get("inside", ())]
    if found["rules"]:
        lines = [f"  {r['rule']}, line {r['line']}: {_said(r['says'])}" for r in found["rules"]]
        parts.append("\n".join(["Rules that cover it; for each option the first wins", *lines]))
    if found["settings"]:
        parts.append("\n".join(["Settings, by line of config.resolved.yaml", *_lines(found)]))
    parts += _fifos.text(found.get("streams", []))
    if found.get("changes"):
        rows = [
            [c["reason"], _share(c["share"]), f"{c['gain']:.2f} x", " ".join(_flags(c))]
            for c in found["changes"]
        ]
        parts.append(table_text(rows, ["What would relieve it", "now", "faster", "simulated with"]))
    return "\n\n".join(parts)


def sent_lines(one: dict[str, Any]) -> list[str]:
    """Why an op ran where it ran: the rule that spoke for it, and those that it passed."""
    said = f"{one['rule']}: {one['why']}" if one["rule"] else str(one["why"])
    lines = [f"  {said}", *(f"  not {passed}" for passed in one["passed"])]
    if one["rows"]:
        lines.append(f"  it has Op/B {one['op_per_byte']:.4g}, and {one['rows']:.4g} rows a matrix")
    return lines


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """Settings, those of one source together with it below them."""
    from itertools import groupby
    from textwrap import wrap

    for source, group in groupby(found["settings"], key=lambda s: s["source"]):
        for s in group:
            head = f"{s['line']:>5}"
            for part in _parts(s["path"], s["value"]):
                yield f"{head}  {part}"
                head = " " * len(head)
        if source:
            yield from wrap(source, 80, initial_indent=" " * 9, subsequent_indent=" " * 9)


def _parts(path: str, value: Any) -> Iterator[str]:
    """A setting as lines: what it holds itself, then each part that holds more."""
    if not isinstance(value, dict):
        yield f"{path}: {_plain(value)}"
        return
    own = {k: v for k, v in value.items() if not isinstance(v, dict)}
    if own:
        yield f"{path}: {', '.join(f'{k} {_plain(v)}' for k, v in own.items())}"
    for key, inner in value.items():
        if key not in own:
            yield from _parts(f"{path}.{key}", inner)


def _plain(value: Any) -> str:
    """A value as the configuration writes it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {_plain(v)}' for k, v in value.items())}}}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _flags(change: dict[str, Any]) -> list[str]:
    return [f"--set {s.partition('=')[0]}='{s.partition('=')[2]}'" for s in change["set"]]


def _said(rule: dict[str, Any]) -> str:
    return ", ".join(f"{key}: {_plain(value)}" for key, value in rule.items())


def _share(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _value(value: Any, unit: str) -> str:
    from archsim.core.units import format_bytes, format_si

    if unit == "ps" and isinstance(value, int | float):
        return format_si(value * 1e-12, "s")
    if unit == "B" and isinstance(value, int | float):
        return format_bytes(int(value))
    if unit in ("s", "J", "W", "pJ", "MAC", "tok/s") and isinstance(value, int | float):
        return format_si(float(value), unit)
    if isinstance(value, float):
        return f"{value:.4g} {unit}".rstrip()
    return f"{value:,} {unit}".rstrip() if isinstance(value, int) else f"{value} {unit}".rstrip()
