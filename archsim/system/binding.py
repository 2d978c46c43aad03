"""Engines are put inside the memories that they name, once a machine's parts are made."""

from __future__ import annotations

from collections.abc import Mapping

from archsim.components._pim import PimEngine
from archsim.components.base import Engine
from archsim.energy.table import EnergyTable
from archsim.memory.base import Memory
from archsim.system.build_names import dangling


def bind(units: Mapping[str, Engine], mems: Mapping[str, Memory], table: EnergyTable) -> None:
    """Bind each engine that is built into a memory, with the prices that cap its power.

    Raises:
        InputError: E201 for a memory that does not exist; E202 and E108 as of `PimEngine.bind`.
    """
    for name, unit in sorted(units.items()):
        if not isinstance(unit, PimEngine):
            continue
        if unit.spec.inside not in mems:
            raise dangling(f"engines.{name}.inside", "memory", unit.spec.inside, mems)
        unit.bind(mems[unit.spec.inside])
        unit.capped(table)
