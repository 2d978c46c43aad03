"""A design as a store writes it: the columns of its row, the file of its run, which row stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from archsim.core.yamlio import canonical_json
from archsim.dse.point import Outcome

RUN = "archsim.point/1"
COLUMNS = "key, number, fidelity, settings, status, metrics, error"
Row = tuple[Any, ...]
"""Values of the columns; settings, metrics and error as JSON."""


def run_text(settings: Mapping[str, Any], results: tuple[str, ...]) -> str:
    """The file of a run; texts of results go in as they are, which keeps their numbers exact."""
    head = f'{{"schema": "{RUN}", "settings": {canonical_json(settings)}, "results": ['
    inside = ",\n".join(text.strip() for text in results)
    return f"{head}\n{inside}\n]}}\n"


def standing(mine: Row, theirs: Row) -> Row | None:
    """Which of two rows of a design stands, whoever has which; None where they contradict.

    One that says more of its run than of the design gives way.
    """
    if mine[2:] == theirs[2:]:
        return mine
    first, second = sorted((mine, theirs), key=lambda row: (_of_its_run(row), str(row[6])))
    return first if _of_its_run(second) else None


def _of_its_run(row: Row) -> bool:
    key, _, _, _, status, _, error = row
    return Outcome(key, status, {}, error=json.loads(error) if error else None).of_its_run
