"""What `noc` runs, prints and writes."""

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from archsim.cli import _output as out

if TYPE_CHECKING:
    from archsim.system.noc_result import NocResult, Point

BUSIEST = 8  # links that are named where there is no map
LARGE = 5_000_000  # cycles of links from which each load is told of as it is done


def loaded(
    topology: str, traffic: str, load: str, hot: str, file: str | None, **options: Any
) -> "NocResult":
    """The result of some flags.

    Raises:
        BadParameter: a list that is none.
        InputError: what the network refuses.
    """
    from archsim import api

    def tell(point: "Point") -> None:
        """A line for each load of a network that takes long."""
        found = point.found
        if found.cycles * len(found.link_flits) > LARGE:
            latency = _cycles(found.packet_latency)
            out.note(f"load {point.load:g}: latency {latency} cycles")

    loads = _numbers(load, float, "--load")
    nodes = _numbers(hot, int, "--hot")
    return api.noc(topology, traffic, loads, hot=nodes, trace=file, tell=tell, **options)


def _numbers(text: str, kind: Any, flag: str) -> list[Any]:
    try:
        return [kind(word) for word in text.split(",")] if text else []
    except ValueError:
        raise typer.BadParameter(
            f'"{text}" is no list of numbers such as {"0.1,0.2" if kind is float else "27,28"}',
            param_hint=flag,
        ) from None


def show(found: "NocResult", fmt: str) -> None:
    """Print a result."""
    if fmt == "json":
        out.result(out.json_text(found.to_dict()))
    elif fmt == "csv":
        out.result(out.csv_text(found.to_dict()["points"]))
    else:
        out.result(text(found))
    for said in found.warnings:
        out.note(f"warning: {said}")


def text(found: "NocResult") -> str:
    """Latency against load, the saturation and the links, for people."""
    data = found.to_dict()
    traced = data["traffic"] == "trace"
    rows = [
        ["-" if traced else f"{p['load']:g}", _cycles(p["packet_latency_cycles"]),
         _cycles(p["net_latency_cycles"]),
         _cycles(p["packet_latency_max_cycles"]), _cycles(p["hops"]), f"{p['accepted']:.4f}",
         f"{p['packets']}", "stable" if p["stable"] else "unstable"]
        for p in data["points"]
    ]  # fmt: skip
    heads = ["load", "latency", "in network", "longest", "routers", "accepted", "packets", ""]
    lines = [
        f"{data['topology']}, {data['traffic']}, packets of {_flits(data)}, "
        f"fidelity {data['fidelity']}",
        *_routers(data),
        "",
        out.table_text(rows, heads),
        "",
        _verdict(data),
        "",
        *_links(data),
    ]
    return "\n".join(lines)


def _flits(data: dict[str, Any]) -> str:
    """Lengths of packets."""
    least, most = data["packet_flits_min"], data["packet_flits_max"]
    if least != most:
        return f"{least} to {most} flits"
    return f"{most} flit{'s' * (most > 1)}"


def _routers(data: dict[str, Any]) -> list[str]:
    """A line about buffers that were chosen."""
    if not data["buffer_follows_credits"]:
        return []
    routers = data["routers"]
    return [
        f"buffers of {routers['vcs']} x {routers['buffer']} flits, for the credits of its links"
    ]


def _cycles(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _verdict(data: dict[str, Any]) -> str:
    zero, at = data["zero_load_latency_cycles"], data["saturation_load"]
    if data["traffic"] == "trace":
        point = data["points"][0]
        return f"All {point['packets']} packets arrived by cycle {point['cycles']}."
    alone = f"Latency of the lowest load: {_cycles(zero)} cycles."
    if at is None:
        return f"{alone} No load saturates."
    within = data["saturation_within"]
    near = f" (to within {within:.2g})" if within is not None else ", of the loads asked for"
    return f"{alone} Saturates at a load of {at:.4g}{near}."


def _links(data: dict[str, Any]) -> list[str]:
    """A map of a mesh or torus of up to two dimensions, else the busiest links."""
    title = f"Use of links at a load of {data['links_at_load']:g}, in percent"
    if data["traffic"] == "trace":
        title = "Use of links, in percent"
    if 1 <= len(data["dims"]) <= 2:
        return [f"{title} of the busier direction:", "", *heat_map(data)]
    busiest = sorted(data["links"], key=lambda link: -link["utilisation"])[:BUSIEST]
    rows = [[f"{x['from']} to {x['to']}", f"{100 * x['utilisation']:.1f}"] for x in busiest]
    return [f"{title}, the busiest {len(rows)} of {len(data['links'])}:", "", out.table_text(rows)]


def heat_map(data: dict[str, Any]) -> list[str]:
    """Nodes as `o`, node 0 top left, with the use of the link to the next, and round the end."""
    wide, high = (*data["dims"], 1)[:2]
    use: dict[tuple[int, int], int] = {}
    for link in data["links"]:
        ends = tuple(sorted((link["from"], link["to"])))
        percent = round(100 * link["utilisation"])
        use[ends[0], ends[1]] = max(percent, use.get((ends[0], ends[1]), 0))

    def between(a: int, b: int) -> str:
        found = use.get((min(a, b), max(a, b))) if a != b else None
        return "" if found is None else f"{found}"

    lines = []
    for y in range(high):
        row = [y * wide + x for x in range(wide)]
        across = "".join(f"o{between(a, b):^5}" for a, b in pairwise(row))
        round_ = f" {between(row[-1], row[0])}" if wide > 2 else ""
        lines.append(f"{across}o{round_}".rstrip())
        below = [(y + 1) % high * wide + x for x in range(wide)]
        if high > 1 and (y + 1 < high or high > 2):
            downs = "".join(f"{between(a, b):<6}" for a, b in zip(row, below, strict=True))
            lines.append(downs.rstrip())
    return [line for line in lines if line]


def write(found: "NocResult", folder: str) -> None:
    """Result, tables and figures of a run."""
    from archsim.core.files import atomic_write
    from archsim.report import noc_figures, style

    data = found.to_dict()
    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    atomic_write(base / "result.json", out.json_text(data) + "\n")
    atomic_write(base / "load.csv", out.csv_text(data["points"]))
    atomic_write(base / "links.csv", out.csv_text(data["links"]))
    if data["traffic"] != "trace":
        style.save(base / "load", noc_figures.curve, data["points"], noc_figures.CURVE_IN)
    paint = noc_figures.painter(data["dims"], data["nodes"], len(data["links"]))
    style.save(base / "links", paint, data["links"], noc_figures.LINKS_IN)
    out.note(f"wrote {folder}")
