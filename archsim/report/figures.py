"""Figures of a run: one column or a page of a paper wide, as SVG, PDF and PNG, with their data.

Which figures there are, and in what order; what each shows is in the `figure_` modules, and how all
of them look in `report.style`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from archsim.core.files import atomic_write
from archsim.report import figure_parts, figure_silicon, figure_time, over_time, roofline, style
from archsim.report.figure_chart import Figure
from archsim.report.figure_paint import height, painter
from archsim.report.model import Report, csv_text
from archsim.report.style import Rows

Maker = Callable[[Report], Figure | None]

# name: of the data of a stored result; None where a run has none for it
FIGURES: dict[str, Maker] = {
    "time_by_class": figure_time.by_class,
    "stalls": figure_time.units,
    "roofline": roofline.figure,
    "occupancy": figure_silicon.occupancy,
    "energy": figure_silicon.energy,
    "area": figure_silicon.area,
    "pim": figure_parts.inside,
    "collectives": figure_parts.collectives,
    "links": figure_parts.links,
    "streams": figure_parts.streams,
}
KINDS = ("svg", "pdf", "png")


def figures(report: Report, moments: Rows | None = None) -> Iterator[Figure]:
    """Every figure that there are data for.

    Args:
        report: of a run that was timed.
        moments: what memories and the power did over time, as a timeline tells it; without them,
            those figures are left out.
    """
    for make in FIGURES.values():
        found = make(report)
        if found is not None:
            yield found
    if moments:
        yield over_time.held(moments, report.result["machine"]["capacity_bytes"])
        yield over_time.moved(moments)
        if "power_w" in moments[0]:
            yield over_time.power(moments, report.metrics["power_w"]["mean"])


def draw(
    report: Report, folder: Path | str, moments: Rows | None = None,
    width_in: float = style.WIDTH_IN,
) -> list[Path]:  # fmt: skip
    """Draw every figure that a run has data for; returns the PNG files.

    Args:
        report: of a run that was timed.
        folder: where `<name>.svg`, `.pdf`, `.png` and `.csv` go; made where it is missing.
        moments: as `figures` takes them.
        width_in: of each figure.
    """
    return draw_all(figures(report, moments), folder, width_in)


def draw_all(
    found: Iterator[Figure], folder: Path | str, width_in: float = style.WIDTH_IN
) -> list[Path]:
    """Draw figures into a folder, with their data; returns the PNG files."""
    root, written = Path(folder), []
    for one in found:
        atomic_write(root / f"{one.name}.csv", csv_text(one.rows, first=""))
        where = root / one.name
        written.append(style.save(where, painter(one), one.rows, height(one), width_in, KINDS))
    return written
