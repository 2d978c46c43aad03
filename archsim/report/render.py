"""The console summary of a run: the answer first, then where time, energy and bytes went.

Text only: it reads a report's plain data and decides what a person sees first. Tables are laid out
by rich; what the numbers mean is said in `report.result`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archsim import __version__
from archsim.core.units import PS_PER_S, format_bytes, format_si
from archsim.report import banks, floor, pim, pod, stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from archsim.report.model import Report

WIDTH = 80
BAR = 20  # characters of a full bar
LEAST_SHARE = 0.0005  # smaller shares would print as 0.0 %


def summary(report: Report, *, width: int = WIDTH, colour: bool = False) -> str:
    """The summary as text of at most `width` columns; ANSI colours only when asked for."""
    from rich.console import Console

    console = Console(
        width=width,
        color_system="standard" if colour else None,
        force_terminal=colour,
        legacy_windows=False,
        force_jupyter=False,  # a notebook shows what it is given, once
        markup=False,
        highlight=False,
        emoji=False,
    )
    with console.capture() as capture:
        for part in _parts(report.result):
            console.print(part)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").splitlines())


def _parts(result: dict[str, Any]) -> Iterator[RenderableType]:
    """The sections, top to bottom; a section without content is left out."""
    yield _head(result)
    yield ""
    yield _answer(result)
    if result.get("op_classes"):
        yield ""
        yield _classes(result["op_classes"])
    metrics = result["metrics"]
    sections = (
        ("Time on the critical path", _shares(result.get("stalls", {}))),
        ("Energy", _split(metrics.get("energy_j"), "J")),
        ("Area", _split(metrics.get("area_mm2"), "mm2")),
        ("Bytes moved", [*_traffic(result.get("traffic", {})), *_read_inside(result)]),
        (pod.HEADER, pod.lines(result)),
        (floor.HEADER, floor.lines(result)),
        (banks.HEADER, banks.lines(result.get("banks", {}))),
        (pim.HEADER, pim.lines(result.get("pim", {}))),
        (stream.HEADER, stream.lines(result.get("streams", []))),
        (_held_by(result), _held(metrics.get("memory_peak_bytes", {}))),
    )
    for title, rows in sections:
        if rows:
            yield ""
            header = title if isinstance(title, tuple) else (title, "", "", "")
            yield _table(header, rows, right=(1, 2))
    found = result.get("provenance")
    if found:
        yield ""
        yield _rests_on(found)
    assumed = result.get("placeholders_used")
    if assumed:
        yield ""
        yield f"Assumed energy rows: {', '.join(assumed)}"
    if result.get("verdict"):
        yield ""
        yield str(result["verdict"])


def _rests_on(found: dict[str, Any]) -> str:
    """The largest energy and area, where their numbers come from, and how many have no source."""
    lines = ["Rests on"]
    for kind, key in (("largest_energy", "row"), ("largest_area", "component")):
        if found[kind]:
            first = found[kind][0]
            what = kind.removeprefix("largest_")
            lines.append(f"  {what}: {first[key]} ({_percent(first['share'])}), {first['source']}")
    settings = len(found["assumed_settings"])
    lines.append(f"  assumed: {found['assumed_energy_rows']} energy rows, {settings} settings")
    return "\n".join(lines)


def _head(result: dict[str, Any]) -> str:
    names = " x ".join(result["inputs"][kind]["name"] for kind in ("hardware", "workload"))
    options = f"fidelity={result['fidelity']}  seed={result['seed']}"
    return f"archsim {__version__}  {names}  {options}  key {result['key'][:8]}"


def _answer(result: dict[str, Any]) -> RenderableType:
    """Time, energy, power and area: what was asked."""
    metrics = result["metrics"]
    rows = [["Time", _si(metrics["time_s"], "s"), _against_bound(result)], *pod.answer(result)]
    rates = {
        kind: f"{rate:.4g} tok/s" if rate < 1e4 else _si(rate, "tok/s")
        for kind in ("prompt", "output")
        if (rate := _get(metrics, "throughput", f"{kind}_tok_per_s")) is not None
    }
    if rates:
        kind, *rest = rates
        detail = "".join(f"; {rates[other]} {other} tokens" for other in rest)
        rows.append(["Throughput", rates[kind], f"{_tokens(result, kind)}s{detail}"])
    energy = _get(metrics, "energy_j", "total")
    if energy is not None:
        per_token = _get(metrics, "energy_j", "per_output_tok")
        detail = f"{_si(per_token, 'J')} per {_tokens(result)}" if per_token is not None else ""
        rows.append(["Energy", _si(energy, "J"), detail])
        rows.append(["Power", _si(_get(metrics, "power_w", "mean"), "W"), "mean"])
    area = _si(_get(metrics, "area_mm2", "total"), "mm2")
    parts = "engines, SRAM and links of all devices; without control"
    if "devices" not in result:
        parts = "engines and SRAM; without PHYs, links and control"
    rows.append(["Area", area, parts])
    staged = result.get("staging")
    if staged and staged["bytes"]:
        share = f"between memories, {_percent(staged['hidden_share'])} of the time hidden"
        rows.append(["Staged", format_bytes(staged["bytes"]), share])
    if result.get("launches"):
        rows.append(["Launches", f"{result['launches']}", "kernels, or regions of ops, one by one"])
    rows += stream.answer(result.get("streams", []))
    cache = result.get("expert_cache")
    if cache:
        rate = f"{_percent(cache['hit_rate'])} hits"
        detail = f"{cache['policy']}, {cache['held']} a layer held; {cache['misses']} fetched, "
        rows.append(["Experts", rate, f"{detail}{_si(cache['miss_s'], 's')} each"])
    used = metrics.get("utilization")
    if used:
        rows.append(["Utilization", f"MFU {_percent(used['mfu'])}", f"MBU {_percent(used['mbu'])}"])
    rows += [_budget(found) for found in result.get("budgets", [])]
    return _table([], rows)


def _budget(found: dict[str, Any]) -> list[str]:
    """A budget, and whether the run keeps it."""
    name, _, ending = found["metric"].rpartition("_")
    unit = {"s": "s", "j": "J", "mm2": "mm2"}[ending]
    word = {True: "met", False: "violated", None: "not known at this fidelity"}[found["met"]]
    return ["Budget", f"{name} {word}", f"at most {_si(found['limit'], unit)}"]


def _tokens(result: dict[str, Any], kind: str = "output") -> str:
    """What a token is called: an encoder's and training's are no prompt and not generated."""
    encodes = _get(result, "model", "phase", "kind") in ("encode", "train")
    return "token" if encodes else f"{kind} token"


def _against_bound(result: dict[str, Any]) -> str:
    if result.get("ratio_to_bound") is None or result["fidelity"] == "bound":
        return f"the physical bound, set by {result['bound_by']}"
    bound = _si(result["bound_ps"] * 1e-12, "s")
    return f"{result['ratio_to_bound']:.3f} x the physical bound {bound} ({result['bound_by']})"


def _classes(classes: Sequence[dict[str, Any]]) -> RenderableType:
    """Share of time per op class, with where it ran and what bound it."""
    header = ["Time by op class", "share", "time", "on", "bound by", "MFU", "MBU"]
    rows = [
        [
            c["op_class"],
            _percent(c["share"]),
            _si(c["time_ps"] * 1e-12, "s"),
            c["engine"],
            c["bound_by"],
            _percent(c["mfu"]),
            _percent(c["mbu"]),
        ]
        for c in classes
    ]
    return _table(header, rows, right=(1, 2, 5, 6))


def _shares(shares: dict[str, float]) -> list[list[str]]:
    shown = [(name, share) for name, share in shares.items() if share >= LEAST_SHARE]
    rows = [[name, _percent(share), "", _bar(share)] for name, share in shown]
    rest = 1 - sum(share for _, share in shown)
    if len(shown) < len(shares):
        rows.append([f"{len(shares) - len(shown)} more", _percent(rest), "", ""])
    return rows


def _split(metric: dict[str, Any] | None, unit: str) -> list[list[str]]:
    """A total by component, largest first."""
    parts = (metric or {}).get("by_component") or {}
    total = sum(parts.values())
    if not total:
        return []
    order = sorted(parts, key=lambda name: (-parts[name], name))
    return [
        [name, _percent(parts[name] / total), _si(parts[name], unit), _bar(parts[name] / total)]
        for name in order
        if parts[name]
    ]


def _traffic(traffic: dict[str, dict[str, int]]) -> list[list[str]]:
    rows = []
    for memory, moved in traffic.items():
        total = moved.get("total_bytes") or sum(moved.values())
        for name, count in moved.items():
            if count:
                share = "" if name == "total_bytes" else _percent(count / total)
                label = name.removesuffix("_bytes").replace("_", " ")
                rows.append([f"{memory} {label}", share, format_bytes(count), ""])
    return rows


def _read_inside(result: dict[str, Any]) -> list[list[str]]:
    """Bytes that never left their memory, and the share of what engines in it can read meanwhile.

    Of a pod both are of all devices.
    """
    rows = []
    for engine, whole in result.get("pim", {}).items():
        read, peak = whole["read_bytes"], whole["bytes_per_s"]
        said = format_bytes(read)
        if whole["busy_share"]:
            seconds = whole["busy_ps"] / whole["busy_share"] / PS_PER_S  # of all that have it
            said += f", {_percent(read / peak / seconds)} of {format_si(peak, 'B/s')} a device"
        rows.append([f"{whole['memory']} read inside, by {engine}", "", said, ""])
    return rows


def _held_by(result: dict[str, Any]) -> str:
    return "Held at most, on each device" if "devices" in result else "Held at most"


def _held(peak: dict[str, int]) -> list[list[str]]:
    return [[memory, "", format_bytes(count), ""] for memory, count in peak.items()]


def _table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()
) -> RenderableType:
    """Columns without lines; the first row of words is bold where there is colour."""
    from rich.table import Table

    table = Table(
        box=None,
        pad_edge=False,
        show_header=bool(header),
        header_style="bold",
        padding=(0, 2, 0, 0),
    )
    for i in range(max(len(row) for row in [*rows, header])):
        table.add_column(
            header[i] if header else "",
            justify="right"
            if i in right or ((header and not header[i]) and i in (1, 2))
            else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*row)
    return table


def _get(metrics: dict[str, Any], *path: str) -> Any:
    """A nested value, None where a step is absent or null."""
    value: Any = metrics
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _si(value: float | None, unit: str) -> str:
    """A value for people; areas keep their unit, which no prefix fits."""
    if value is None:
        return "-"
    return f"{value:.4g} mm2" if unit == "mm2" else format_si(value, unit)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _bar(share: float) -> str:
    return "━" * round(BAR * share)
