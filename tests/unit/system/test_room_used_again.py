"""Do activations that do not live at once share room, where they would not fit otherwise?"""

from __future__ import annotations

from typing import Any

import pytest

from archsim import api
from archsim.core.errors import Infeasible

SIZE = 512 << 20  # bytes of each result


def chain(length: int) -> dict[str, Any]:
    width = SIZE // 2 // 4096
    ops = [
        {"kind": "vector", "name": f"v{i}", "rows": 4096, "cols": width, "primitives": {"add": 1},
         **({"after": f"v{i - 1}"} if i else {})}
        for i in range(length)
    ]  # fmt: skip
    return {
        "schema": "archsim.workload/1", "name": "w",
        "model": {"config": {"architecture": "graph", "ops": ops}},
        "dtypes": {"weights": "bf16", "activations": "bf16"},
    }  # fmt: skip


def held(length: int, capacity: str) -> int:
    set_ = (f"memory.hbm.capacity={capacity}", 'mapping=[{ops: "*", fuse: none}]')
    found = api.run("tpu-v4", chain(length), set_=set_, fidelity="analytic", advice=False)
    tier = found.result["placement"]["tiers"][0]
    return int(tier["held_bytes"]["activations"])


def test_each_result_has_room_of_its_own_where_there_is_enough() -> None:
    assert held(12, "32 GiB") == 13 * SIZE


def test_results_that_are_no_longer_read_make_room() -> None:
    assert held(12, "6 GiB") < 6 << 30


def test_what_lives_at_once_must_fit() -> None:
    with pytest.raises(Infeasible) as refused:
        held(12, "1 GiB")
    assert refused.value.code == "E401"
