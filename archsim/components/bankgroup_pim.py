"""Units of arithmetic at the bank groups of a memory: banks of a group share one."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from archsim.components._pim_beside import BesideSpec, PimBeside
from archsim.memory.pim.lane_rules import Sharing


class BankgroupPim(PimBeside):
    """A MAC unit at every bank group, built in the memory's own process.

    It reads one bank of its group at a time. As many groups as one command reads work in step;
    where the command set reads a bundle at once, its banks are of so many groups.
    """

    kind = "bankgroup_pim"
    KNOBS: ClassVar = {"busy": {"lanes": 2}}
    WHERE = "bank_group"
    UNITS = frozenset({"bank_group", "bundle"})
    MEMORY: ClassVar = {"kind": "dram", "standard": "HBM3_5.2Gbps"}

    class Spec(BesideSpec):
        """Units at bank groups."""

        kind: Literal["bankgroup_pim"] = "bankgroup_pim"

        sharing: Sharing = "bundle"
        """As of any engine inside a memory; by default it works in bundles of banks of its own."""

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Sixty-four lanes at each group, on a clock of about half a tick of its columns."""
        return {"kind": cls.kind, "inside": "dram", "lanes": 64, "clock": "core"}

    @property
    def macs(self) -> int:
        """Lanes of all groups."""
        return self.parts * self.form.banks_at_once * self.spec.lanes
