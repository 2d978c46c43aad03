"""A suite as data: its table, its metrics and how close each must come."""

from __future__ import annotations

import csv
import re
from dataclasses import asdict, dataclass
from math import isclose
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator

from archsim.core.errors import InputError, nearest
from archsim.core.spec import Spec, problem
from archsim.core.yamlio import load_spec
from archsim.validation.base import Adapter, Row

HERE = Path(__file__).parent
FORM = re.compile(r"exact|report|(?:mape )?[0-9.]+%|[0-9.]+% [+] half digit|abs [0-9.e-]+")


class Suite(Spec):
    """One file in `cases`."""

    schema_: Literal["archsim.suite/1"] = Field(alias="schema")
    """Version of this file's form."""

    suite: str
    """Name of the suite and of its adapter."""

    proves: str
    """What agreement shows."""

    table: str
    """File in `tables`."""

    source: str
    """Where the table comes from."""

    fit: str = ""
    """Rows on which parameters of the machine were fitted: agreement there is no proof."""

    measured: str
    """Error when it was last run."""

    metrics: dict[str, str]
    """Tolerance by metric: exact, N%, N% + half digit (of the last one that the table prints), mape
    N%, abs N, or report (does not gate)."""

    @field_validator("metrics")
    @classmethod
    def _forms(cls, metrics: dict[str, str]) -> dict[str, str]:
        for text in metrics.values():
            if not FORM.fullmatch(text):
                raise problem("E105", f'"{text}" is no tolerance', "exact, 5%, mape 5%, abs 0.1")
        return metrics


def same(want: float, got: float) -> bool:
    """Equal; a figure with a fraction to the last bits of a double, as sums of such end."""
    return want == got or (want % 1 != 0 and isclose(want, got, rel_tol=1e-15))


@dataclass(frozen=True)
class Tolerance:
    """How close a metric must come."""

    text: str

    @property
    def gating(self) -> bool:
        """False where a metric is only reported."""
        return self.text != "report"

    def holds(self, want: float, got: float, printed: str = "") -> bool:
        """Whether one row is inside; a mean tolerance is judged over all rows instead.

        Args:
            want: what the table says.
            got: what archsim says.
            printed: what the table says, digit by digit.
        """
        if self.text == "exact":
            return same(want, got)
        if self.text.startswith("abs"):
            return abs(got - want) <= float(self.text[4:])
        if self.text.endswith("half digit"):
            digits = len(printed.strip().partition(".")[2])
            share = float(self.text.partition("%")[0]) / 100
            return abs(got - want) <= abs(want) * share + 0.5 * 10.0**-digits
        if self.text.endswith("%") and not self.text.startswith("mape"):
            return abs(got - want) <= abs(want) * float(self.text[:-1]) / 100
        return True

    def holds_mean(self, mape_pct: float) -> bool:
        """Whether the mean over rows is inside."""
        return not self.text.startswith("mape") or mape_pct <= float(self.text[5:-1])


@dataclass(frozen=True)
class SuiteInfo:
    """One line of the list of suites."""

    suite: str
    proves: str
    rows: int
    tolerance: str
    last_measured: str
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def of(cls, suite: Suite) -> Self:
        """What the list says of a suite."""
        tolerances = sorted(set(suite.metrics.values()))
        rows = len(rows_of(suite.suite, read_table(HERE / "tables" / suite.table)))
        return cls(suite.suite, suite.proves, rows, ", ".join(tolerances), suite.measured,
                   suite.source)  # fmt: skip


def suite_names() -> tuple[str, ...]:
    """Names of the suites."""
    return tuple(sorted(path.stem for path in (HERE / "cases").glob("*.yaml")))


def load_suite(name: str) -> Suite:
    """A suite by name.

    Raises:
        InputError: E108 with the closest name.
    """
    if name not in suite_names():
        close = nearest(name, suite_names())
        raise InputError(
            f'suite "{name}" is not one of {", ".join(suite_names())}',
            code="E108",
            help=f'did you mean "{close}"?' if close else None,
        )
    return load_spec(HERE / "cases" / f"{name}.yaml", Suite)[0]


def read_table(path: Path) -> list[Row]:
    """Rows of a CSV; `#` lines are skipped.

    Raises:
        InputError: E003 when it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f'no table "{path}"', code="E003") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", code="E003") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read: {error}", code="E003") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [{k: v or "" for k, v in row.items() if k} for row in csv.DictReader(lines)]


def rows_of(suite: str, rows: list[Row]) -> list[Row]:
    """Those of a suite, in a table that several share: its column `suite` says whose each is."""
    return [row for row in rows if row.get("suite", suite) == suite]


def check_columns(path: Path, rows: list[Row], adapter: Adapter, suite: Suite) -> None:
    """Refuse a table without a needed column, or without rows.

    Raises:
        InputError: E102 naming what is missing.
    """
    if not rows:
        raise InputError(f"{path}: the table has no rows", code="E102")
    needed = (*adapter.NEEDS, *(m for m in suite.metrics if m not in adapter.COLUMN))
    missing = [column for column in needed if column not in rows[0]]
    if missing:
        raise InputError(
            f"{path}: the table lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}",
            code="E102",
            help=f"the suite needs: {', '.join(needed)}",
        )
