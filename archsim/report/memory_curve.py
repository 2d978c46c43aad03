"""The load curve of a memory: read latency against the bandwidth that it reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.report import style
from archsim.report.style import Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEIGHT_IN = 2.3
LINES = (("mean", "mean"), ("p50", "median"), ("p99", "99th percentile"))


def paint(ax: Axes, rows: Rows) -> None:
    """Mean, median and 99th percentile, and the latency of a lone read."""
    reached = [row["bytes_per_s"] / 1e9 for row in rows]
    for i, (key, label) in enumerate(LINES):
        latency = [row[f"latency_{key}_s"] * 1e9 for row in rows]
        ax.plot(
            reached, latency, color=style.colour(i), marker=style.MARKERS[i], markersize=2.5,
            linewidth=1, label=label,
        )  # fmt: skip
    alone = rows[0]["unloaded_latency_s"] * 1e9
    ax.axhline(alone, color=style.INK, linewidth=0.6, linestyle=":", label="a lone read")
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlim(left=0)
    ax.set_xlabel("Bandwidth [GB/s]")
    ax.set_ylabel("Read latency [ns]")
    style.legend_above(ax, ncols=2)
