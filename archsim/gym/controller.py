"""The space of a DRAM controller: scheduler, row policy, refresh, queues, and address bits.

For a study that gives no space of its own. The game over it is `gym.design`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsim.core.errors import InputError
from archsim.dse.dimension import AnyDimension
from archsim.dse.space import Space
from archsim.memory.address import RAMULATOR

FIELDS = ("controller", "mapping")  # of a DRAM, that are played with
SCHEDULERS = ("fcfs", "frfcfs", "frfcfs_row_hit")
REFRESHES = ("all_bank", "per_bank")
QUEUES = (8, 16, 32, 64)
ROWS: tuple[dict[str, Any], ...] = (
    {"row_policy": "open"},
    {"row_policy": "closed"},
    {"row_policy": "closed_after", "cap": 4},
    {"row_policy": "closed_after", "cap": 16},
    {"row_policy": "timeout", "timeout": 100},
)
WRITES: tuple[dict[str, float], ...] = (
    {"write_high": 0.8, "write_low": 0.2},
    {"write_high": 0.6, "write_low": 0.4},
    {"write_high": 0.9, "write_low": 0.1},
)
"""Values as in the controllers of ArchGym (Krishnan et al., ISCA 2023), or near the defaults;
which ones is assumed."""


def controller_space(hardware: Mapping[str, Any], memory: str | None) -> dict[str, AnyDimension]:
    """Dimensions of the controller of a DRAM.

    Args:
        hardware: the machine as data.
        memory: name of the DRAM; None for the only one with a standard.

    Raises:
        InputError: E201 where there is no such DRAM, or more than one and none is named.
    """
    found = [name for name, one in hardware.get("memory", {}).items() if one.get("standard")]
    if memory is None and len(found) == 1:
        memory = found[0]
    if memory not in found:
        what = f"no DRAM with a standard is called {memory}" if memory else (
            f"{len(found)} of its memories have a standard"
        )  # fmt: skip
        raise InputError(
            f"whose controller, on {hardware.get('name')}: {what}",
            code="E201",
            help=f"`memory:` one of {', '.join(found)}" if found else "a machine like npu-hbm2",
        )
    at = f"memory.{memory}"
    return {
        f"{at}.mapping": RAMULATOR,
        f"{at}.controller.scheduler": SCHEDULERS,
        f"{at}.controller.rows": _under(f"{at}.controller", ROWS),
        f"{at}.controller.refresh": REFRESHES,
        f"{at}.controller.read_queue": QUEUES,
        f"{at}.controller.write_queue": QUEUES,
        f"{at}.controller.writes": _under(f"{at}.controller", WRITES),
    }


def refuse_others(space: Space) -> None:
    """Refuse dimensions that are not of a controller.

    Raises:
        InputError: E202 with the dimension.
    """
    for dimension in space.dimensions:
        for value in dimension.levels or (None,):
            for path in dimension.settings(value):
                parts = path.split(".")
                if parts[0] != "memory" or not set(parts[2:3]) & set(FIELDS):
                    raise InputError(
                        f"{path} is no parameter of a controller",
                        code="E202",
                        help="memory.<name>.controller.* and memory.<name>.mapping are; or take "
                        "kind: hardware",
                    )


def _under(path: str, choices: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    return tuple({f"{path}.{key}": value for key, value in one.items()} for one in choices)
