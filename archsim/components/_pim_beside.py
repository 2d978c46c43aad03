"""What engines with units beside banks have in common: lanes, and what a unit does with an access.

Here live their fields and what a register at a unit saves. Where the units are is said by the
subclasses.
"""

from __future__ import annotations

from dataclasses import replace

from archsim.components._pim import PimEngine, PimSpec
from archsim.core.spec import PositiveInt
from archsim.ir.pim import PimWork, Product
from archsim.memory.pim.products_counted import in_step


class BesideSpec(PimSpec):
    """Lanes of a unit, and its register."""

    lanes: PositiveInt
    """Lanes of one unit."""

    column_register: bool = False
    """Whether a unit keeps the access that it has read, so that further vectors meet it there, as
    many as the command set holds results of. Default: each reads it again from the open row, unless
    the unit is fast enough for several at once."""

    lockstep: bool = False
    """Whether all channels go through the commands of the busiest one, with or without a part of
    the matrix. Default: a channel without one rests."""


class PimBeside(PimEngine):
    """An engine whose units lie in the DRAM dies, beside their banks."""

    spec: BesideSpec

    def _work(self, product: Product, *, exact: bool) -> PimWork:
        """As of any engine inside a memory; what registers keep is not read again."""
        device, work = self._device_of(product), super()._work(product, exact=exact)
        if self.spec.column_register:
            held = device.unit.held
            passes = tuple(replace(e, m=-(-e.m // held)) for e in product.cases)
            kept = device.work(replace(product, cases=passes))
            work = replace(work, read_bytes=min(work.read_bytes, kept.read_bytes))
        return in_step(device, product, work) if self.spec.lockstep else work
