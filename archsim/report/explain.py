"""Where a number comes from: its formula, the ops and the table rows behind it, and its settings.

Works on stored results alone: `result.json` and `ops.csv` as plain data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from archsim.core.errors import InputError, nearest
from archsim.report.floor_formulas import FLOOR_FORMULAS
from archsim.report.formulas import (
    FORMULAS,
    Explanation,
    Part,
    Stored,
    of_op,
    unit_of,
    without_unit,
)
from archsim.report.pod import what
from archsim.report.pod_formulas import POD_FORMULAS

SHOWN = 6  # names that a help lists
ALSO_CALLED = {"latency": "metrics.time_s", "makespan": "metrics.time_s"}


def explain(
    result: Mapping[str, Any], ops: Sequence[Mapping[str, Any]], metric: str
) -> Explanation:
    """What is behind a metric of a result.

    Args:
        result: the content of `result.json`.
        ops: the rows of `ops.csv`.
        metric: dotted path of a value, or the path of an op such as `layer/attn.score`.

    Raises:
        InputError: E701 when there is no such metric, or several; the help names the closest.
    """
    for row in ops:
        if row["op"] == metric:
            return _with_exchange(result, of_op(result, row))
    for one in result.get("dispatch", ()):
        if one["op"] == metric:
            return Explanation(
                metric, one["engine"], "", "in the stage of another op, and its time"
            )
    known = dict(leaves(result))
    if metric not in known:
        said = [name for name, value in known.items() if value is not None]
        raise _unknown(metric, said, [str(row["op"]) for row in ops])
    value = known[metric]
    if value is None:
        return Explanation(metric, value, "", "this run has no such number")
    for pattern, formula in (*FLOOR_FORMULAS, *FORMULAS, *POD_FORMULAS):
        found = re.fullmatch(pattern, metric)
        if found:
            return formula(Stored(result, ops), metric, value, found)
    return Explanation(metric, value, unit_of(metric), "stored as counted; no formula behind it")


def _with_exchange(result: Mapping[str, Any], op: Explanation) -> Explanation:
    """An op with what it exchanges between devices, if so: how and why, bytes, time over least."""
    formula, parts = op.formula, list(op.parts)
    for one in result.get("collectives", ()):
        if one["path"] != op.metric:
            continue
        formula += f"; {what(one)}: {one['reason']}"
        parts += [
            Part("size_bytes", one["size_bytes"], "B", note="the whole buffer, as NCCL counts it"),
            Part("sent_bytes", one["sent_bytes"], "B", note="by all devices, each time"),
            Part("time_ps", one["time_ps"], "ps", note=f"each of {one['repeats']}"),
            Part("latency_ps", one["latency_ps"], "ps", note="launch, steps and ways"),
            Part("transfer_ps", one["transfer_ps"], "ps", note="bytes on the fullest links"),
            Part("least_ps", one["least_ps"], "ps", note="least bytes at a device's bandwidth"),
        ]
        if one["over_least"] is not None:
            parts.append(Part("over_least", one["over_least"], note="time over the least"))
    return replace(op, formula=formula, parts=tuple(parts))


def _unknown(metric: str, known: Sequence[str], ops: Sequence[str]) -> InputError:
    """What to say of a name that is none of a value."""
    words = _words(known)
    at = words.get(metric.casefold(), metric)  # `energy` is `metrics.energy_j`
    inner = [path for path in known if path.startswith((f"{at}.", f"{at}["))]
    if f"{at}.total" in inner:
        at, inner = f"{at}.total", []
    if len(inner) == 1:
        at, inner = inner[0], []
    if inner:
        shown = ", ".join(inner[:SHOWN]) + (", ..." if len(inner) > SHOWN else "")
        message = f'"{metric}" is more than one number of this result'
        return InputError(message, code="E701", help=f"one of: {shown}")
    parts = (op for op in ops if op.startswith(f"{metric}@"))  # of an op that a rule splits
    close = at if at != metric else next(parts, None) or nearest(metric, [*known, *ops, *words])
    close = words.get(close, close) if close else None
    help_text = f'did you mean "{close}"?' if close else "see result.json for the names"
    return InputError(f'no metric "{metric}" in this result', code="E701", help=help_text)


def _words(known: Sequence[str]) -> dict[str, str]:
    """Paths by the names within them, with and without their unit; an answer before all else."""
    words = {name: path for name, path in ALSO_CALLED.items() if path in known}
    for path in sorted(known, key=lambda p: (not p.startswith("metrics."), p.count("."), p)):
        names = path.split(".")
        for depth, name in enumerate(names[1:] if names[0] == "metrics" else names):
            whole = ".".join(names[: depth + 1 + (names[0] == "metrics")])
            words.setdefault(name, whole)
            words.setdefault(without_unit(name), whole)
    return words


def leaves(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted paths and values of everything that is not a container."""
    items: Any = data.items() if isinstance(data, Mapping) else enumerate(data)
    for key, value in items:
        name = f"{path}[{key}]" if isinstance(data, list) else f"{path}.{key}".removeprefix(".")
        if isinstance(value, Mapping | list):
            yield from leaves(value, name)
        else:
            yield name, value
