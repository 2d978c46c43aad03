"""Units of arithmetic at the banks of a memory: each reads its own bank, or two in turn."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from archsim.components._pim_beside import BesideSpec, PimBeside


class BankPim(PimBeside):
    """A MAC unit at every bank, or at every two, built in the memory's own process."""

    kind = "bank_pim"
    KNOBS: ClassVar = {"busy": {"lanes": 2}}
    WHERE = "bank"
    UNITS = frozenset({"bank", "bank_pair"})
    MEMORY: ClassVar = {"kind": "dram", "standard": "GDDR6_AiM"}

    class Spec(BesideSpec):
        """Units at banks, or at pairs of banks, as the command set drives them."""

        kind: Literal["bank_pim"] = "bank_pim"

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Sixteen lanes at each bank."""
        return {"kind": cls.kind, "inside": "dram", "lanes": 16, "clock": "core"}

    @property
    def macs(self) -> int:
        """Lanes of all units."""
        return self.units * self.spec.lanes
