"""Traces of routing: a CSV or NPY file becomes tokens of each expert, layer by layer.

What a row is follows from its width: as many numbers as the model has experts are tokens of each
expert; as many as a token has experts are those of one token. Comments (`#`), empty lines and one
line of names at the top of a CSV are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from archsim.core.errors import Diagnostic, InputError
from archsim.lowering.routing import Routed

Counts = tuple[tuple[int, ...], ...]


class Row(NamedTuple):
    """One row of a trace and its place; an NPY file has no lines."""

    cells: tuple[int, ...]
    line: int | None
    text: str | None


def read_trace(path: Path, routed: Routed) -> Counts:
    """Tokens of each expert: one row for all layers, one a layer, or one a layer for each step.

    Args:
        path: `.npy`, or CSV of any other name.
        routed: what the model routes in the phase.

    Raises:
        InputError: with every row that does not fit, at its line.
    """
    rows = _npy(path) if path.suffix == ".npy" else _csv(path)
    found: list[Diagnostic] = []

    def wrong(row: Row, code: str, message: str, help: str | None = None) -> None:
        column = 1 if row.line else None
        width = len(row.text) if row.text else 1
        found.append(
            Diagnostic(code, message, str(path), row.line, column, "", help, row.text, width)
        )

    if not rows:
        wrong(Row((), None, None), "E102", "the trace needs at least one row")
        raise InputError.of(found)
    chosen = len(rows[0].cells) == routed.top_k != routed.experts
    for row in rows:
        for code, message, help_text in _mistakes(row.cells, routed, chosen=chosen):
            wrong(row, code, message, help_text)
    if found:
        raise InputError.of(found)
    once, what = (routed.tokens, "token") if chosen else (1, "layer")
    if len(rows) not in [once * n for n in _passes(routed)]:
        per = f"{routed.tokens} tokens in each" if chosen else "one row each"
        message = f"the trace has {len(rows)} {what} rows; {routed.layers} layers need {per}"
        help_text = " or ".join(str(once * n) for n in _passes(routed))
        wrong(Row((), None, None), "E202", message, f"{help_text} rows")
        raise InputError.of(found)
    if not chosen:
        return tuple(row.cells for row in rows)
    table = np.array([row.cells for row in rows]).reshape(-1, routed.tokens * routed.top_k)
    return tuple(tuple(np.bincount(layer, minlength=routed.experts).tolist()) for layer in table)


def check_counts(counts: Counts, routed: Routed) -> Iterator[tuple[int, str, str, str]]:
    """What is wrong with a trace written out: row, code, message, help."""
    for i, row in enumerate(counts):
        for code, message, help_text in _mistakes(row, routed, chosen=False):
            yield i, code, message, help_text
    if len(counts) not in _passes(routed):
        message = f"{len(counts)} rows of counts, and {routed.layers} layers with experts"
        yield 0, "E202", message, f"{' or '.join(map(str, _passes(routed)))} rows"


def _passes(routed: Routed) -> tuple[int, ...]:
    """Layers that a trace may describe: one for all, each, or each in every step."""
    found = (1, routed.layers, routed.layers * routed.steps)
    return found if routed.steps > 1 else found[:2]


def _mistakes(
    cells: tuple[int, ...], routed: Routed, *, chosen: bool
) -> Iterator[tuple[str, str, str]]:
    """Code, message and help of what is wrong with one row."""
    experts, top_k, tokens = routed[:3]
    if len(cells) != (top_k if chosen else experts):
        message = f"a row of {len(cells)} numbers, and the model has {experts} experts"
        help_text = (
            f"{experts} numbers: tokens of each expert; or {top_k}: the experts of one token"
        )
        yield "E202", message, help_text
    elif chosen and max(cells) >= experts:
        message = f"expert {max(cells)} of a model with {experts} experts"
        yield "E107", message, f"experts count from 0 to {experts - 1}"
    elif chosen and len(set(cells)) < top_k:
        yield "E202", "a token goes to one expert twice", f"{top_k} distinct experts in each row"
    elif not chosen and max(cells) > tokens:
        message = f"an expert has {max(cells)} tokens of {tokens}"
        yield "E107", message, "a token goes to an expert once"
    elif not chosen and sum(cells) != tokens * top_k:
        message = f"the row routes {sum(cells)} tokens, the phase {tokens * top_k}"
        yield "E202", message, f"{tokens} tokens x {top_k} experts each"


def _csv(path: Path) -> list[Row]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        where = Diagnostic("E003", "", str(path))
        raise InputError(f"cannot be read: {reason}", code="E003", where=where) from None
    rows: list[Row] = []
    found: list[Diagnostic] = []
    named = False
    for number, text in enumerate(lines, 1):
        cells = [cell.strip() for cell in text.split("#")[0].rstrip(" ,").split(",")]
        if cells == [""]:
            continue
        if not rows and not named and not any(re.search("^[-+0-9]", cell) for cell in cells):
            named = True
            continue
        bad = next((c for c in cells if not re.fullmatch("[0-9]{1,18}", c)), None)
        if bad is not None:
            at = text.index(bad) + 1 if bad else 1
            message = f'a trace holds whole numbers, got "{bad}"'
            found.append(
                Diagnostic(
                    "E105", message, str(path), number, at, source_line=text, width=len(bad) or 1
                )
            )
            continue
        rows.append(Row(tuple(int(cell) for cell in cells), number, text))
    if found:
        raise InputError.of(found)
    return rows


def _npy(path: Path) -> list[Row]:
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        where = Diagnostic("E003", "", str(path))
        raise InputError("cannot be read: not an NPY array", code="E003", where=where) from None
    if table.ndim != 2 or table.dtype.kind not in "iu" or (table < 0).any():
        message = f"expects a table of whole numbers from 0, got {table.ndim} dimensions"
        message += f" of {table.dtype}"
        raise InputError.of([Diagnostic("E105", message, str(path))])
    return [Row(tuple(row), None, None) for row in table.tolist()]
