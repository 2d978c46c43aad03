"""How figures look: one column of a paper, small type, colours that the colour-blind tell apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

Rows = list[dict[str, Any]]

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_IN = 3.35  # a column of two
DPI = 300
INK, PALE = "#222222", "#e6e6e6"
# Okabe and Ito (2008), then three of Tol's muted ones (2021), yellow last: faintest on white
COLOURS = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#999999",
    "#332288", "#882255", "#999933", "#f0e442",
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SETTINGS: dict[str, Any] = {
    "font.size": 7, "axes.labelsize": 7, "xtick.labelsize": 6.5, "ytick.labelsize": 6.5,
    "legend.fontsize": 6, "legend.title_fontsize": 6, "legend.frameon": False,
    "legend.handlelength": 1.2, "axes.linewidth": 0.6, "axes.spines.top": False,
    "axes.spines.right": False, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "svg.fonttype": "none", "svg.hashsalt": "archsim",
}  # fmt: skip


def colour(i: int) -> str:
    """The colour of the i-th series."""
    return COLOURS[i % len(COLOURS)]


def legend_above(ax: Axes, ncols: int, *, marks: float | None = None, title: str = "") -> None:
    """A legend over the axes, where no bar is; `marks` is the size of its points, in pt^2."""
    legend = ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=ncols, borderaxespad=0.2,
        title=title or None, alignment="left",
    )  # fmt: skip
    for handle in legend.legend_handles if marks else ():
        handle.set_sizes([marks])  # type: ignore[union-attr]  # of points, the only ones with marks


def drawn(paint: Callable[[Axes, Rows], None], rows: Rows, height_in: float) -> Figure:
    """A figure as wide as a column, with one axes painted."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]  # keys are literals in its stubs
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        paint(figure.add_subplot(), rows)
    return figure


def save(path: Path, paint: Callable[[Axes, Rows], None], rows: Rows, height_in: float) -> Path:
    """Draw on one axes and write `<path>.svg` and `<path>.png`; returns the latter."""
    import matplotlib as mpl

    mpl.use("Agg")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = drawn(paint, rows, height_in)
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]  # as above
        # no date: equal runs draw equal files
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(path.with_suffix(".png"), dpi=DPI, metadata={"Software": None})
    return path.with_suffix(".png")
