"""DRAM behind one port: a standard from `standards/`, or flat bandwidth, latency, efficiency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

from archsim.core.errors import InputError, nearest
from archsim.core.spec import Bytes, Fraction, PositiveInt, Rate, Seconds, Watts, problem
from archsim.core.units import PS_PER_S
from archsim.memory.address import AddressMap
from archsim.memory.base import Memory, MemorySpec
from archsim.memory.controller import ControllerSpec
from archsim.memory.standard import load_standard, standard_names

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable
    from archsim.memory.controllers.banked import Banked

MAPPING = "MOP4CLXOR"


class Dram(Memory):
    """One address space over all stacks or channels, served as one port."""

    kind = "dram"
    off_chip = True
    ACTIONS = (("dram", "*"),)
    KNOBS: ClassVar = {"bandwidth": {"bandwidth": 2, "stacks": 2}, "latency": {"latency": 0.5}}

    class Spec(MemorySpec):
        """Either `standard` and how many stacks, or flat `bandwidth` and `latency`."""

        kind: Literal["dram"] = "dram"

        capacity: Bytes | None = None  # type: ignore[assignment]
        """Bytes it holds; a standard gives its own. More than its stacks hold is allowed, to see a
        model run: addresses of its banks then begin again."""

        standard: str | None = None
        """A standard, by the name of its file in `memory/standards`."""

        stacks: PositiveInt = 1
        """Stacks (or modules) of the standard side by side; not with a flat bandwidth."""

        bandwidth: Rate | None = None
        """Flat form: peak bandwidth of all channels together."""

        latency: Seconds | None = None
        """Time from a request to its first byte."""

        efficiency: Fraction | None = None
        """Share of the peak bandwidth that a long transfer gets; a standard gives its own."""

        controller: ControllerSpec | None = None
        """How requests are scheduled, refreshed and queued; only with a standard, at `cycle`."""

        mapping: str | None = None
        """Which address bits name bank, row and column; only with a standard, at `cycle`. Default:
        MOP4CLXOR, which spreads neighbouring bytes over bank groups."""

        energy: str | None = None
        """Class of its rows in the energy table, such as `hbm2`; a standard gives its own."""

        standby: Watts | None = None
        """Static power of one stack. Default: none is counted."""

        @model_validator(mode="after")
        def _one_form(self) -> Self:
            if (self.standard is None) == (self.bandwidth is None):
                raise problem("E202", "give either standard or bandwidth, not both or neither")
            if self.standard is None and self.stacks != 1:
                raise problem(
                    "E202",
                    "stacks multiply a standard, and this dram has none",
                    "drop stacks: a flat bandwidth is that of all of them together",
                )
            for key in ("controller", "mapping"):
                if self.standard is None and getattr(self, key) is not None:
                    raise problem(
                        "E202",
                        f"{key} is of the banks of a standard, and this dram has none",
                        "give it a standard in place of bandwidth",
                    )
            if self.controller is not None and self.controller.structure != "unified":
                raise problem(
                    "E202",
                    "a machine's memory has the unified structure",
                    "`archsim memory` runs the other one",
                )
            if self.standard is None and self.capacity is None:
                raise problem("E102", "a flat dram needs a capacity", "capacity: 16 GiB")
            if self.standard is not None and self.standard not in standard_names():
                close = nearest(self.standard, standard_names())
                raise problem(
                    "E108",
                    f'standard "{self.standard}" is not one of {", ".join(standard_names())}',
                    f'did you mean "{close}"?' if close else None,
                )
            return self

    spec: Spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """One gibibyte at a flat 100 GB/s."""
        return {
            "kind": cls.kind,
            "capacity": "1 GiB",
            "bandwidth": "100 GB/s",
            "latency": "100 ns",
            "energy": "hbm2",
        }

    def __init__(self, name: str, spec: Spec, clock_hz: float) -> None:
        super().__init__(name, spec, clock_hz)
        self.standard = load_standard(spec.standard) if spec.standard else None

        if spec.mapping is not None and self.standard is not None:
            try:  # refuses one that is none
                AddressMap(self.standard.tables(), 1, spec.mapping)
            except InputError as error:
                error.details["path"] = f"memory.{name}.mapping"
                raise

    def banked(self) -> Banked | None:
        """Its banks, where the standard describes them and nothing stated stands in their place."""
        flat = self.spec.efficiency is not None or self.spec.latency is not None
        if self.standard is None or self.standard.device is None or flat:
            return None
        from archsim.memory.controllers.banked import Banked

        controller = self.spec.controller or ControllerSpec()
        channels = self.standard.channels * self.spec.stacks
        mapping = self.spec.mapping or MAPPING
        return Banked(self.name, self.standard.tables(), controller, mapping, channels)

    @property
    def capacity_bytes(self) -> int:
        """Stated, or that of the standard's stacks."""
        if self.spec.capacity is not None:
            return int(self.spec.capacity)
        assert self.standard is not None
        return self.standard.capacity_bytes * self.spec.stacks

    @property
    def peak_bytes_per_s(self) -> float:
        """All stacks together, every pin at its rate."""
        if self.spec.bandwidth is not None:
            return self.spec.bandwidth.bytes_per_s(self.clock_hz)
        assert self.standard is not None
        return self.standard.bytes_per_s * self.spec.stacks

    @property
    def bytes_per_s(self) -> float:
        """Peak times the efficiency of long transfers."""
        share = self.spec.efficiency
        if share is None:
            share = self.standard.streaming_efficiency if self.standard else 1.0
        return self.peak_bytes_per_s * share

    @property
    def latency_ps(self) -> int:
        """Stated, or the standard's unloaded read latency."""
        if self.spec.latency is not None:
            return round(self.spec.latency * PS_PER_S)
        return round(self.standard.latency_s * PS_PER_S) if self.standard else 0

    def energy_class(self) -> str:
        """`dram.<family>`."""
        family = self.spec.energy or (self.standard.energy if self.standard else None)
        return f"dram.{family or 'hbm2'}"

    def area_mm2(self, table: EnergyTable) -> float:
        """Off chip: none of this die's silicon (the PHY is not modelled)."""
        return 0.0

    def leakage_w(self, table: EnergyTable) -> float:
        """That of its stacks, as far as it is stated."""
        return self.spec.stacks * (self.spec.standby or 0.0)
