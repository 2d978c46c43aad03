"""Charts as Plotly draws them: plain data, whose colours the page's style sheet decides.

A colour is `@` and the name of a variable of the style sheet; the page's script puts its value in,
light or dark, and again when that changes.
"""

from __future__ import annotations

import json
from html import escape
from math import isfinite, log10
from typing import Any

from archsim.report import style
from archsim.report.figure_chart import (
    Axis,
    Bars,
    Chart,
    Figure,
    Line,
    Mark,
    Points,
    Shade,
    Tiles,
    cut,
)

SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "star")
WORDS = {"star": "star", "cross": "x-thin"}
PATTERNS = ("", "/", "", "\\", "", "x", "", "-")  # as on paper
PX_PER_IN = 125  # of height: what reads well at a column's type in a page's
BAR_PX = 36  # right of the axes: room for the buttons
LEGEND_PX = 22  # of a line of the legend
PT = 1.2  # pixels of a marker for each pt of its side on paper
LONG = 26  # characters of a name on an axis; longer ones are broken, and whole in hover texts


def plot(figure: Figure) -> dict[str, Any]:
    """Data and layout of a figure, as `Plotly.react` takes them."""
    chart = figure.chart
    overlaid = any(isinstance(m, Bars) and m.starts is not None for m in chart.marks)
    lines = 0
    if chart.shows_legend:
        lines = -(-sum(len(label) + 6 for label in chart.labels) // 60) + bool(chart.legend.strip())
    top = 8 + LEGEND_PX * lines
    layout = {
        "height": round(PX_PER_IN * figure.height_in) + top, "autosize": True,
        "margin": {"l": 8, "r": BAR_PX, "t": top, "b": 44},
        "modebar": {"orientation": "v", "bgcolor": "rgba(0,0,0,0)", "color": "@mute",
                    "activecolor": "@ink"},
        "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "@ink"},
        "showlegend": chart.shows_legend, "hovermode": "closest",
        "legend": {
            "orientation": "h", "x": 0, "xref": "container", "y": 1, "yref": "container",
            "yanchor": "top", "traceorder": "normal", "font": {"size": 11},
            **({"title": {"text": f"{_plain(chart.legend)} ", "side": "top"}}
               if chart.legend.strip() else {}),
        },
        "hoverlabel": {"bgcolor": "@ground", "font": {"color": "@ink"}, "namelength": -1},
        "barmode": "overlay" if overlaid else "stack", "bargap": 0.25,
        "xaxis": _axis(chart.x), "yaxis": _axis(chart.y, down=True),
        "annotations": [note for mark in chart.marks for note in _notes(mark, chart)],
    }  # fmt: skip
    return {"data": [_trace(mark, chart) for mark in chart.marks], "layout": layout}


def script_safe(data: Any) -> str:
    """JSON that can stand inside a script element: nothing in it ends the element."""
    text = json.dumps(_drawable(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _drawable(data: Any) -> Any:
    """Data with a gap in place of every number that is none or has no end."""
    if isinstance(data, float):
        return data if isfinite(data) else None
    if isinstance(data, dict):
        return {key: _drawable(value) for key, value in data.items()}
    return [_drawable(value) for value in data] if isinstance(data, list | tuple) else data


def _plain(text: str) -> str:
    """A text that Plotly shows as it is: what looks like HTML in it is none, lines are lines."""
    return escape(text, quote=False).replace("\n", "<br>")


def _trace(mark: Mark, chart: Chart) -> dict[str, Any]:
    match mark:
        case Bars():
            return _bars(mark)
        case Line():
            return _line(mark)
        case Points():
            return _points(mark, chart.x)
        case Tiles():
            return _tiles(mark)


def _bars(mark: Bars) -> dict[str, Any]:
    pattern = PATTERNS[mark.shade % len(PATTERNS)] if isinstance(mark.shade, int) else ""
    return {
        "type": "bar", "orientation": "h", "name": _plain(mark.label), "y": list(mark.names),
        "x": list(mark.values), "showlegend": bool(mark.label),
        "marker": {
            "color": _colour(mark.shade), "line": {"color": "@ground", "width": 1},
            "pattern": {"shape": pattern, "size": 7, "solidity": 0.2, "fillmode": "overlay",
                        "fgcolor": "@ground", "fgopacity": 0.5},
        },
        **({"base": list(mark.starts)} if mark.starts is not None else {}),
        **({"text": [*map(_plain, mark.texts)], "textposition": "outside", "cliponaxis": False}
           if mark.texts else {}),
        **_hover(mark.hover),
    }  # fmt: skip


def _line(mark: Line) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": _plain(mark.label), "x": list(mark.x),
        "y": list(mark.y), "showlegend": bool(mark.label), "connectgaps": False,
        "line": {
            "color": _colour(mark.shade), "width": 1.4 * mark.width, "dash": mark.dash,
            "shape": "hv" if mark.step else "linear",
        },
        **({} if mark.label else {"hoverinfo": "skip"}),
    }  # fmt: skip


def _points(mark: Points, axis: Axis) -> dict[str, Any]:
    word = WORDS.get(str(mark.symbol)) or SYMBOLS[int(mark.symbol) % len(SYMBOLS)]
    sizes = [mark.sizes] if isinstance(mark.sizes, float) else mark.sizes
    sides = [2 * PT * size**0.5 for size in sizes]
    return {
        "type": "scatter", "mode": "markers+text" if any(mark.texts) else "markers",
        "name": _plain(mark.label), "x": list(mark.x), "y": list(mark.y),
        "showlegend": bool(mark.label),
        "marker": {
            "color": _colour(mark.shade), "symbol": word, "opacity": 0.9,
            "size": sides[0] if len(sides) == 1 else sides,
            "line": {"width": 1.5 if word == "x-thin" else 0, "color": _colour(mark.shade)},
        },
        **({"text": [*map(_plain, mark.texts)], "textfont": {"size": 11},
            "textposition": [f"bottom {'left' if axis.beyond(x) else 'right'}" for x in mark.x]}
           if any(mark.texts) else {}),
        **_hover(mark.hover),
    }  # fmt: skip


def _tiles(mark: Tiles) -> dict[str, Any]:
    return {
        "type": "treemap", "labels": [*map(_plain, mark.names)], "parents": [""] * len(mark.names),
        "values": list(mark.values), "texttemplate": "%{label}<br>%{percentRoot:.0%}",
        "tiling": {"pad": 2}, "pathbar": {"visible": False},
        "marker": {"colors": [_colour(i) for i in range(len(mark.names))], "line": {"width": 0}},
        **_hover(mark.hover),
    }  # fmt: skip


def _hover(texts: Any) -> dict[str, Any]:
    return {"hovertext": [*map(_plain, texts)], "hoverinfo": "text"} if len(texts) else {}


def _notes(mark: Mark, chart: Chart) -> list[dict[str, Any]]:
    """The note of a line, at its end and above it."""
    if not isinstance(mark, Line) or not mark.note:
        return []
    x, y = mark.x[-1], mark.y[-1]
    assert x is not None
    assert y is not None
    return [
        {"x": log10(x) if chart.x.log else x, "y": log10(y) if chart.y.log else y,
         "text": _plain(mark.note), "showarrow": False, "xanchor": "right", "yanchor": "bottom",
         "font": {"size": 11}}
    ]  # fmt: skip


def _axis(axis: Axis, *, down: bool = False) -> dict[str, Any]:
    low, high = (v if v is None or not axis.log else log10(v) for v in (axis.low, axis.high))
    found: dict[str, Any] = {
        "title": {"text": _plain(axis.title), "standoff": 8}, "automargin": True, "zeroline": False,
        "gridcolor": "@pale", "linecolor": "@mute", "ticks": "outside", "tickcolor": "@mute",
        "type": "log" if axis.log else "category" if axis.names else "linear",
    }  # fmt: skip
    if low is not None and high is not None:
        found |= {"range": [low, high]}
    elif low == 0 and not axis.log:
        found |= {"rangemode": "tozero"}
    if axis.log:
        found |= {"dtick": 1, "exponentformat": "power"}
    if axis.names:
        found |= {
            "categoryorder": "array", "categoryarray": list(axis.names), "showgrid": False,
            "tickvals": list(axis.names),
            "ticktext": [_plain(cut(name, LONG)) for name in axis.names],
            **({"autorange": "reversed"} if down else {}),
        }  # fmt: skip
    if axis.ticks:
        places, texts = zip(*axis.ticks, strict=True)
        found |= {
            "tickvals": list(places), "ticktext": [*map(_plain, texts)], "tickfont": {"size": 11},
        }  # fmt: skip
    return found


def _colour(shade: Shade) -> str:
    return f"@c{shade % len(style.COLOURS)}" if isinstance(shade, int) else f"@{shade}"
