"""The page of runs side by side: their numbers, and what makes up the differences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from archsim.core.units import PS_PER_S, format_si
from archsim.report.compare import Compared, compare, letters, said, shown, signed
from archsim.report.figure_chart import Figure
from archsim.report.figure_difference import Ends, side_by_side, waterfall
from archsim.report.html.page import AGAIN, Page, Section, Table

MOST_OPS = 12
MOST_SETTINGS = 200  # of a list that opens on a click
DIVISIONS = (
    ("by_op_class", "Time by op class"), ("by_reason", "Time by what was waited on"),
)  # fmt: skip


def page(runs: Sequence[Compared]) -> Page:
    """The page of two or more runs; the first is the reference.

    Raises:
        InputError: as `report.compare.compare`.
    """
    found = compare(runs)
    titles = _titles(found["runs"])
    names = letters(len(runs))
    return Page(
        " against ".join(titles),
        " ".join(_verdict(titles[0], title, one, runs[0].result["time_ps"])
                 for title, one in zip(titles[1:], found["differences"], strict=True)),
        tuple((f"{letter}: {title}", f"{run['workload']}, {run['fidelity']}")
              for letter, title, run in zip(names, titles, found["runs"], strict=True)),
        (
            _numbers(found["metrics"], names, titles),
            _beside(runs, titles),
            *(_difference(i, runs, titles, one) for i, one in enumerate(found["differences"], 1)),
            _rests_on(runs, names),
            _again(runs),
        ),
    )  # fmt: skip


def _titles(runs: Sequence[dict[str, Any]]) -> list[str]:
    """The shortest names that tell runs apart: of the machine, of what it runs, or as asked."""
    for parts in (("hardware",), ("workload",), ("hardware", "workload"),
                  ("hardware", "workload", "fidelity")):  # fmt: skip
        names = [" on ".join(str(run[part]) for part in reversed(parts)) for run in runs]
        if len(set(names)) == len(runs):
            return names
    return [str(run["name"]) for run in runs]


def _verdict(first: str, title: str, one: dict[str, Any], of_ps: int) -> str:
    if not one["time_ps"]:
        return f"{title} takes as long as {first}."
    now = of_ps + one["time_ps"]
    times = max(of_ps, now) / min(of_ps, now)
    word = "faster" if now < of_ps else "slower"
    parts = [row for row in one["by_op_class"] if row["difference"]]
    text = f"{title} is {times:.3g} x {word} than {first}"
    if parts and parts[0]["difference"] * one["time_ps"] > 0:
        share = parts[0]["difference"] / one["time_ps"]
        text += f"; {parts[0]['part']} makes up {100 * share:.0f} % of the difference"
    energy = one["energy_j"]
    spends = f"{signed(energy, 'J')} of energy" if energy else "the same energy"
    return f"{text}; {spends}."


def _numbers(
    rows: Sequence[dict[str, Any]], names: Sequence[str], titles: Sequence[str]
) -> Section:
    cells = []
    for row in rows:
        if ".by_" in row["metric"] or not any(row["values"]):
            continue
        values = [shown(row["metric"], value) for value in row["values"]]
        ratios = ["" if r is None else f"{r:.3f} x" for r in row["ratios"][1:]]
        cells.append((row["metric"].removeprefix("metrics."), *values, *ratios))
    named = [f"{letter}: {title}" for letter, title in zip(names, titles, strict=True)]
    head = ("", *named, *(f"{letter} / {names[0]}" for letter in names[1:]))
    return Section("numbers", "Key numbers",
                   tables=(Table(head, tuple(cells), tuple(range(1, len(head)))),))  # fmt: skip


def _beside(runs: Sequence[Compared], titles: Sequence[str]) -> Section:
    """Time and energy of all runs, by their parts."""
    time = [
        (title, {c["op_class"]: c["time_ps"] / PS_PER_S for c in run.result["op_classes"]})
        for title, run in zip(titles, runs, strict=True)
    ]
    energy = [(title, dict(run.result["metrics"]["energy_j"]["by_component"]))
              for title, run in zip(titles, runs, strict=True)]  # fmt: skip
    found = (side_by_side("time", "Time by op class", time, "s"),
             side_by_side("energy", "Energy by component", energy, "J"))  # fmt: skip
    return Section("beside", "Side by side", figures=tuple(f for f in found if f))


def _difference(i: int, runs: Sequence[Compared], titles: Sequence[str], one: Any) -> Section:
    """What makes up the difference of one run to the first."""
    first, other, suffix = runs[0].result, runs[i].result, f"_{i}" if len(runs) > 2 else ""
    names, letter = (titles[0], titles[i]), letters(i + 1)[i]
    time = Ends(names, (first["time_ps"] / PS_PER_S, other["time_ps"] / PS_PER_S), "s", letter)
    spent = Ends(names, (first["metrics"]["energy_j"]["total"],
                         other["metrics"]["energy_j"]["total"]), "J", letter)  # fmt: skip
    found = [waterfall(f"{key}{suffix}", title, one[key], time, PS_PER_S)
             for key, title in DIVISIONS]  # fmt: skip
    found.append(waterfall(f"energy_by_component{suffix}", "Energy by component",
                           one["energy_by_component"], spent))  # fmt: skip
    figures: tuple[Figure, ...] = tuple(f for f in found if f)
    says = (
        "Shares of the difference in time are those of the critical path: by op class, and by what "
        "it waited on, they sum to it to the picosecond."
        if figures else "Neither time nor energy differs.",
    )  # fmt: skip
    ops = [r for r in one["by_op_and_reason"] if r["difference"]][:MOST_OPS]
    rows = tuple(
        (r["part"], *(format_si(r[k] / PS_PER_S, "s") for k in ("first", "other")),
         signed(r["difference"] / PS_PER_S, "s"), f"{100 * r['difference'] / one['time_ps']:.1f} %")
        for r in ops if one["time_ps"]
    )  # fmt: skip
    head = ("Op and what it waited on", titles[0], titles[i], "Difference", "Of it")
    table = (Table(head, rows, (1, 2, 3, 4)),) if rows else ()
    return Section(
        f"difference{suffix}", f"What makes up the difference of {titles[i]}", says, figures,
        table, folded=tuple(_settings(one["settings"])),
    )  # fmt: skip


def _settings(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    if rows:
        lines = [f"{r['path']}: {said(r['first'])} -> {said(r['other'])}" for r in rows]
        if len(lines) > MOST_SETTINGS:
            lines[MOST_SETTINGS:] = [f"and {len(lines) - MOST_SETTINGS} more"]
        yield f"Settings that differ ({len(rows)})", "\n".join(lines)


def _rests_on(runs: Sequence[Compared], names: Sequence[str]) -> Section:
    rows = []
    for letter, run in zip(names, runs, strict=True):
        found = run.result.get("provenance") or {}
        rows.append((
            letter, run.result["key"][:8], f"{found.get('assumed_energy_rows', 0)}",
            f"{len(found.get('assumed_settings', ()))}",
            f"{len(run.result.get('not_modelled', ()))}",
        ))  # fmt: skip
    head = ("", "Key", "Assumed energy rows", "Assumed settings", "Not modelled")
    same = set.intersection(*(set(run.result.get("not_modelled", ())) for run in runs))
    listed = tuple(text for text in runs[0].result.get("not_modelled", ()) if text in same)
    says = ("The list is of what none of them models.",) if listed else ()
    return Section("rests-on", "What this rests on", says, points=listed,
                   tables=(Table(head, tuple(rows), (2, 3, 4)),))  # fmt: skip


def _again(runs: Sequence[Compared]) -> Section:
    commands = tuple(dict.fromkeys(run.typed for run in runs if run.typed))
    says = () if len(commands) == len(runs) else (
        "Of runs without a command here, the folder holds what was simulated.",)  # fmt: skip
    return Section(AGAIN, "Reproduce", says, commands=commands)
