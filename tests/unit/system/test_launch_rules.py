"""Does a kernel's launch take what a mapping rule says?"""

from __future__ import annotations

from typing import Any

import pytest

from archsim import api
from archsim.core.errors import InputError

LAYERS = {
    "schema": "archsim.workload/1", "name": "w",
    "model": {"layers": [{"name": "one", "m": 64, "n": 64, "k": 64},
                         {"name": "two", "m": 64, "n": 64, "k": 64}]},
    "dtypes": {"weights": "bf16", "activations": "bf16"},
}  # fmt: skip


def times(*set_: str) -> dict[str, int]:
    rows: list[dict[str, Any]] = api.run("a100", LAYERS, set_=set_, advice=False).ops
    return {row["op"].partition("/")[2]: row["time_ps"] for row in rows}


def test_a_rule_replaces_the_launch_of_the_ops_that_it_matches() -> None:
    plain, ruled = times(), times('mapping=[{ops: "*/two", launch: 20 us}]')
    assert ruled["one"] == plain["one"]
    assert ruled["two"] - plain["two"] == 20_000_000 - 3_450_000


def test_a_launch_is_its_own_joined_or_a_time() -> None:
    with pytest.raises(InputError, match="mapping"):
        times('mapping=[{ops: "*", launch: sometimes}]')
