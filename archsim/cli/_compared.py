"""What `compare` reads, prints and refuses."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from archsim.cli import _output as out
from archsim.report.compare import Compared

SHOWN = 8  # parts of a difference, settings, metrics outside a tolerance: the largest ones


def share(tolerance: str | None) -> float | None:
    """A tolerance as a number."""
    from archsim.core.errors import InputError
    from archsim.core.units import QuantityError, parse_fraction

    if tolerance is None:
        return None
    try:
        return parse_fraction(tolerance)
    except QuantityError as error:
        raise InputError(
            f"--tolerance {error.text}", code=error.code, help=error.help
        ) from None  # fmt: skip


def read(name: str) -> Compared:
    """A run by its folder, or a design of a study by `STUDY#KEY`."""
    from archsim.core.errors import InputError

    if "#" in name and not Path(name).exists():
        return _design(name)
    from archsim.dse.page import is_study
    from archsim.report.explain import leaves
    from archsim.report.stored import read_run

    if is_study(Path(name)):
        raise InputError(
            f"{name} is the folder of a study, and one of its designs is compared", code="E003",
            help=f"{name}#KEY, or {name}#baseline: as described; "
            f"`archsim export {name}` lists keys",
        )  # fmt: skip
    report = read_run(name)
    text = (Path(name) / "result.json").read_text("utf-8")
    return Compared(name, report.result, dict(leaves(report.resolved)), text, report.typed)


def _design(name: str) -> Compared:
    """A design of a study; with several workloads, that which follows an `@`."""
    from archsim.core.errors import InputError
    from archsim.dse.kept import kept
    from archsim.report.explain import leaves

    said, _, workload = name.partition("@")
    found = kept(said)
    names = [result["inputs"]["workload"]["name"] for result in found.results]
    if len(names) > 1 and workload not in names:
        raise InputError(
            f"{said} ran {len(names)} workloads, and one is compared", code="E003",
            help=f"name one: {', '.join(f'{said}@{one}' for one in names)}",
        )  # fmt: skip
    at = names.index(workload) if workload in names else 0
    result = found.results[at]
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"  # as `Report` writes it
    return Compared(found.name, result, dict(leaves(found.resolved(at))), text)


def shown(runs: Sequence[Compared], fmt: str) -> str:
    """The comparison in one of its forms."""
    from archsim.report.compare import compare

    found = compare(runs)
    if fmt == "json":
        return out.json_text(found)
    return out.csv_text(list(_flat(found))) if fmt == "csv" else text(found)


def write(runs: Sequence[Compared], file: str, *, static: bool) -> Path:
    """Write the page of a comparison; returns its path."""
    import shlex

    from archsim.core.files import atomic_write
    from archsim.report.html.compared import page
    from archsim.report.html.page import render, with_command

    words = ["archsim", "compare", *(run.name for run in runs), "--output", file]
    made_by = shlex.join([*words, *(["--static"] if static else [])])
    return atomic_write(Path(file), render(with_command(page(runs), made_by), static=static))


def judge(runs: Sequence[Compared], *, exact: bool, tolerance: float | None) -> None:
    """Refuse runs that are not as near to the first as asked.

    Raises:
        OutsideTolerance: with the first place that differs, or the metrics that differ most.
    """
    from archsim.core.errors import OutsideTolerance
    from archsim.report.compare import advised_alone, first_difference, outside

    first = runs[0]
    for other in runs[1:]:
        if exact and (place := first_difference(first, other)):
            path, a, b = place
            raise OutsideTolerance(
                f"{other.name} differs from {first.name}: {path} is {_json(b)}, not {_json(a)}"
            )
        if exact and (alone := advised_alone(first, other)):
            out.note(f"what to change first is left out: {alone.name} alone says it")
        if tolerance is not None and (far := outside(first, other, tolerance)):
            listed = "; ".join(
                f"{path} is {_json(b)}, not {_json(a)}" for path, a, b in far[:SHOWN]
            )
            more = f"; and {len(far) - SHOWN} more" if len(far) > SHOWN else ""
            raise OutsideTolerance(
                f"{other.name} is further from {first.name} than {tolerance:.4g}: {listed}{more}"
            )


def _json(value: Any) -> str:
    """A value in a message: cut where it is long."""
    whole = json.dumps(value, ensure_ascii=False)
    return whole if len(whole) <= 60 else f"{whole[:57]}..."


def _flat(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Everything as rows of one table."""
    names = [run["name"] for run in found["runs"]]
    for row in found["metrics"]:
        for name, value, times in zip(names[1:], row["values"][1:], row["ratios"][1:], strict=True):
            yield _line("metrics", name, row["metric"], row["values"][0], value, times)
    for one in found["differences"]:
        for part in ("by_op_class", "by_reason", "by_op_and_reason", "energy_by_component"):
            for row in one[part]:
                yield _line(part, one["name"], row["part"], row["first"], row["other"], None)
        for row in one["settings"]:
            yield _line("settings", one["name"], row["path"], row["first"], row["other"], None)


