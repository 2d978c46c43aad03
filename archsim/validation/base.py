"""What an adapter is: it turns a row into a run and names what the run says about each metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from archsim.core.registry import Registry

Row = Mapping[str, str]
Progress = Callable[[int, int], None]
"""Called with what is done and what is wanted of what rows share."""


@dataclass(frozen=True)
class Beside:
    """What stands beside a measured row: the groups it counts in, and its two rooflines' terms.

    Attributes:
        groups: suffixes of the metrics that it counts in too, such as `A100` and `A100.wave`.
        fit: rows of one machine, among which a scaled roofline is fitted.
        compute_us, memory_us: operations and compulsory bytes at the machine's peaks.
    """

    groups: tuple[str, ...]
    fit: str
    compute_us: float
    memory_us: float


class Adapter:
    """One suite's adapter. It never looks at a column that it is to predict.

    `NEEDS` are the columns it reads, `kind` is the suite's name.
    """

    kind: ClassVar[str]
    NEEDS: ClassVar[tuple[str, ...]]
    ID: ClassVar[str] = ""  # column that names a row, where the table has one
    COLUMN: ClassVar[Mapping[str, str]] = {}  # of metrics that are held against another's column
    GAPS: ClassVar[frozenset[str]] = frozenset()  # metrics without a figure in some rows

    def __init__(self, set_: Sequence[str] = ()) -> None:
        """An adapter whose every run is given these overrides of the machine."""
        self.set_ = tuple(set_)

    def prepare(self, rows: Sequence[Row], workers: int, progress: Progress | None) -> None:
        """Do once what several rows share, in so many processes, before any of them is run."""

    def run(self, row: Row) -> dict[str, float]:
        """What archsim says, by metric; without those that a row of its kind does not have.

        Raises:
            Unsupported: for a row that archsim cannot express, with the reason.
        """
        raise NotImplementedError

    def label(self, row: Row) -> str:
        """Name of a row in reports."""
        return row[self.ID]

    def gates(self, metric: str, row: Row) -> bool:
        """Whether a metric of a row counts, where the table's own figure is known to be sound."""
        return True

    def tolerance(self, metric: str, row: Row) -> str:
        """A row's own tolerance, in the words of a suite's; empty where it has none."""
        return ""

    def inside(self, metric: str, row: Row, want: float, got: float) -> bool | None:
        """Whether a row is as it should be, where a tolerance cannot say so; else None.

        An end of a published range, for one: what is measured lies on its inner side.
        """
        return None

    def note(self, row: Row) -> str:
        """What the text says of a row that was just run, such as where its time went."""
        return ""

    def beside(self, row: Row) -> Beside | None:
        """Groups and rooflines of a row of a measured table; None where there are none."""
        return None


adapters: Registry[Adapter] = Registry("archsim.validation.adapters", Adapter)
