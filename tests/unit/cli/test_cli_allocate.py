"""Does `archsim allocate` print a plan in every format, and say clearly what it cannot do?"""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done

    Program = Callable[..., Done]

RESNET = ("allocate", "resnet-50", "--phase", "infer", "--set", "dtypes.activations=int8")
BERT = ("allocate", "bert-base", "--phase", "encode", "--tokens", "128")


def test_the_table_names_budget_status_and_both_kinds_of_bytes(archsim: Program) -> None:
    done = archsim(*RESNET, "--budget", "2352 KiB")
    assert done.status == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:7] == [
        "resnet-50: 105 ops in a scratchpad",
        "",
        "policy                    cosma, optimal",
        "budget                    2.30 MiB (2408448 B)",
        "occupied                  2.30 MiB (2408448 B)",
        "off chip, compulsory      48.84 MiB",
        "off chip, non-compulsory  0 B",
    ]
    assert lines[8].split() == ["steps", "address", "bytes", "arrives", "tensor"]


def test_a_tight_budget_says_what_goes_and_comes_back(archsim: Program) -> None:
    done = archsim(*BERT, "--budget", "largest-op", "--policy", "cosma")
    (line,) = (x for x in done.stdout.splitlines() if "non-compulsory" in x)
    assert line.endswith("  4.50 MiB: 2.25 MiB evicted, 2.25 MiB fetched again")


def test_json_holds_the_whole_plan_in_bytes(archsim: Program) -> None:
    found = json.loads(archsim(*BERT, "--budget", "half", "--format", "json").stdout)
    assert found["evicted_bytes"] + found["refetched_bytes"] == found["non_compulsory_bytes"]
    assert found["bound_bytes"] == found["non_compulsory_bytes"] > 0
    assert found["status"] == "optimal"
    assert len(found["order"]) == 149
    assert {stay["arrives"] for stay in found["stays"]} == {"written", "fetched", "fetched again"}


def test_csv_is_one_row_a_stay(archsim: Program) -> None:
    text = archsim(*RESNET, "--budget", "3 MiB", "--policy", "greedy-by-size", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text.stdout)))
    assert len(rows) == 106  # what 105 ops write, and the image
    assert max(int(row["address_bytes"]) + int(row["bytes"]) for row in rows) <= 3 << 20


def test_a_streamed_cache_has_no_row(archsim: Program) -> None:
    done = archsim(
        "allocate", "gpt2-small", "--context", "64", "--budget", "1 MiB", "--format", "csv"
    )
    assert done.status == 0, done.stderr
    assert "kv." not in done.stdout


def test_an_ambiguous_size_is_refused_with_the_two_it_could_be(archsim: Program) -> None:
    done = archsim(*RESNET, "--budget", "2352 KB")
    assert done.status == 3
    assert "`2352 KiB` or `2352 kB`" in done.stderr


def test_a_budget_below_the_largest_op_names_the_op(archsim: Program) -> None:
    done = archsim(*RESNET, "--budget", "2 MiB")
    assert done.status == 5
    assert done.stderr == (
        "error[E401]: stage1.0/add needs 2408448 bytes at once, the budget is 2097152\n"
        "      = help: the largest op of resnet-50 needs 2408448 bytes\n"
    )


def test_a_policy_that_does_not_exist_gets_a_suggestion(archsim: Program) -> None:
    done = archsim(*RESNET, "--budget", "3 MiB", "--policy", "bestfit")
    assert done.status == 3
    assert 'did you mean "best-fit"?' in done.stderr


def test_without_the_solver_the_way_to_get_it_is_named(
    archsim: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    done = archsim(*BERT, "--budget", "largest-op")
    assert done.status == 8
    assert 'pip install "archsim[solver]"' in done.stderr
