"""What a figure shows, in marks that any drawing library can draw.

A chart is made once from the rows of a figure; `report.figure_paint` draws it for paper and
`report.html.interactive` for a page. Colours are numbers of a palette, or words: which colour that
is, light and dark, is theirs to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from archsim.report.style import Rows

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
