"""Figures of a composition: where time goes, and what a larger nearest memory would bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.report import style
from archsim.report.style import Rows
from archsim.serving.result import PARTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS_IN, MORE_IN = 1.3, 2.2


def parts(ax: Axes, rows: Rows) -> None:
    """One bar a machine: seconds of router, switching, prefill and decode."""
    names = [row["inputs"]["hardware"] for row in rows]
    left = [0.0] * len(rows)
    for i, part in enumerate(PARTS):
        wide = [row["parts_s"][part] for row in rows]
        ax.barh(names, wide, left=left, height=0.6, color=style.colour(i), label=part)
        left = [at + more for at, more in zip(left, wide, strict=True)]
    ax.invert_yaxis()
    ax.set_xlabel("Time [s]")
    style.legend_above(ax, ncols=len(PARTS))


def more(ax: Axes, rows: Rows) -> None:
    """Hit rate and speed against the capacity of the nearest memory."""
    wide = [row["capacity_bytes"] / 2**30 for row in rows]
    series = (("hit rate", [row["hit_rate"] for row in rows]),
              ("speed, over now", [row["speedup"] for row in rows]))  # fmt: skip
    for i, (label, high) in enumerate(series):
        ax.plot(wide, high, color=style.colour(i), marker=style.MARKERS[i], markersize=2.5,
                linewidth=1, label=label)  # fmt: skip
    ax.set_ylim(bottom=0)
    ax.set_xlabel("Nearest memory of each device [GiB]")
    ax.set_ylabel("Hit rate, speed")
    style.legend_above(ax, ncols=len(series))
