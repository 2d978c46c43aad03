"""What makes up the difference between two runs: steps that lead from the one to the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archsim.core.units import format_si
from archsim.report.compare import letters, signed
from archsim.report.figure_chart import Axis, Bars, Chart, Figure
from archsim.report.quantity import scale
from archsim.report.style import Rows

MOST_STEPS = 10  # that have a bar; the rest are one
LEAST_SHARE = 1e-3  # of the larger whole; smaller steps are in the data and not in the drawing
BAR_IN, ROOM_IN = 0.19, 0.5
WORDS = {"s": "Time", "J": "Energy"}
TEXT_ROOM = 1.25  # of the axis, so that the text at a bar's end has room
LESS, MORE = 2, 3  # of the palette


@dataclass(frozen=True)
class Ends:
    """The two wholes that a difference lies between.

    Attributes:
        names: of both runs.
        values: of both, in the base unit.
        unit: of the values, s or J.
        letter: of the other run; the first is A.
    """

    names: tuple[str, str]
    values: tuple[float, float]
    unit: str
    letter: str = "B"


def waterfall(
    name: str, title: str, parts: Sequence[Mapping[str, Any]], ends: Ends, per: float = 1.0
) -> Figure | None:
    """From the whole of the first run, step by step, to that of the other.

    Args:
        name: of the figure.
        title: over it.
        parts: `part`, `first`, `other`, `difference` of each, as `report.compare` divides them.
        ends: the wholes; the differences of `parts` sum to theirs.
        per: parts a unit, such as picoseconds a second.
    """
    rows: Rows = [
        {"part": r["part"],
         **{f"{k}_{ends.unit.lower()}": r[k] / per for k in ("first", "other", "difference")}}
        for r in parts
    ]  # fmt: skip
    steps = _steps([(str(r["part"]), r["difference"] / per) for r in parts], max(ends.values))
    if not steps:
        return None
    size, unit = scale(max(ends.values), ends.unit)
    names = [f"A: {ends.names[0]}", *(step for step, _ in steps), f"{ends.letter}: {ends.names[1]}"]
    marks = [_whole(names[0], ends.values[0], size, ends.unit)]
    at = ends.values[0]
    for shade, label in ((LESS, f"less in {ends.letter}"), (MORE, f"more in {ends.letter}")):
        marks.append(_moves(label, shade, at, steps, size, ends.unit))
    marks.append(_whole(names[-1], ends.values[1], size, ends.unit))
    first, moved = steps[0]
    return Figure(
        name, title,
        f"{ends.letter}: {signed(ends.values[1] - ends.values[0], ends.unit)}; most of it {first}: "
        f"{signed(moved, ends.unit)}.", rows,
        Chart(
            tuple(m for m in marks if m.names), y=Axis(names=tuple(names)),
            x=Axis(f"{WORDS[ends.unit]} [{unit}]", low=0,
                   high=TEXT_ROOM * _furthest(ends, steps) / size),
        ),
        ROOM_IN + BAR_IN * len(names),
    )  # fmt: skip


def _furthest(ends: Ends, steps: Sequence[tuple[str, float]]) -> float:
    """The largest value that any bar reaches."""
    found = at = ends.values[0]
    for _, amount in steps:
        at += amount
        found = max(found, at)
    return max(found, ends.values[1])


def _steps(moved: Sequence[tuple[str, float]], whole: float) -> list[tuple[str, float]]:
    """The largest differences, and all others as one, so that they still sum to the whole one."""
    shown = [one for one in moved if abs(one[1]) >= LEAST_SHARE * whole > 0][:MOST_STEPS]
    rest = [amount for name, amount in moved if (name, amount) not in shown and amount]
    if shown and abs(sum(rest)) >= LEAST_SHARE * whole:
        shown.append((f"{len(rest)} more", sum(rest)))
    return shown


def _whole(name: str, value: float, size: float, unit: str) -> Bars:
    text = format_si(value, unit)
    return Bars("", [name], [value / size], "mute", [f"{name}: {text}"], [text], starts=[0.0])


def _moves(
    label: str, shade: int, at: float, steps: Sequence[tuple[str, float]], size: float, unit: str
) -> Bars:
    """Those steps that go one way, each beginning where the one before it ended."""
    names, values, starts, texts = [], [], [], []
    for name, amount in steps:
        if (amount > 0) == (shade == MORE):
            names.append(name)
            values.append(abs(amount) / size)
            starts.append(min(at, at + amount) / size)
            texts.append(signed(amount, unit))
        at += amount
    hover = [f"{name}: {text}" for name, text in zip(names, texts, strict=True)]
    return Bars(label, names, values, shade, hover, texts, starts=starts)


def side_by_side(
    name: str, title: str, runs: Sequence[tuple[str, Mapping[str, float]]], unit: str
) -> Figure | None:
    """One bar a run, stacked by its parts, the largest part first.

    Args:
        name: of the figure.
        title: over it.
        runs: name of each, and its parts in the base unit.
        unit: of the parts, s or J.
    """
    most: dict[str, float] = {}
    for _, parts in runs:
        for part, value in parts.items():
            most[part] = max(most.get(part, 0.0), value)
    whole = max(sum(parts.values()) for _, parts in runs)
    shown = sorted((p for p in most if most[p] >= LEAST_SHARE * whole > 0),
                   key=lambda part: (-most[part], part))[:MOST_STEPS]  # fmt: skip
    if not shown:
        return None
    size, shown_unit = scale(whole, unit)
    names = [said for said, _ in runs]
    if len(names) > 1:
        names = [": ".join(one) for one in zip(letters(len(names)), names, strict=True)]
    marks = []
    for i, part in enumerate(shown):
        values = [parts.get(part, 0.0) for _, parts in runs]
        hover = [f"{n}: {part} {format_si(v, unit)}" for n, v in zip(names, values, strict=True)]
        marks.append(Bars(part, names, [v / size for v in values], i, hover))
    rows: Rows = [
        {"run": n, "part": part, f"value_{unit.lower()}": parts.get(part, 0.0)}
        for n, (_, parts) in zip(names, runs, strict=True) for part in most
    ]  # fmt: skip
    totals = " against ".join(format_si(sum(parts.values()), unit) for _, parts in runs)
    return Figure(
        name, title, f"{totals}.", rows,
        Chart(tuple(marks), x=Axis(f"{WORDS[unit]} [{shown_unit}]", low=0),
              y=Axis(names=tuple(names))),
        ROOM_IN + 1.5 * BAR_IN * len(names),
    )  # fmt: skip
