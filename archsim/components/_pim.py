"""What engines inside a memory have in common: which one, which commands, what products take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from archsim.components.base import EngineSpec, MacEngine
from archsim.core.spec import Seconds
from archsim.ir.op import Kind
from archsim.ir.pim import PimWork, Product

if TYPE_CHECKING:
    from archsim.energy.table import EnergyRow, EnergyTable
    from archsim.memory.base import Memory


class PimSpec(EngineSpec):
    """Fields that every engine inside a memory has."""

    inside: str
    """Memory whose banks it reads: a name under `memory:`."""

    commands: str | None = None
    """Command set: see `archsim list pim`. Default: that of the memory's standard."""

    sharing: Literal["mode_switch", "bundle", "dual_row_buffer"] = "mode_switch"
    """How it shares banks with ordinary accesses: the memory belongs to one of them at a time and
    changing over costs time (default), each works in bundles of banks of its own, or each has a row
    buffer of its own."""

    switch: Seconds | None = None
    """Time to change over, under `mode_switch`. Default: that of the command set."""

    alone: bool = False
    """Whether nothing else of the chip works meanwhile. Default: other engines do."""


class PimEngine(MacEngine):
    """An engine inside a memory: it computes products with matrices that lie there.

    A subclass says how its units are built; what a product takes of the banks comes from
    `memory.pim`. `bind` gives it its memory before anything else is asked.
    """

    KINDS = frozenset({Kind.GEMM})
    spec: PimSpec
    memory: Memory

    def bind(self, memory: Memory) -> None:
        """Take the memory that it is inside of.

        Raises:
            InputError: E202 where the memory has no banks, or not this command set.
        """
        raise NotImplementedError

    def product(self, product: Product) -> PimWork:
        """What a product takes, from the memory's timing rules and the units' rate: pure."""
        raise NotImplementedError

    @property
    def switch_ps(self) -> int:
        """Time to change over between ordinary accesses and its own."""
        raise NotImplementedError

    @property
    def bytes_per_s(self) -> float:
        """Peak rate at which its units read their banks, all together."""
        raise NotImplementedError

    def price(self, table: EnergyTable, action: str) -> EnergyRow:
        """Energy row of one of its actions: `activate`, `read`, `input`, `result` or `mac`."""
        raise NotImplementedError
