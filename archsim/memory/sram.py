"""On-chip SRAM: a software-managed scratchpad of banks behind ports of a given bandwidth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import ValidationInfo, field_validator, model_validator

from archsim.core.errors import InputError
from archsim.core.spec import Bytes, Cycles, PositiveInt, Rate, Spec, problem
from archsim.core.units import PS_PER_S
from archsim.memory.banks import Banks
from archsim.memory.base import Memory, MemorySpec

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable


MOST_BANKS = 1 << 14  # assumed: ten times those of the largest chip that is described


class Ports(Spec):
    """Ports of a bank that only read and ports that only write."""

    read: PositiveInt
    """Words a bank reads in a cycle."""

    write: PositiveInt
    """Words a bank writes in a cycle, at the same time."""


class Sram(Memory):
    """A scratchpad. Its bandwidth bounds the operand feed of the engines that read from it.

    With an `interleave` its banks count too: the lanes of an access that meet in a bank wait for
    each other, as the mapping's access pattern has it.
    """

    kind = "sram"
    off_chip = False
    ACTIONS = (("sram", "read"), ("sram", "write"))

    class Spec(MemorySpec):
        """Banks, ports and bandwidth."""

        kind: Literal["sram"] = "sram"

        bandwidth: Rate | None = None
        """Bytes that all banks deliver together, per second or per cycle of `clock`. Default, with
        an interleave: a word of each port of each bank a cycle; without one it must be given."""

        clock: str = "core"
        """Clock of the banks."""

        width_bits: PositiveInt = 64
        """Bits of one access of one bank: a word."""

        interleave: Bytes | None = None
        """Consecutive bytes that lie in one bank before the next bank's begin, a multiple of the
        width; `word` is the width itself. The bank is the address over this, modulo the banks: of
        2^b banks and 2^i bytes it is bits i to i + b - 1. Where it is given, the operands of arrays
        are counted bank by bank; by default banks are only macros, and reach the bandwidth."""

        banks: PositiveInt = 1
        """Banks; energy and area are those of this many macros of capacity / banks."""

        swizzle: Literal["none", "xor"] = "none"
        """Whether the bank's address bits are XORed with as many bits above them, which spreads
        columns over the banks. Takes an interleave and a power of two of banks."""

        tile_order: Literal["tensor", "lanes"] = "tensor"
        """How elements of a tile lie in counted banks: in the order of their tensor, whose columns
        and windows then are strides; or as the array asks for them, each vector of lanes a row, as
        where the mover transposes them on the way in at no cost."""

        ports: PositiveInt | Ports = 1
        """Ports of a bank: so many that read or write, or `{read: 1, write: 1}`. Energy and area
        are those of macros of one port (CACTI's points)."""

        energy: str | None = None
        """Class of its rows in the energy table: `read` and `write` of a byte, area and leakage of
        a `byte`. Default: CACTI's macros of that many banks."""

        latency_cycles: Cycles = 1
        """Cycles from address to data: delays a result, not the engine."""

        @field_validator("interleave", mode="before")
        @classmethod
        def _word(cls, value: Any, info: ValidationInfo) -> Any:
            width = info.data.get("width_bits")
            return f"{-(-width // 8)} B" if value == "word" and width else value

        @field_validator("interleave")
        @classmethod
        def _whole_words(cls, value: int | None, info: ValidationInfo) -> int | None:
            width = info.data.get("width_bits")
            if value is None or width is None:
                return value
            if width % 8:
                up = -(-width // 8) * 8
                message = f"a word of {width} bits is not a whole number of bytes"
                raise problem("E202", message, f"width_bits: {up}")
            if 8 * value < width:
                message = f"an interleave of {value} B is less than a word of {width} bits"
                raise problem("E202", message, f"interleave: {width // 8} B, or a smaller width")
            if 8 * value % width:
                near = 8 * value // width * width // 8
                message = f"an interleave of {value} B is no multiple of a word of {width} bits"
                raise problem("E202", message, f"interleave: {near} B")
            return value

        @field_validator("banks")
        @classmethod
        def _divide(cls, value: int, info: ValidationInfo) -> int:
            chunk, capacity = info.data.get("interleave"), info.data.get("capacity")
            if chunk is not None and value > MOST_BANKS:
                message = f"{value} banks are more than the {MOST_BANKS} that are counted"
                raise problem("E107", message, "fewer banks, or no interleave")
            if chunk is not None and capacity is not None and capacity % (value * chunk):
                fitting = next((n for n in range(value, 0, -1) if capacity % (n * chunk) == 0), 0)
                other = max(1, capacity // (value * chunk)) * value * chunk
                message = f"{value} banks of chunks of {chunk} B do not divide {capacity} B"
                banks = f"banks: {fitting}, or " if fitting else ""
                raise problem("E202", message, f"{banks}capacity: {other} B")
            return value

        @field_validator("swizzle")
        @classmethod
        def _foldable(cls, value: str, info: ValidationInfo) -> str:
            banks = info.data.get("banks")
            if value == "xor" and banks is not None and banks & (banks - 1):
                message = f"an XOR needs a power of two of banks, and there are {banks}"
                raise problem("E202", message, f"banks: {1 << banks.bit_length() - 1}")
            return value

        @model_validator(mode="after")
        def _banked_or_not(self) -> Self:
            if self.interleave is None:
                if self.bandwidth is None:
                    raise problem(
                        "E102",
                        "an sram without an interleave needs a bandwidth",
                        "bandwidth: 64 B/cycle, or interleave: word",
                    )
                set_ = {
                    "swizzle is": self.swizzle != "none",
                    "tile_order is": self.tile_order != "tensor",
                    "ports apart are": isinstance(self.ports, Ports),
                }
                for key in (key for key, given in set_.items() if given):
                    message = f"{key} of banks that are counted, and there is no interleave"
                    raise problem("E202", message, "interleave: word")
            return self

    spec: Spec

    def __init__(self, name: str, spec: Spec, clock_hz: float) -> None:
        super().__init__(name, spec, clock_hz)
        if spec.bandwidth is not None and spec.interleave is not None:
            most = self._banks_bytes_per_cycle()
            if spec.bandwidth.bytes_per_s(clock_hz) > most * clock_hz:
                raise InputError(
                    f"memory.{name}.bandwidth is more than its banks have: {spec.banks} banks of "
                    f"{spec.width_bits} bits give {most} B/cycle",
                    code="E202",
                    help=f"bandwidth: {most} B/cycle, or more banks, ports or width",
                    details={"path": f"memory.{name}.bandwidth"},
                )

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Sixty-four kibibytes."""
        return {"kind": cls.kind, "capacity": "64 KiB", "bandwidth": "64 B/cycle"}

    @property
    def read_banks(self) -> Banks | None:
        """Banks as reads find them; None where conflicts are not counted."""
        ports = self.spec.ports
        return self._banks(ports.read if isinstance(ports, Ports) else ports)

    @property
    def write_banks(self) -> Banks | None:
        """Banks as writes find them; None where conflicts are not counted."""
        ports = self.spec.ports
        return self._banks(ports.write if isinstance(ports, Ports) else ports)

    @property
    def shares_ports(self) -> bool:
        """True where reads and writes take turns at the same ports."""
        return not isinstance(self.spec.ports, Ports)

    def _banks(self, ports: int) -> Banks | None:
        s = self.spec
        if s.interleave is None:
            return None
        return Banks(s.banks, s.width_bits, 8 * s.interleave, ports, s.swizzle == "xor")

    def _banks_bytes_per_cycle(self) -> int:
        """Bytes of a word of every port of every bank."""
        ports = self.spec.ports
        each = ports.read + ports.write if isinstance(ports, Ports) else ports
        return self.spec.banks * each * self.spec.width_bits // 8

    @property
    def peak_bytes_per_s(self) -> float:
        """Bandwidth of all banks."""
        if self.spec.bandwidth is None:
            return self._banks_bytes_per_cycle() * self.clock_hz
        return self.spec.bandwidth.bytes_per_s(self.clock_hz)

    @property
    def bytes_per_s(self) -> float:
        """Same as the peak: what conflicts take from it depends on who reads, and how."""
        return self.peak_bytes_per_s

    @property
    def latency_ps(self) -> int:
        """Access latency."""
        return round(self.spec.latency_cycles * PS_PER_S / self.clock_hz)

    def energy_class(self) -> str:
        """Rows depend on size and width: see `macro`."""
        return "sram"

    def area_mm2(self, table: EnergyTable) -> float:
        """All macros."""
        s = self.spec
        area_mm2: float = table.sram_size(s.capacity, s.width_bits, s.banks, s.energy)[0]
        return area_mm2

    def leakage_w(self, table: EnergyTable) -> float:
        """All macros."""
        s = self.spec
        leakage_w: float = table.sram_size(s.capacity, s.width_bits, s.banks, s.energy)[1]
        return leakage_w
