"""Runs side by side, and what makes up the difference: whose picoseconds, whose joules.

Works on stored results alone. The first run is the reference. Shares of a difference in time are
integers of the critical path, so that classes, and reasons, sum to it exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from math import isclose
from string import ascii_uppercase
from typing import Any, Final

from archsim.core.errors import InputError
from archsim.core.units import format_si
from archsim.core.yamlread import value_text
from archsim.report.explain import leaves
from archsim.report.formulas import unit_of
from archsim.report.quantity import PREFIXED, with_unit
from archsim.report.verdict import unadvised

SCHEMA: Final = "archsim.compare/1"
RESULT: Final = "archsim.result/1"
UNTOLD: Final = ("provenance", "description")  # parts of a description that alter no answer
HASHED: Final = ("key", "inputs")  # parts of a result that say what it is of

Row = dict[str, Any]


@dataclass(frozen=True)
class Compared:
    """One run that is compared.

    Attributes:
        name: as the user wrote it.
        result: the content of its `result.json`.
        settings: values of its machine and workload as simulated, by dotted path.
        text: of `result.json`.
        typed: the command that made it, where it is known.
    """

    name: str
    result: Mapping[str, Any]
    settings: Mapping[str, Any]
    text: str
    typed: str = ""


def compare(runs: Sequence[Compared]) -> dict[str, Any]:
    """Two or more runs beside each other.

    Returns:
        Plain data: `runs`; `metrics`, a row each with the values of all runs and their ratios to
        the first; `differences`, one for each run after the first.

    Raises:
        InputError: E204 for a result of another version, E708 for one at fidelity bound.
    """
    for run in runs:
        _check(run)
    first = runs[0]
    return {
        "schema": SCHEMA,
        "runs": [
            {
                "name": run.name, "key": run.result["key"], "fidelity": run.result["fidelity"],
                **{kind: run.result["inputs"][kind]["name"] for kind in ("hardware", "workload")},
            }
            for run in runs
        ],
        "metrics": list(_metrics(runs)),
        "differences": [difference(first, other) for other in runs[1:]],
    }  # fmt: skip


def _check(run: Compared) -> None:
    schema = run.result.get("schema")
    if schema != RESULT:
        raise InputError(
            f"{run.name} is {schema}, and this version compares {RESULT}", code="E204",
            help="run it again with this version",
        )  # fmt: skip
    if run.result["fidelity"] == "bound":
        raise InputError(
            f"{run.name} is a run at fidelity bound, which says not where its time goes",
            code="E708", help="run at fidelity analytic, tile or cycle",
        )  # fmt: skip


def _metrics(runs: Sequence[Compared]) -> Iterator[Row]:
    """Every number that some run has, with its ratios to that of the first."""
    known = [numbers(run.result) for run in runs]
    for path in {path: None for one in known for path in one}:
        values = [one.get(path) for one in known]
        yield {"metric": path, "values": values, "ratios": [ratio(values[0], v) for v in values]}


def numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of a result that runs are compared by, by dotted path."""
    some = {"metrics": result["metrics"], "ratio_to_bound": result["ratio_to_bound"]}
    return {
        path: value
        for path, value in leaves(some)
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def ratio(first: float | None, other: float | None) -> float | None:
    """How many times the first; None where one of them has no such number, or the first is 0."""
    return None if first is None or other is None or not first else other / first


def difference(first: Compared, other: Compared) -> Row:
    """What makes up the difference between two runs; all of the second less the first."""
    a, b = first.result, other.result
    return {
        "name": other.name,
        "time_ps": b["time_ps"] - a["time_ps"],
        "by_op_class": _parts(_of_classes(a), _of_classes(b)),
        "by_reason": _parts(_of_reasons(a), _of_reasons(b)),
        "by_op_and_reason": _parts(_of_ops(a), _of_ops(b)),
        "energy_j": b["metrics"]["energy_j"]["total"] - a["metrics"]["energy_j"]["total"],
        "energy_by_component": _parts(_energy(a), _energy(b)),
        "settings": list(_settings(first.settings, other.settings)),
    }


def _parts(first: Mapping[str, float], other: Mapping[str, float]) -> list[Row]:
    """Both values of each part and their difference, the largest difference first."""
    rows = [
        {
            "part": name, "first": first.get(name, 0), "other": other.get(name, 0),
            "difference": other.get(name, 0) - first.get(name, 0),
        }
        for name in {**first, **other}
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (-abs(row["difference"]), row["part"]))


def _of_classes(result: Mapping[str, Any]) -> dict[str, float]:
    return {one["op_class"]: one["time_ps"] for one in result["op_classes"]}


def _of_reasons(result: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for reasons in result["critical"].values():
        for reason, ps in reasons.items():
            found[reason] = found.get(reason, 0) + ps
    return found


def _of_ops(result: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"{op}: {reason}": ps
        for op, reasons in result["critical"].items()
        for reason, ps in reasons.items()
    }


def _energy(result: Mapping[str, Any]) -> dict[str, float]:
    return dict(result["metrics"]["energy_j"]["by_component"])


def _settings(first: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Row]:
    for path in sorted({**first, **other}):
        a, b = first.get(path), other.get(path)
        if a != b and not set(path.split(".")) & set(UNTOLD):
            yield {"path": path, "first": a, "other": b}


def first_difference(first: Compared, other: Compared) -> tuple[str, Any, Any] | None:
    """Path and both values of the first place where two results differ; None for the same bytes.

    Hashes of inputs and of the run come last: where they differ alone, only descriptions do. What
    to change first is left out where one of them was not asked for it, as designs of studies are.
    """
    if first.text == other.text:
        return None
    alone = advised_alone(first, other) is not None
    both = [unadvised(run.result) if alone else run.result for run in (first, other)]
    a, b = ({k: v for k, v in one.items() if k not in HASHED} for one in both)
    whole = None if alone else ("the text, though no value", "", "")
    return _unlike(a, b) or _unlike(both[0], both[1]) or whole


def advised_alone(first: Compared, other: Compared) -> Compared | None:
    """The one of two runs that says what to change first, where the other does not."""
    asked = [run for run in (first, other) if "advice" in run.result]
    return asked[0] if len(asked) == 1 else None


def _unlike(a: Any, b: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """The first place where two values differ in kind or amount, and in which order of keys."""
    pairs: Iterable[tuple[str, Any, Any]]
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if odd := [key for key in (*a, *b) if key not in a or key not in b]:
            return f"{path}.{odd[0]}".removeprefix("."), a.get(odd[0]), b.get(odd[0])
        if list(a) != list(b):
            return path, list(a), list(b)
        pairs = [(f"{path}.{key}".removeprefix("."), a[key], b[key]) for key in a]
    elif isinstance(a, list) and isinstance(b, list):
        pairs = [(f"{path}[{i}]", x, y) for i, (x, y) in enumerate(zip_longest(a, b))]
    else:
        return None if type(a) is type(b) and a == b else (path, a, b)
    return next((found for p, x, y in pairs if (found := _unlike(x, y, p))), None)


def outside(first: Compared, other: Compared, tolerance: float) -> list[tuple[str, Any, Any]]:
    """Numbers further from the first run's than a share of them, the furthest first."""
    a, b = numbers(first.result), numbers(other.result)
    found = [
        (path, a.get(path), b.get(path))
        for path in {**a, **b}
        if path not in a
        or path not in b
        or not isclose(a[path], b[path], rel_tol=0.0, abs_tol=tolerance * abs(a[path]))
    ]
    return sorted(found, key=lambda one: -_distance(one[1], one[2]))


def _distance(a: float | None, b: float | None) -> float:
    return abs(b / a - 1) if a and b is not None else float("inf")


def shown(metric: str, value: float | None) -> str:
    """A value with a prefix where its name ends in a unit that takes one."""
    if value is None:
        return "-"
    return with_unit(metric, value) if unit_of(metric) in (*PREFIXED, "B") else f"{value:.4g}"


def said(value: Any) -> str:
    """A value of a setting as users write it; of a setting that is not there, nothing."""
    return "nothing" if value is None else value_text(value)


def letters(count: int) -> list[str]:
    """Names of runs in their order: A to Z, then AA to AZ, and so on."""
    found = []
    for i in range(count):
        name, left = "", i + 1
        while left:
            left, digit = divmod(left - 1, len(ascii_uppercase))
            name = ascii_uppercase[digit] + name
        found.append(name)
    return found


def signed(value: float, unit: str) -> str:
    """A difference with its sign and a prefix."""
    return ("+" if value > 0 else "") + format_si(value, unit)
