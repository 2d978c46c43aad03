"""What a figure shows, in marks that any drawing library can draw.

A chart is made once from the rows of a figure; `report.figure_paint` draws it for paper and
`report.html.interactive` for a page. Colours are numbers of a palette, or words: which colour that
is, light and dark, is theirs to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from archsim.report.style import Rows

REST = "other"
Word = Literal["ink", "mute", "pale"]
Shade = int | Word
"""A number of the palette, or: ink of text and lines, grey of what matters less, grey of ground."""


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        title: with its unit in brackets.
        log: in decades.
        low, high: where it begins and ends; None lets the data say.
        names: of a category axis, from the top (y) or from the left (x).
        ticks: places and texts, where the library's own would not do.
    """

    title: str = ""
    log: bool = False
    low: float | None = None
    high: float | None = None
    names: tuple[str, ...] = ()
    ticks: tuple[tuple[float, str], ...] = ()

    def beyond(self, value: float) -> bool:
        """Whether a value lies in the right half: text beside it then goes to its left."""
        if self.low is None or self.high is None:
            return False
        if self.log:
            return value**2 > self.low * self.high
        return 2 * value > self.low + self.high


@dataclass(frozen=True)
class Bars:
    """Horizontal bars of one series; series stack in order, unless they begin at `starts`."""

    label: str
    names: Sequence[str]
    values: Sequence[float]
    shade: Shade
    hover: Sequence[str] = ()
    texts: Sequence[str] = ()  # at the end of each bar
    starts: Sequence[float] | None = None


@dataclass(frozen=True)
class Line:
    """A line through points; None breaks it. As steps, each value lasts until the next x."""

    label: str
    x: Sequence[float | None]
    y: Sequence[float | None]
    shade: Shade
    dash: Literal["solid", "dash", "dot", "dashdot"] = "solid"
    step: bool = False
    note: str = ""
    width: float = 1.0


@dataclass(frozen=True)
class Points:
    """Markers of one series; `sizes` are areas in pt^2, `texts` stand beside those with one."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    shade: Shade
    symbol: int | Literal["star", "cross"] = 0
    sizes: Sequence[float] | float = 12.0
    texts: Sequence[str] = ()
    hover: Sequence[str] = ()


@dataclass(frozen=True)
class Tiles:
    """A treemap: areas in proportion to values, the largest first."""

    names: Sequence[str]
    values: Sequence[float]
    hover: Sequence[str] = ()


def stacked(
    rows: Rows, along: str, by: str, most: int, hover: Callable[[str, str, float], str]
) -> tuple[list[str], list[Bars]]:
    """Bars stacked by what their shares are spent on, the largest of both first.

    Args:
        rows: with `share_pct`.
        along: column of what has a bar.
        by: column of what a bar is divided by.
        most: series that colours tell apart; the rest are one.
        hover: text of a bar's name, a series and its share.

    Returns:
        Names of the bars, and the series.
    """
    names, parts = (_largest(rows, column) for column in (along, by))
    own, marks = parts[:most], []
    for i, part in enumerate([*own, *([REST] if len(parts) > len(own) else [])]):
        share = [
            sum(r["share_pct"] for r in rows if r[along] == name
                and (r[by] == part or (part == REST and r[by] not in own)))
            for name in names
        ]  # fmt: skip
        texts = [hover(name, part, value) for name, value in zip(names, share, strict=True)]
        marks.append(Bars(part, names, share, "mute" if part == REST else i, texts))
    return names, marks


def _largest(rows: Rows, column: str) -> list[str]:
    """Values of a column, the one with the largest share first."""
    total: dict[str, float] = {}
    for row in rows:
        total[row[column]] = total.get(row[column], 0.0) + row["share_pct"]
    return sorted(total, key=lambda name: (-total[name], name))


def cut(name: str, most: int) -> str:
    """A name that is too long for an axis: its end, or in two lines where it says more after `: `.

    Args:
        name: of a path, whose end tells more; what it says comes after the first `: `.
        most: characters of a line.
    """
    if len(name) <= most:
        return name
    head, _, tail = name.partition(": ")
    head = head if len(head) <= most else f"…{head[1 - most :]}"
    tail = tail if len(tail) <= most else f"{tail[: most - 1]}…"
    return f"{head}\n{tail}" if tail else head


Mark = Bars | Line | Points | Tiles


@dataclass(frozen=True)
class Chart:
    """Marks on a pair of axes; the legend names series with a label, above the axes."""

    marks: tuple[Mark, ...]
    x: Axis = Axis()
    y: Axis = Axis()
    legend: str = ""  # its title

    @property
    def labels(self) -> list[str]:
        """Names of series, as the legend lists them."""
        named = [m.label for m in self.marks if not isinstance(m, Tiles) and m.label]
        return list(dict.fromkeys(named))

    @property
    def shows_legend(self) -> bool:
        """Whether there is a legend: one series alone is named by the title."""
        return len(self.labels) > 1 or (bool(self.legend) and bool(self.labels))


@dataclass(frozen=True)
class Figure:
    """One message: its data, its drawing and the sentence that says it.

    Attributes:
        name: of its files.
        title: what it shows.
        says: how to read it, in a sentence.
        rows: its data, as they go to CSV.
        chart: of these rows.
        height_in: of the figure in a column of a paper.
    """

    name: str
    title: str
    says: str
    rows: Rows = field(repr=False)
    chart: Chart = field(repr=False)
    height_in: float = 2.2
