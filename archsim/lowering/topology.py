"""SCALE-Sim topology files: a CSV of products or convolutions, one layer a row.

Read here: `Layer, M, N, K`, and `Layer name, IFMAP Height, IFMAP Width, Filter Height,
Filter Width, Channels, Num Filter, Strides` with one or two strides; with or without a comma at the
end of a line, with or without a head (github.com/scalesim-project/SCALE-Sim, `topologies/`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from archsim.core.errors import Diagnostic, InputError
from archsim.lowering.architectures.layers import ConvRow, GemmRow, Layers

Form = Literal["gemm", "conv"]
COLUMNS: dict[Form, tuple[str, ...]] = {
    "gemm": ("m", "n", "k"),
    "conv": (
        "ifmap_height", "ifmap_width", "filter_height", "filter_width", "channels", "num_filter",
        "strides", "strides_w",
    ),
}  # fmt: skip
OPTIONAL = ("strides_w",)
LARGEST = 1_000_000_000


class Cell(NamedTuple):
    """A field of the file: its text without spaces, and where it begins."""

    text: str
    line: int
    column: int


def read_topology(path: str | Path, form: Form | None = None) -> Layers:
    """The layers of a file; without a form, the number of columns tells.

    Raises:
        InputError: with every cell that is missing, too many or no number, at its line and column.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        where = Diagnostic("E003", "", str(path))
        raise InputError(f"cannot be read: {reason}", code="E003", where=where) from None
    rows = [row for number, text in enumerate(lines, 1) if (row := _cells(text, number))]
    width = len(rows[0]) if rows else 0
    if rows and not any(_number(cell) for cell in rows[0][1:]):
        rows = rows[1:]
    if not rows:
        raise InputError.of([Diagnostic("E102", "the file needs at least one layer", str(path))])
    form = form or ("gemm" if width <= len(COLUMNS["gemm"]) + 1 else "conv")
    reader = _Reader(str(path), lines, form)
    layers = tuple(reader.layer(row) for row in rows)
    if reader.found:
        raise InputError.of(reader.found)
    return Layers(layers=tuple(layer for layer in layers if layer is not None))


def _cells(text: str, line: int) -> list[Cell]:
    """The fields of a line; empty ones at its end belong to the comma before them."""
    cells, at = [], 0
    for part in text.split(","):
        cells.append(Cell(part.strip(), line, at + len(part) - len(part.lstrip()) + 1))
        at += len(part) + 1
    while cells and not cells[-1].text:
        cells.pop()
    return cells


def _number(cell: Cell) -> int | None:
    """A whole number in range, or None."""
    if not re.fullmatch(r"[0-9]{1,10}", cell.text):
        return None
    return int(cell.text) if 1 <= int(cell.text) <= LARGEST else None


class _Reader:
    """Rows of one form; mistakes are collected in `found`."""

    def __init__(self, path: str, lines: list[str], form: Form) -> None:
        self.path, self.lines, self.form = path, lines, form
        self.found: list[Diagnostic] = []

    def layer(self, row: list[Cell]) -> GemmRow | ConvRow | None:
        """One layer; None after a mistake."""
        name, *cells = row
        columns = COLUMNS[self.form]
        needed = len(columns) - sum(c in OPTIONAL for c in columns)
        if not needed <= len(cells) <= len(columns):
            listed = ", ".join(c for c in columns if c not in OPTIONAL)
            message = f"a {self.form} layer has {needed} numbers ({listed}), got {len(cells)}"
            self._wrong(name, "E102" if len(cells) < needed else "E101", message)
            return None
        values: dict[str, int] = {}
        for column, cell in zip(columns, cells, strict=False):
            value = _number(cell)
            if value is None:
                words = column.replace("_", " ")
                message = f'{words} expects a positive whole number, got "{cell.text}"'
                self._wrong(cell, "E105", message)
            else:
                values[column] = value
        if len(values) < len(cells):
            return None
        label = name.text or f"layer{name.line}"
        row_type = GemmRow if self.form == "gemm" else ConvRow
        try:
            return row_type.model_validate({"name": label, **values})
        except ValidationError as error:
            self._wrong(name, "E107", error.errors()[0]["msg"])
            return None

    def _wrong(self, cell: Cell, code: str, message: str) -> None:
        source = self.lines[cell.line - 1]
        width = max(1, len(cell.text))
        self.found.append(
            Diagnostic(
                code, message, self.path, cell.line, cell.column, source_line=source, width=width
            )
        )
