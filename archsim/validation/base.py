"""What an adapter is: it turns a row into a run and names what the run says about each metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from archsim.core.registry import Registry

Row = Mapping[str, str]


class Adapter:
    """One suite's adapter. It never looks at a column that it is to predict.

    `NEEDS` are the columns it reads, `kind` is the suite's name.
    """

    kind: ClassVar[str]
    NEEDS: ClassVar[tuple[str, ...]]
    ID: ClassVar[str]  # column that names a row

    def run(self, row: Row) -> dict[str, float]:
        """What archsim says, by metric.

        Raises:
            Unsupported: for a row that archsim cannot express, with the reason.
        """
        raise NotImplementedError

    def gates(self, metric: str, row: Row) -> bool:
        """Whether a metric of a row counts, where the table's own figure is known to be sound."""
        return True


adapters: Registry[Adapter] = Registry("archsim.validation.adapters", Adapter)
