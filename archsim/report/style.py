"""How figures look: one column of a paper, small type, colours that the colour-blind tell apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

Rows = list[dict[str, Any]]

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
Paint = Callable[["Axes", Rows], None]

WIDTH_IN = 3.35  # a column of two
PAGE_IN = 7.0  # both columns
DPI = 300
WHITE, BLACK = "#fefefe", "#010101"  # of text on a colour
INK, MUTE, PALE = "#222222", "#8a8a8a", "#e6e6e6"
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
    "hatch.linewidth": 0.3, "svg.fonttype": "none", "svg.hashsalt": "archsim", "pdf.fonttype": 42,
}  # fmt: skip


def colour(i: int) -> str:
    """The colour of the i-th series."""
    return COLOURS[i % len(COLOURS)]


def on(i: int) -> str:
    """The colour of text on the i-th: white or black, whichever stands out more (WCAG 2.2)."""
    linear = [_linear(int(colour(i)[n : n + 2], 16) / 255) for n in (1, 3, 5)]
    bright = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return WHITE if 1.05 / (bright + 0.05) > (bright + 0.05) / 0.05 else BLACK


def _linear(part: float) -> float:
    """A channel of sRGB as light."""
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


def legend_above(ax: Axes, ncols: int, *, marks: float | None = None, title: str = "") -> None:
    """A legend over the axes, where no bar is; `marks` is the size of its points, in pt^2."""
    legend = ax.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=ncols, borderaxespad=0.2,
        title=title or None, alignment="left",
    )  # fmt: skip
    for handle in legend.legend_handles if marks else ():
        handle.set_sizes([marks])  # type: ignore[union-attr]  # of points, the only ones with marks


def drawn(paint: Paint, rows: Rows, height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """A figure as wide as a column, or as said, with one axes painted."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]  # keys are literals in its stubs
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        paint(figure.add_subplot(), rows)
    return figure


def save(
    path: Path,
    paint: Paint,
    rows: Rows,
    height_in: float,
    width_in: float = WIDTH_IN,
    kinds: tuple[str, ...] = ("svg", "png"),
) -> Path:
    """Draw on one axes and write `<path>.svg`, `.png` and what else is asked; returns the PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = drawn(paint, rows, height_in, width_in)
    undated: dict[str, dict[str, Any]] = {  # equal runs draw equal files
        "svg": {"metadata": {"Date": None}},
        "pdf": {"metadata": {"CreationDate": None}},
        "png": {"metadata": {"Software": None}, "dpi": DPI},
    }
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]  # as above
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # it stands, for every kind of file
        for kind in kinds:
            figure.savefig(path.with_suffix(f".{kind}"), **undated[kind])
    return path.with_suffix(".png")


def svg(paint: Paint, rows: Rows, height_in: float, width_in: float = WIDTH_IN) -> str:
    """The figure as the text of an SVG element, to stand inside a page."""
    import io
    import re

    import matplotlib as mpl

    figure, text = drawn(paint, rows, height_in, width_in), io.StringIO()
    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]  # as above
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    whole = text.getvalue()
    return re.sub(r'<g id="[^"]*">', "<g>", whole[whole.index("<svg") :])  # of figures side by side
