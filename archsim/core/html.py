"""Small pieces of HTML, by which objects show themselves in a notebook.

They say nothing of colours and ask for no other file, so that they look like the page around them,
light or dark. Text is escaped here and nowhere else. Whole pages are made in `report.html`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

LEFT, RIGHT = "text-align:left;vertical-align:top", "text-align:right;vertical-align:top"


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Html:
    """A value as HTML: escaped, unless it is HTML."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def heading(title: object, says: object = "") -> Html:
    """A title in bold, and a line beneath it."""
    beneath = f"<br>{text(says)}" if says else ""
    return Html(f"<div><b>{text(title)}</b>{beneath}</div>")


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> Html:
    """A table; numbers stand right, everything else left."""
    parts = []
    if header:
        cells = "".join(f'<th style="{LEFT}">{text(cell)}</th>' for cell in header)
        parts.append(f"<thead><tr>{cells}</tr></thead>")
    for row in rows:
        cells = "".join(
            f'<td style="{RIGHT if isinstance(cell, int | float) else LEFT}">{text(cell)}</td>'
            for cell in row
        )
        parts.append(f"<tr>{cells}</tr>")
    return Html(f"<table>{''.join(parts)}</table>")


def lines(value: str) -> Html:
    """Text whose line breaks and columns count."""
    return Html(f'<pre style="{LEFT}">{escape(value)}</pre>')


def folded(title: object, content: object, *, open_: bool = False) -> Html:
    """Content that opens with a click on its title."""
    state = " open" if open_ else ""
    return Html(f"<details{state}><summary>{text(title)}</summary>{text(content)}</details>")


def joined(*parts: Html) -> str:
    """Pieces one under the other."""
    return "".join(parts)


class Rendered:
    """Shows itself in a notebook as the text that its `render` returns."""

    __slots__ = ()

    def render(self) -> str:
        """The text."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return lines(self.render())
