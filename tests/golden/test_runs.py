"""Did a number change? Shipped workloads on shipped machines, against the table."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("golden", Path(__file__).parent / "refresh.py")
assert _spec is not None
assert _spec.loader is not None
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)

ROWS = golden.committed()


@pytest.mark.parametrize(
    ("hardware", "workload"), [pytest.param(*pair, id=" on ".join(pair)) for pair in ROWS]
)
def test_a_run_gives_the_committed_numbers(hardware: str, workload: str) -> None:
    row = ROWS[hardware, workload]
    found = golden.measure(hardware, workload)
    assert found == {key: row[key] for key in found}


def test_every_shipped_pair_has_a_row_that_says_why() -> None:
    assert set(ROWS) == set(golden.pairs()), "run `make golden`"
    assert all(row["why"] for row in ROWS.values())
