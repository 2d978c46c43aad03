"""What `memory` measures, prints and draws."""

from pathlib import Path
from typing import Any

import typer

from archsim.cli import _output as out


def setup(
    standard: str,
    trace: str,
    requests: int | None,
    channels: int,
    mapping: str,
    outstanding: int,
    **options: Any,
) -> Any:
    """The `Setup` of some flags.

    Raises:
        BadParameter: a row policy that is none.
        InputError: options that contradict each other.
    """
    from archsim.core.document import Document
    from archsim.core.yamlio import validate
    from archsim.memory.controller import ControllerSpec
    from archsim.memory.controllers.measure import DEFAULT_REQUESTS, Setup
    from archsim.memory.traces import TRACES

    queue = options.pop("queue")
    given = {key: value for key, value in options.items() if value is not None}
    if queue:
        given |= {"read_queue": queue, "write_queue": queue}
    if options["row_policy"]:
        given |= _row_policy(options["row_policy"])
    controller = validate(Document.of(given), ControllerSpec)
    number = requests or (DEFAULT_REQUESTS if trace in TRACES else 0)
    return Setup(standard, trace, number, channels, mapping, controller, outstanding)


def _row_policy(text: str) -> dict[str, Any]:
    """`closed_after:4` and `timeout:100` carry a number."""
    name, _, number = text.partition(":")
    key = {"closed_after": "cap", "timeout": "timeout"}.get(name)
    if key is None and not number and name in ("open", "closed"):
        return {"row_policy": name}
    if key is None or not number.isdecimal() or not int(number):
        raise typer.BadParameter(
            f'"{text}" is not open, closed, closed_after:N or timeout:N', param_hint="--row-policy"
        )
    return {"row_policy": name, key: int(number)}


def measured(found: Any) -> dict[str, Any]:
    """The result of a setup, with what arithmetic says of it."""
    from archsim.memory.controllers.measure import closed_form, measure

    return measure(found) | {"closed_form": closed_form(found)}


def show(found: dict[str, Any], fmt: str) -> None:
    """Print a result."""
    if fmt == "json":
        out.result(out.json_text(found))
    elif fmt == "yaml":
        from archsim.core.yamlio import dump_yaml

        out.result(dump_yaml(found))
    elif fmt == "csv":
        out.result(out.csv_text([_flat(found)]))
    else:
        out.result(_text(found))


def _flat(found: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined with dots."""
    row: dict[str, Any] = {}
    for key, value in found.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            row |= _flat(value, f"{name}.")
        else:
            row[name] = " ".join(map(str, value)) if isinstance(value, list) else value
    return row


def _text(found: dict[str, Any]) -> str:
    from archsim.core.units import format_si

    rows, latency, closed = found["rows"], found["read_latency"], found["closed_form"]
    head = f"{found['standard']}, {found['channels']} channel(s), {found['mapping']}"
    lines = [
        [f"{found['trace']}", f"{found['requests']} requests, {found['ticks']} ticks"],
        ["bandwidth", f"{format_si(found['bytes_per_s'], 'B/s')}, {found['of_peak']:.1%} of "
                      f"{format_si(found['peak_bytes_per_s'], 'B/s')}"],
    ]  # fmt: skip
    if latency:
        marks = ", ".join(
            f"{key.removesuffix('_s')} {format_si(value, 's')}" for key, value in latency.items()
        )
        alone = format_si(closed["unloaded_latency_s"], "s")
        lines.append(["read latency", f"{marks} (alone: {alone})"])
    share = rows["hit_rate"]
    hit = "-" if share is None else f"{share:.1%}"
    lines += [
        ["rows", f"{hit} hits, {rows['misses']} misses, {rows['conflicts']} conflicts"],
        ["commands", ", ".join(f"{k} {v}" for k, v in found["commands"].items())],
    ]
    if closed["refresh_share"] is not None:
        lines.append(["refresh", f"{closed['refresh_share']:.1%} of the time by arithmetic"])
    energy = found["energy_j"]
    if energy:
        parts = ("activate", "read", "write", "refresh", "background")
        causes = ", ".join(f"{k} {format_si(energy[k], 'J')}" for k in parts if energy.get(k))
        lines.append(["energy", f"{energy['pj_per_bit']:.4g} pJ/bit: {causes}"])
        if energy["missing"]:
            lines.append(["", f"its source says nothing of {', '.join(energy['missing'])}"])
    return f"{head}\n\n{out.table_text(lines)}"


def curve(found: Any, output: str | None) -> list[dict[str, Any]]:
    """Latency against load; its figure and data go to a folder, where one is given."""
    from archsim.memory.controllers.measure import closed_form, sweep_load

    rows = sweep_load(found)
    if output:
        from archsim.core.files import atomic_write
        from archsim.report import memory_curve, style

        closed = closed_form(found)
        data = [row | {"unloaded_latency_s": closed["unloaded_latency_s"]} for row in rows]
        base = Path(output) / "load"
        style.save(base, memory_curve.paint, data, memory_curve.HEIGHT_IN)
        atomic_write(base.with_suffix(".csv"), out.csv_text(data))
    return rows


def show_curve(rows: list[dict[str, Any]], fmt: str, output: str | None) -> None:
    """Print a load curve."""
    from archsim.core.units import format_si

    if fmt in ("json", "yaml"):
        from archsim.core.yamlio import dump_yaml

        out.result(out.json_text(rows) if fmt == "json" else dump_yaml(rows))
    elif fmt == "csv":
        out.result(out.csv_text(rows))
    else:
        keys = [key for key in rows[0] if key.startswith("latency_")]
        table = [
            [f"{r['offered']:.0%}", f"{r['reached']:.1%}", format_si(r["bytes_per_s"], "B/s"),
             *(format_si(r[key], "s") for key in keys)]
            for r in rows
        ]  # fmt: skip
        names = [key.removeprefix("latency_").removesuffix("_s") for key in keys]
        out.result(out.table_text(table, ["offered", "reached", "bandwidth", *names]))
    if output:
        out.note(f"look into {output}")
