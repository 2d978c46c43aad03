"""A page: a head, sections of text, tables and figures, in one file that asks for no other.

What a page of a run says is in `report.html.run`; this is how any page is put together.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, replace
from typing import Any

from archsim import __version__
from archsim.core.errors import MissingExtra
from archsim.report import style
from archsim.report.figure_chart import Figure
from archsim.report.figure_paint import height, painter
from archsim.report.html.interactive import plot, script_safe
from archsim.report.model import csv_text

STATIC_IN = 4.0  # wide: letters of 6.5 pt are 8 pixels on a phone and 12 in half of a wide page
AGAIN = "again"  # the section of commands that give the same answer


@dataclass(frozen=True)
class Table:
    """A table; cells are text, and the columns in `numbers` stand right."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...] = ()
    code: tuple[int, ...] = ()  # columns whose cells are to be typed


@dataclass(frozen=True)
class Section:
    """One part of a page.

    Attributes:
        name: its anchor.
        title: over it.
        says: paragraphs under the title.
        figures, tables: what it shows.
        points: a list, one text each.
        commands: what to type.
        folded: title and text of what opens on a click.
    """

    name: str
    title: str
    says: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    points: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    folded: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: of the window and over all.
        verdict: the answer in a sentence or two.
        facts: name and value of what identifies the answer.
        sections: top to bottom.
        passing: facts that an equal answer may not share; a static page leaves them out.
    """

    title: str
    verdict: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    passing: tuple[tuple[str, str], ...] = ()


def with_command(page: Page, command: str) -> Page:
    """The page with the command that writes it under those that give its answer again."""
    sections = (
        replace(one, commands=(*one.commands, command)) if one.name == AGAIN else one
        for one in page.sections
    )
    return replace(page, sections=tuple(sections))


def render(page: Page, *, static: bool = False) -> str:
    """The text of the HTML file.

    Args:
        page: what it says.
        static: figures as drawings of matplotlib, and no script: a small file, whose bytes are
            equal for equal pages. Otherwise Plotly draws them and comes inside the file.

    Raises:
        MissingExtra: where Jinja2, or Plotly unless `static`, is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingExtra("a page needs the library jinja2", extra="report") from None
    environment = Environment(
        loader=PackageLoader("archsim.report.html"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    figures = [figure for section in page.sections for figure in section.figures]
    raw: dict[str, Any] = {"plotly": "", "plots": "", "drawings": {}}
    if static:
        raw["drawings"] = {figure.name: Markup(_drawing(figure)) for figure in figures}
    else:
        plots = {figure.name: plot(figure) for figure in figures}
        raw |= {"plotly": Markup(_plotly()), "plots": Markup(script_safe(plots))}
    return environment.get_template("page.html.j2").render(
        page=page, facts=page.facts + (() if static else page.passing), static=static,
        version=__version__, light=LIGHT, dark=DARK,
        data={figure.name: _data(figure) for figure in figures}, **raw,
    )  # fmt: skip


# of the style sheet: the palette of paper, and one of the same hues that stands out on dark ground
_GROUND = {
    "ground": "#ffffff",
    "raised": "#f6f7f9",
    "on": "#ffffff",
    "link": "#005a9c",
    "soft": "#565b63",
}
_DARK_GROUND = {
    "ground": "#15171c",
    "raised": "#1f2229",
    "on": "#000000",
    "link": "#7db8f0",
    "soft": "#a9b0bb",
}
_DARK_COLOURS = (
    "#4aa3e0", "#e69f00", "#22b38a", "#ef7d3a", "#d98cb8", "#8fd0f5", "#9a9a9a", "#9d95ea",
    "#d4749b", "#b8b85a", "#f0e442",
)  # fmt: skip
LIGHT = {
    **_GROUND, "ink": style.INK, "mute": style.MUTE, "pale": style.PALE,
    **{f"c{i}": colour for i, colour in enumerate(style.COLOURS)},
}  # fmt: skip
DARK = {
    **_DARK_GROUND, "ink": "#e8eaed", "mute": "#8a8f98", "pale": "#353a43",
    **{f"c{i}": colour for i, colour in enumerate(_DARK_COLOURS)},
}  # fmt: skip


def _plotly() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise MissingExtra(
            "an interactive page needs the library plotly; --static needs none", extra="report"
        ) from None
    return str(get_plotlyjs())


def _drawing(figure: Figure) -> str:
    """SVG whose colours are variables of the style sheet, so that dark mode reaches them."""
    text = style.svg(painter(figure), figure.rows, height(figure), STATIC_IN)
    names = {colour: f"c{i}" for i, colour in enumerate(style.COLOURS)}
    names |= {style.INK: "ink", style.MUTE: "mute", style.PALE: "pale", "#000000": "ink",
              style.WHITE: "on", "#ffffff": "ground"}  # fmt: skip
    return re.sub(
        "#[0-9a-f]{6}", lambda m: f"var(--{names[m[0]]})" if m[0] in names else m[0], text
    )


def _data(figure: Figure) -> str:
    """The rows of a figure as the address of a CSV file that is inside the page."""
    text = csv_text(figure.rows, first="").encode()
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text).decode()}"
