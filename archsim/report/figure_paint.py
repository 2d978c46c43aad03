"""Charts drawn by matplotlib: for papers, and for pages that hold no script."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from archsim.report import style
from archsim.report.figure_chart import (
    Axis,
    Bars,
    Chart,
    Figure,
    Line,
    Points,
    Shade,
    Tiles,
    cut,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from archsim.report.style import Paint, Rows

DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
HATCHES = ("", "///", "", "\\\\\\", "", "xxx", "", "---")  # every other one: quieter
WORDS = {"ink": style.INK, "mute": style.MUTE, "pale": style.PALE}
SYMBOLS = {"star": "*", "cross": "x"}
NAMED = 0.01  # share of a treemap that has room for its name
LONG = 40  # characters of a name on an axis that leave its figure room
BAR = 0.72  # of the room that a bar has


def painter(figure: Figure) -> Paint:
    """The drawing of a figure as `style.save` takes it; its rows are in the chart already."""
    return partial(_paint, figure.chart)


def _paint(chart: Chart, ax: Axes, _: Rows) -> None:
    left: dict[str, float] = {}
    if chart.y.names:
        ax.barh(list(chart.y.names), [0] * len(chart.y.names))  # categories, in their order
    for i, mark in enumerate(chart.marks):
        match mark:
            case Bars():
                _bars(ax, mark, left, i)
            case Line():
                _line(ax, mark)
            case Points():
                _points(ax, mark, chart.x)
            case Tiles():
                _tiles(ax, mark)
    _axis(ax, "x", chart.x)
    _axis(ax, "y", chart.y)
    if chart.shows_legend:
        _legend(ax, chart)


def _bars(ax: Axes, mark: Bars, left: dict[str, float], i: int) -> None:
    starts = mark.starts or [left.get(name, 0.0) for name in mark.names]
    hatch = HATCHES[mark.shade % len(HATCHES)] if isinstance(mark.shade, int) else ""
    drawn = [b for b in zip(mark.names, mark.values, starts, strict=True) if b[1]]
    names, values, lefts = zip(*drawn, strict=True) if drawn else ((), (), ())
    ax.barh(
        names, values, left=lefts, height=BAR, zorder=2 + 0.01 * i, color=_colour(mark.shade),
        label=mark.label or None, hatch=hatch, edgecolor="white", linewidth=0.3,
    )  # fmt: skip
    for name, value, start, text in zip(mark.names, mark.values, starts, mark.texts, strict=False):
        ax.annotate(text, (start + value, name), xytext=(2, 0), textcoords="offset points",
                    va="center", fontsize=6)  # fmt: skip
    if mark.starts is None:
        for name, value in zip(mark.names, mark.values, strict=True):
            left[name] = left.get(name, 0.0) + value


def _line(ax: Axes, mark: Line) -> None:
    nan = float("nan")
    x = [nan if v is None else v for v in mark.x]
    y = [nan if v is None else v for v in mark.y]
    ax.plot(
        x, y, color=_colour(mark.shade), linestyle=DASHES[mark.dash], label=mark.label or None,
        drawstyle="steps-post" if mark.step else "default", linewidth=0.8 * mark.width,
    )  # fmt: skip
    if mark.note:
        ax.annotate(
            mark.note, (x[-1], y[-1]), xytext=(0, 2), textcoords="offset points", ha="right",
            fontsize=6,
        )  # fmt: skip


def _points(ax: Axes, mark: Points, axis: Axis) -> None:
    symbol = SYMBOLS.get(str(mark.symbol)) or style.MARKERS[int(mark.symbol) % len(style.MARKERS)]
    ax.scatter(
        list(mark.x), list(mark.y), s=mark.sizes if isinstance(mark.sizes, float)
        else list(mark.sizes), color=_colour(mark.shade), marker=symbol, label=mark.label or None,
        zorder=3, alpha=0.9, linewidths=0.8 if symbol == "x" else 0,
    )  # fmt: skip
    for x, y, text in zip(mark.x, mark.y, mark.texts, strict=False):
        if text:
            left = axis.beyond(x)
            ax.annotate(
                text, (x, y), xytext=(-4 if left else 4, -7), textcoords="offset points",
                fontsize=6, zorder=4, annotation_clip=True, ha="right" if left else "left",
            )  # fmt: skip


def _tiles(ax: Axes, mark: Tiles) -> None:
    from matplotlib.patches import Rectangle

    total = sum(mark.values)
    places = squarified(list(mark.values), 0.0, 0.0, 2.0, 1.0)
    for i, (name, value, (x, y, w, h)) in enumerate(
        zip(mark.names, mark.values, places, strict=True)
    ):
        ax.add_patch(Rectangle((x, y), w, h, facecolor=style.colour(i), edgecolor="white", lw=1))
        if value >= 4 * NAMED * total and w > 0.16:
            ax.text(x + w / 2, y + h / 2, f"{name}\n{100 * value / total:.0f} %",
                    ha="center", va="center", fontsize=6, color=style.on(i))  # fmt: skip
    ax.set_xlim(0, 2)
    ax.set_ylim(0, 1)
    ax.set_axis_off()


def squarified(
    values: list[float], x: float, y: float, w: float, h: float
) -> list[tuple[float, float, float, float]]:
    """Left, bottom, width and height of each tile of a rectangle, values largest first.

    Squarified treemap (Bruls, Huizing and van Wijk 2000): a row takes tiles as long as they grow
    no thinner.
    """
    if not values:
        return []
    scale = w * h / sum(values)
    side, n = min(w, h), 1
    while n < len(values) and _worst(values[: n + 1], scale, side) <= _worst(
        values[:n], scale, side
    ):
        n += 1
    thick = sum(values[:n]) * scale / side
    row, at = [], 0.0
    for value in values[:n]:
        long = value * scale / thick
        row.append((x, y + at, thick, long) if w >= h else (x + at, y, long, thick))
        at += long
    if w >= h:
        return row + squarified(values[n:], x + thick, y, w - thick, h)
    return row + squarified(values[n:], x, y + thick, w, h - thick)


def _worst(values: list[float], scale: float, side: float) -> float:
    """The thinnest tile's ratio of long to short side."""
    area = sum(values) * scale
    return max(max(side**2 * v * scale / area**2, area**2 / (side**2 * v * scale)) for v in values)


