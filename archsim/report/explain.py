"""Where a number comes from: its formula, the ops and the table rows behind it, and its settings.

Works on stored results alone: `result.json` and `ops.csv` as plain data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from archsim.core.errors import InputError, nearest
from archsim.report.formulas import FORMULAS, Explanation, Stored, of_op, unit_of


def explain(
    result: Mapping[str, Any], ops: Sequence[Mapping[str, Any]], metric: str
) -> Explanation:
    """What is behind a metric of a result.

    Args:
        result: the content of `result.json`.
        ops: the rows of `ops.csv`.
        metric: dotted path of a value, or the path of an op such as `layer/attn.score`.

    Raises:
        InputError: E701 when there is no such metric; the help names the closest.
    """
    for row in ops:
        if row["op"] == metric:
            return of_op(result, row)
    known = dict(leaves(result))
    if metric not in known:
        inner = [path for path in known if path.startswith(f"{metric}.")]
        close = inner[0] if inner else nearest(metric, [*known, *(str(r["op"]) for r in ops)])
        raise InputError(
            f'no metric "{metric}" in this result',
            code="E701",
            help=f'did you mean "{close}"?' if close else "see result.json for the names",
        )
    value = known[metric]
    for pattern, formula in FORMULAS:
        found = re.fullmatch(pattern, metric)
        if found:
            return formula(Stored(result, ops), metric, value, found)
    return Explanation(metric, value, unit_of(metric), "stored as counted; no formula behind it")


def leaves(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths and values of everything that is not a container."""
    items: Any = data.items() if isinstance(data, Mapping) else enumerate(data)
    for key, value in items:
        name = f"{path}[{key}]" if isinstance(data, list) else f"{path}.{key}".removeprefix(".")
        if isinstance(value, Mapping | list):
            yield from leaves(value, name)
        else:
            yield name, value
