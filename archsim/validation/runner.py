"""Runs a suite: each row through its adapter, metrics over all rows, pass or fail."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import isfinite, nan
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median, quantiles
from typing import Any

import numpy as np

from archsim.core.errors import ArchsimError, InputError
from archsim.validation.base import Adapter, Beside, Progress, Row, adapters
from archsim.validation.rooflines import ape_pct, fit
from archsim.validation.suite import (
    HERE,
    Suite,
    SuiteInfo,
    Tolerance,
    check_columns,
    load_suite,
    read_table,
    rows_of,
    same,
    suite_names,
)


@dataclass(frozen=True)
class Case:
    """One metric of one row."""

    id: str
    metric: str
    want: float | None
    got: float | None
    status: str  # pass | fail | unsupported
    gating: bool
    reason: str | None = None
    beside: Beside | None = None
    ranged: bool = False  # wanted is an end of a range, from which nothing is off by a share
    note: str = ""  # of the row, with its first metric

    @property
    def ape_pct(self) -> float | None:
        """Absolute error in percent of the wanted value; None where there is none."""
        if self.want is None or self.got is None or self.ranged:
            return None
        if self.want == 0:
            return 0.0 if self.got == 0 else 100.0
        return 100.0 * abs(self.got - self.want) / abs(self.want)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "id": self.id, "metric": self.metric, "want": self.want, "got": self.got,
            "ape_pct": self.ape_pct, "status": self.status, "reason": self.reason,
            **({"note": self.note} if self.note else {}),
        }  # fmt: skip


@dataclass(frozen=True)
class ValidationResult:
    """The outcome of a suite."""

    suite: Suite
    rows: int
    cases: tuple[Case, ...]
    wall_s: float

    @property
    def unsupported(self) -> int:
        """Rows that archsim cannot express."""
        return sum(c.status == "unsupported" for c in self.cases) // len(self.suite.metrics)

    @property
    def passed(self) -> bool:
        """Every gating metric inside its tolerance, every row expressed."""
        return not self.unsupported and all(m["pass"] for m in self.metrics().values())

    def metrics(self) -> dict[str, dict[str, Any]]:
        """Statistics by metric; rows that do not gate are reported under `<metric>.ungated`."""
        out = {}
        for name, text in self.suite.metrics.items():
            cases = [c for c in self.cases if c.metric == name and c.got is not None]
            tolerance = Tolerance(text)
            loose = [c for c in cases if tolerance.gating and not c.gating]
            out[name] = _statistics([c for c in cases if c not in loose], tolerance)
            if loose:
                out[f"{name}.ungated"] = _statistics(loose, Tolerance("report"))
            out |= _groups(name, cases)
        return out

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "schema": "archsim.validation/1",
            "suite": self.suite.suite,
            "rows": self.rows,
            "compared": self.rows - self.unsupported,
            "unsupported": self.unsupported,
            "pass": self.passed,
            "wall_s": self.wall_s,
            "metrics": self.metrics(),
            "cases": [c.to_dict() for c in self.cases],
        }

    def to_csv(self) -> str:
        """One line a case."""
        text = io.StringIO()
        heads = ["id", "metric", "want", "got", "ape_pct", "status", "reason"]
        writer = csv.DictWriter(text, heads, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(c.to_dict() for c in self.cases)
        return text.getvalue()


def _statistics(cases: list[Case], tolerance: Tolerance) -> dict[str, Any]:
    errors = [c.ape_pct for c in cases if c.ape_pct is not None]
    signed = [
        100.0 * (c.got - c.want) / c.want
        for c in cases
        if c.want is not None and c.got is not None and c.want and not c.ranged
    ]
    within = sum(c.status == "pass" for c in cases)
    mape = fmean(errors) if errors else 0.0
    good = within == len(cases) and tolerance.holds_mean(mape)
    return {
        "n": len(cases),
        "exact": sum(
            same(c.want, c.got) for c in cases if c.want is not None and c.got is not None
        ),
        "gating": tolerance.gating,
        "tolerance": tolerance.text,
        "within_tolerance": within,
        "pass": good or not tolerance.gating,
        "mape_pct": mape,
        "median_ape_pct": median(errors) if errors else 0.0,
        "p90_ape_pct": _p90(errors),
        "max_ape_pct": max(errors, default=0.0),
        "bias_pct": fmean(signed) if signed else 0.0,
    }


def _p90(errors: list[float]) -> float:
    if len(errors) < 2:
        return max(errors, default=0.0)
    return quantiles(errors, n=10, method="inclusive")[8]


def _groups(name: str, cases: list[Case]) -> dict[str, dict[str, Any]]:
    """Statistics by machine and class, each beside those of the two rooflines."""
    rows = [(c, c.beside) for c in cases if c.beside and c.want]
    want = np.array([c.want for c, _ in rows], float)
    compute = np.array([b.compute_us for _, b in rows], float)
    memory = np.array([b.memory_us for _, b in rows], float)
    plain = ape_pct(np.maximum(compute, memory), want)
    scaled = np.zeros(len(rows))
    for machine in {b.fit for _, b in rows}:
        of = np.array([b.fit == machine for _, b in rows])
        roof = fit(compute[of], memory[of], want[of])
        scaled[of] = ape_pct(roof.us(compute[of], memory[of]), want[of])
    out = {}
    for group in sorted({g for _, b in rows for g in b.groups}):
        of = np.array([group in b.groups for _, b in rows])
        found = _statistics([c for c, b in rows if group in b.groups], Tolerance("report"))
        best = float(scaled[of].mean())
        out[f"{name}.{group}"] = {
            **found,
            "plain_roofline_mape_pct": float(plain[of].mean()),
            "scaled_roofline_mape_pct": best,
            "beats_scaled_roofline": found["mape_pct"] < best,
        }
    return out


def list_suites() -> list[SuiteInfo]:
    """Every suite: what it proves, rows, tolerance, last measured error."""
    return [SuiteInfo.of(load_suite(name)) for name in suite_names()]


def validate(
    name: str,
    table: Path | None = None,
    limit: int | None = None,
    workers: int = 1,
    set_: Sequence[str] = (),
    progress: Progress | None = None,
) -> ValidationResult:
    """Run a suite on its own table, or on another of the same columns.

    Args:
        name: of the suite.
        table: of rows; the suite's own where there is none.
        limit: rows at most.
        workers: processes.
        set_: overrides of every machine that is run, to see what a parameter is worth.
        progress: told how much of what several rows share is done.

    Raises:
        InputError: for an unknown suite, a table that cannot be read or lacks a column, a limit
            below one: no rows prove nothing.
    """
    began = time.perf_counter()
    if limit is not None and limit < 1:
        raise InputError(f"limit must be 1 or more, got {limit}", code="E107")
    suite = load_suite(name)
    adapter = adapters.get(name)(set_)
    path = table or HERE / "tables" / suite.table
    rows = rows_of(name, read_table(path))
    check_columns(path, rows, adapter, suite)
    rows = rows[:limit]
    adapter.prepare(rows, workers, progress)
    if workers > 1:
        with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
            found = list(pool.map(partial(_row, suite, adapter), rows, chunksize=8))
    else:
        found = [_row(suite, adapter, row) for row in rows]
    cases = tuple(case for some in found for case in some)
    return ValidationResult(suite, len(rows), cases, time.perf_counter() - began)


def _row(suite: Suite, adapter: Adapter, row: Row) -> list[Case]:
    label = adapter.label(row)
    try:
        beside = adapter.beside(row)
        got = adapter.run(row)
        gated = {metric for metric in suite.metrics if adapter.gates(metric, row)}
    except ArchsimError as error:
        reason = "; ".join(d.message for d in error.diagnostics)
        return [
            Case(label, metric, None, None, "unsupported", True, reason) for metric in suite.metrics
        ]
    cases: list[Case] = []
    for metric, text in suite.metrics.items():
        if metric not in got:
            continue
        own, gates = adapter.tolerance(metric, row), metric in gated
        tolerance = Tolerance(own or text)
        printed = row[adapter.COLUMN.get(metric, metric)]
        if not printed.strip() and (not tolerance.gating or metric in adapter.GAPS):
            continue  # a gap in a column that is only reported, or may have gaps
        want = _number(printed, metric, label)
        told = adapter.inside(metric, row, want, got[metric])
        fine = tolerance.holds(want, got[metric], printed) if told is None else told
        fine = fine or not gates
        cases.append(
            Case(
                label, metric, want, got[metric],
                "pass" if fine else "fail", gates and tolerance.gating,
                None if fine else f"wanted {want:g}, got {got[metric]:g}", beside,
                told is not None,
                "" if cases else adapter.note(row),
            )
        )  # fmt: skip
    return cases


def _number(text: str, metric: str, label: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not isfinite(value):
        raise InputError(f'{label}: column {metric} expects a number, got "{text}"', code="E105")
    return int(value) if value.is_integer() else value