def _axis(ax: Any, way: str, axis: Axis) -> None:
    if axis.log:
        getattr(ax, f"set_{way}scale")("log")
    if axis.low is not None or axis.high is not None:
        getattr(ax, f"set_{way}lim")(axis.low, axis.high)
    if axis.names and way == "y":
        ax.set_ylim(len(axis.names) - 0.4, -0.6)
        ax.set_yticks(range(len(axis.names)), [cut(name, LONG) for name in axis.names])
    if axis.ticks:
        places, texts = zip(*axis.ticks, strict=True)
        turn = {"rotation": 30, "ha": "right"} if way == "x" and len(texts) > 4 else {}
        getattr(ax, f"set_{way}ticks")(places, texts, **turn)
    if axis.title:
        getattr(ax, f"set_{way}label")(axis.title)


def _legend(ax: Axes, chart: Chart) -> None:
    """Over the whole figure, so that long names of an axis leave it room."""
    from matplotlib.collections import PathCollection

    handles, labels = ax.get_legend_handles_labels()
    legend = ax.get_figure(root=True).legend(  # type: ignore[union-attr]  # it is drawn
        handles, labels, loc="outside upper left", ncols=_columns(chart), alignment="left",
        title=chart.legend.strip() or None, borderpad=0.1,
    )  # fmt: skip
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([18])


def _columns(chart: Chart) -> int:
    longest = max((len(label) for label in chart.labels), default=0)
    return 1 if longest > 30 else 2 if longest > 19 else 3


def height(figure: Figure) -> float:
    """Inches of a figure with its legend."""
    chart, lines = figure.chart, 0
    if chart.shows_legend:
        lines = -(-len(chart.labels) // _columns(chart)) + bool(chart.legend.strip())
    return figure.height_in + 0.13 * lines


def _colour(shade: Shade) -> str:
    return style.colour(shade) if isinstance(shade, int) else WORDS[shade]