def _line(
    section: str, run: str, part: str, first: Any, other: Any, times: float | None
) -> dict[str, Any]:
    return {
        "section": section, "run": run, "part": part, "first": first, "other": other,
        "ratio": times,
    }  # fmt: skip


def text(found: dict[str, Any]) -> str:
    """The comparison for people."""
    from archsim.report.compare import letters

    runs = found["runs"]
    names = letters(len(runs))
    head = [
        [letter, run["hardware"], run["workload"], run["fidelity"], run["name"]]
        for letter, run in zip(names, runs, strict=True)
    ]
    parts = [out.table_text(head, ["", "hardware", "workload", "fidelity", "run"]), ""]
    parts.append(_metrics(found["metrics"], names))
    for letter, one in zip(names[1:], found["differences"], strict=True):
        parts += ["", *_difference(letter, one)]
    return "\n".join(parts)


def _metrics(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """A row a metric; those by component and by resource are in the other forms."""
    from archsim.report.compare import shown

    table = []
    for row in rows:
        if ".by_" in row["metric"]:
            continue
        values = [shown(row["metric"], value) for value in row["values"]]
        ratios = ["", *(f"{times:.3f}" if times is not None else "" for times in row["ratios"][1:])]
        cells = [
            f"{one} {f'({times})' if times else ''}"
            for one, times in zip(values, ratios, strict=True)
        ]
        table.append([row["metric"].removeprefix("metrics."), *cells])
    return out.table_text(table, ["", names[0], *(f"{one} (/{names[0]})" for one in names[1:])])


def _difference(letter: str, one: dict[str, Any]) -> Iterator[str]:
    """Where the time and the energy of a run went that the first did not spend, or saved."""
    from archsim.core.units import PS_PER_S, format_si
    from archsim.report.compare import said

    total_s = one["time_ps"] / PS_PER_S
    yield (
        f"{letter} takes {format_si(abs(total_s), 's')} {'more' if total_s > 0 else 'less'} than A"
        if total_s
        else f"{letter} takes as long as A"
    )
    for title, key in (
        ("by op class", "by_op_class"), ("by what was waited on", "by_reason"),
        ("by op and what it waited on", "by_op_and_reason"),
    ):  # fmt: skip
        yield from _listed(title, one[key], one["time_ps"], PS_PER_S, "s")
    energy_j = one["energy_j"]
    yield (
        f"{letter} spends {format_si(abs(energy_j), 'J')} {'more' if energy_j > 0 else 'less'}"
        if energy_j
        else f"{letter} spends the same energy"
    )
    yield from _listed("by component", one["energy_by_component"], energy_j, 1, "J")
    if one["settings"]:
        yield "Settings that differ"
        rows = [[s["path"], f"{said(s['first'])} -> {said(s['other'])}"]
                for s in one["settings"][:SHOWN]]  # fmt: skip
        yield out.table_text([["", *row] for row in rows])
        if len(one["settings"]) > SHOWN:
            yield f"   and {len(one['settings']) - SHOWN} more"


def _listed(
    title: str, rows: Sequence[dict[str, Any]], total: float, per: int, unit: str
) -> Iterator[str]:
    """The largest parts of a difference, the rest as one."""
    from archsim.report.compare import signed

    moved = [row for row in rows if row["difference"]]
    if not moved:
        return
    lines = [(row["part"], row["difference"]) for row in moved[:SHOWN]]
    rest = sum(row["difference"] for row in moved[SHOWN:])
    if len(moved) > SHOWN:
        lines.append((f"{len(moved) - SHOWN} more", rest))
    cells = [
        ["", signed(amount / per, unit),
         f"{100 * amount / total:.1f} %" if total else "", name]
        for name, amount in lines
    ]  # fmt: skip
    yield out.table_text(cells, ["", title, "of it", ""])
