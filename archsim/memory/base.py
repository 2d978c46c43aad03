"""What a memory is: capacity, and a pure cost of a transfer behind one port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from archsim.core.registry import Registry
from archsim.core.spec import Bytes, Spec
from archsim.core.units import PS_PER_S

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable
    from archsim.memory.controllers.banked import Banked


class MemorySpec(Spec):
    """Fields that every memory has."""

    capacity: Bytes
    """Bytes it holds."""

    provenance: dict[str, str] = {}
    """Where each number comes from, by field; `assumed` where there is no source."""


class Memory:
    """A memory of the machine. `off_chip` ones are behind a shared port and hold the model."""

    kind: ClassVar[str]
    off_chip: ClassVar[bool]
    ACTIONS: ClassVar[tuple[tuple[str, str], ...]]
    # what relieves it, by what it is short of: field of the Spec -> factor; tried, never assumed
    KNOBS: ClassVar[Mapping[str, Mapping[str, float]]] = {}
    Spec: ClassVar[type[MemorySpec]]

    def __init__(self, name: str, spec: Any, clock_hz: float) -> None:
        self.name = name
        self.spec = spec
        self.clock_hz = clock_hz

    @classmethod
    def example(cls) -> dict[str, Any]:
        """A small valid description."""
        raise NotImplementedError

    @property
    def capacity_bytes(self) -> int:
        """Bytes it holds."""
        return int(self.spec.capacity)

    @property
    def peak_bytes_per_s(self) -> float:
        """Peak bandwidth; infinite where the description gives none."""
        raise NotImplementedError

    @property
    def bytes_per_s(self) -> float:
        """Bandwidth that a long transfer gets."""
        raise NotImplementedError

    @property
    def latency_ps(self) -> int:
        """Time from a request to its first byte."""
        raise NotImplementedError

    def transfer_ps(self, size_bytes: int, efficiency: float | None = None) -> int:
        """Time the port is busy with a transfer, rounded up to a picosecond, at least one.

        `efficiency` is the share of the peak bandwidth that it reaches; default: the memory's own.
        """
        rate = self.bytes_per_s if efficiency is None else self.peak_bytes_per_s * efficiency
        return max(1, -(-size_bytes * PS_PER_S // int(rate)))

    def banked(self) -> Banked | None:
        """Its banks, where it is described down to them; None for a port with a bandwidth."""
        return None

    def energy_class(self) -> str:
        """Class of its rows in the energy table."""
        raise NotImplementedError

    def area_mm2(self, table: EnergyTable) -> float:
        """Silicon area on this chip in mm2."""
        raise NotImplementedError

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power in W."""
        raise NotImplementedError


memories: Registry[Memory] = Registry("archsim.memory", Memory)
