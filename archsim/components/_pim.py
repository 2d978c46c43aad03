"""What engines inside a memory have in common: which one, which commands, what products take.

Here live their fields, how they are bound to a memory, what they cost and how power caps them. How
a product becomes commands is in `memory.pim`; how units are built is said by the subclasses.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from archsim.components.base import EngineSpec, MacEngine
from archsim.core.errors import InputError
from archsim.core.spec import Bytes, PositiveInt, Seconds, Watts
from archsim.core.units import PS_PER_S
from archsim.ir.op import Kind
from archsim.ir.pim import ACTIONS, Deal, PimWork, Product
from archsim.ir.tensor import DTYPES
from archsim.memory.pim.lane_rules import Sharing

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable, Row
    from archsim.memory.base import Memory
    from archsim.memory.pim.command_set import CommandSet
    from archsim.memory.pim.layouts_access import Appended
    from archsim.memory.pim.product_form import ProductForm
    from archsim.memory.pim.products import PimDevice
    from archsim.memory.standard import Standard

DRAM_PROCESS = 10
"""Area of logic in a DRAM process over that in a logic process: Duplex (MICRO 2024)."""


class PimSpec(EngineSpec):
    """Fields that every engine inside a memory has."""

    inside: str
    """Memory whose banks it reads: a name under `memory:`."""

    commands: str | None = None
    """Command set: see `archsim list pim`. Default: that of the memory's standard."""

    rates: dict[str, PositiveInt] = Field(default={"bf16": 1, "fp16": 1}, min_length=1)
    """MACs of a lane per cycle, by dtype; a dtype not listed cannot run. A product runs at the rate
    of the narrowest that holds both its operands."""

    buffer: Bytes | None = None
    """Bytes of buffers of one stack, for their area. Default: none."""

    power_cap: Watts | None = None
    """Most power of banks and units of one stack, on average over a product. Default: what the
    memory's timing rules allow."""

    energy: str | None = None
    """Class of its rows in the energy table. Default: the memory's own class and where its units
    are, such as `dram.hbm3.bank`."""

    sharing: Sharing = "mode_switch"
    """How it shares banks with ordinary accesses: the memory belongs to one of them at a time and
    changing over costs time (default), each works in bundles of banks of its own, or each has a row
    buffer of its own."""

    switch: Seconds | None = None
    """Time to change over, under `mode_switch`. Default: that of the command set's change of mode;
    where it has none, closing a row and opening another."""

    pieces: PositiveInt = 16
    """Most pieces that a product is issued in: between them others use the memory, and what is
    computed of its results begins. 1: that waits for all of them."""

    cache_results: PositiveInt | None = None
    """Reductions that a unit holds at once in products with keys and values. Default: as many as
    the command set says."""

    deal: Deal = "spread"
    """Keys and values over channels: each head over as many as make the fullest emptiest (default),
    or those of a sequence in one channel, the longest in the emptiest, or in one by turns."""

    alone: bool = False
    """Whether nothing else of the chip works meanwhile. Default: other engines do."""


class PimEngine(MacEngine):
    """An engine inside a memory: it computes products with matrices that lie there.

    A subclass says how its units are built; what a product takes of the banks comes from
    `memory.pim`. `bind` gives it its memory before anything else is asked.
    """

    KINDS = frozenset({Kind.GEMM})
    ACTIONS = (("dram", "*"),)
    WHERE: ClassVar[str]  # its units are, as energy classes end
    UNITS: ClassVar[frozenset[str]]  # of command sets that it can be built for
    MEMORY: ClassVar[dict[str, Any]]  # that its example is inside of

    spec: PimSpec
    memory: Memory
    standard: Standard
    commands: CommandSet
    form: ProductForm
    _prices: tuple[float, float, float] | None = None  # pJ of an activate, a byte read, a MAC

    def bind(self, memory: Memory) -> None:
        """Take the memory that it is inside of.

        Raises:
            InputError: E202 where the memory has no banks, or not this command set; E108 where
                there is no such set.
        """
        from archsim.components._pim_binding import found

        try:
            self.standard, self.commands, self.form = found(self, memory)
        except InputError as error:
            error.details.setdefault("path", f"engines.{self.name}.inside")
            raise
        self.memory = memory
        self._devices: dict[tuple[int, int | None], PimDevice] = {}

    def capped(self, table: EnergyTable) -> None:
        """Take the prices of its actions, by which power limits its time.

        Raises:
            InputError: E108 where the table has no row for one of them.
        """
        try:
            rows = {action: self.price(table, action) for action in ACTIONS}
        except InputError as error:
            error.details["path"] = f"engines.{self.name}.energy"
            raise
        self._prices = rows["activate"].pj, rows["read"].pj, rows["mac"].pj

    def product(self, product: Product, *, exact: bool = False) -> PimWork:
        """What a product takes, from the memory's timing rules and the units' rate: pure.

        Args:
            product: what is asked.
            exact: by its stream of commands where that can be (the work says so), see `PimDevice`.
        """
        return self._within_power(product, self._work(product, exact=exact))

    def _work(self, product: Product, *, exact: bool) -> PimWork:
        """What a product takes, whatever power that asks for."""
        return self._device_of(product).work(product, exact=exact)

    def _within_power(self, product: Product, work: PimWork) -> PimWork:
        """The same work, spread over the time that the power cap asks for."""
        if (cap := self.spec.power_cap) is None:
            return work
        assert self._prices is not None
        opened, read, mac = self._prices
        pj = work.activates * opened + work.read_bytes * read + product.macs * mac
        least_ps = ceil(pj / (cap * self.stacks))  # a pJ a ps is a W
        if least_ps <= work.banks_ps:
            return work
        waits = {**work.waits_ps, "power": work.waits_ps["power"] + least_ps - work.banks_ps}
        fed = work.bank_utilisation * work.banks_ps / least_ps
        return replace(work, banks_ps=least_ps, waits_ps=waits, bank_utilisation=fed)

    def _device_of(self, product: Product) -> PimDevice:
        """The memory as a product sees it."""
        rate = self._rate(max(product.matrix_bits, product.in_bits))
        return self._device(rate, self.spec.cache_results if product.dealt else None)

    def _device(self, rate: int, held: int | None = None) -> PimDevice:
        """The memory as products see it, with lanes of so many MACs a cycle; it remembers them."""
        from archsim.memory.pim.products import PimDevice

        if (rate, held) not in self._devices:
            from archsim.components._pim_binding import holding

            self._devices[rate, held] = PimDevice.of(
                self.standard,
                holding(self.commands.name, held) if held else self.commands,
                self.stacks,
                macs_per_unit=rate * self.macs / self.parts,
                units=1,
                unit_clock_hz=self.clock_hz,
                mac_ticks=self.mac_ticks,
                refresh=self.refreshes,
                deal=self.spec.deal,
            )
        return self._devices[rate, held]

    def append(
        self, product: Product, grows: Literal["n", "k"], *, tokens: int = 1, gathered: bool = False
    ) -> Appended:
        """What new elements at the end of every matrix of a product take, where they lie: pure."""
        from archsim.memory.pim.layouts_access import append

        return append(self._device(1), product, grows, tokens=tokens, gathered=gathered)

    def read_share(self, product: Product) -> float:
        """Share of the memory's bandwidth at which others read its matrices where they lie."""
        from archsim.memory.pim.layouts_access import relayout

        return relayout(self._device(1), product).share

    def _rate(self, bits: float) -> int:
        """MACs of a lane per cycle on operands of so many bits: of the narrowest dtype that fits.

        Of several as narrow the slowest, and of the widest where none fits.
        """
        known = [(DTYPES[name].bits, rate) for name, rate in self.spec.rates.items()]
        return min((one for one in known if one[0] >= bits), default=max(known))[1]

    @property
    def stacks(self) -> int:
        """Stacks, or modules, of the memory."""
        stacks: int = self.memory.spec.stacks
        return stacks

    @property
    def parts(self) -> int:
        """Channels, or pseudo channels where it has some, over all stacks: each takes commands."""
        assert self.standard.device is not None
        pseudo = self.standard.device.counts.get("pseudo_channel", 1)
        return self.stacks * self.standard.channels * pseudo

    @property
    def refreshes(self) -> bool:
        """Whether its memory is refreshed."""
        controller = getattr(self.memory.spec, "controller", None)
        return controller is None or controller.refresh != "none"

    @property
    def units(self) -> int:
        """Units as the command set drives them, over all stacks."""
        return self.parts * self.form.banks_at_once // (self.form.bundle_banks or 1)

    @property
    def mac_ticks(self) -> int:
        """Ticks of the memory in which what a command reads comes to the units; 0: at once."""
        return 0

    @property
    def macs(self) -> int:
        """MACs of all units a cycle, at a rate of one a lane."""
        raise NotImplementedError

    @property
    def switch_ps(self) -> int:
        """Time to change over between ordinary accesses and its own."""
        if self.spec.switch is not None:
            return round(self.spec.switch * PS_PER_S)
        from archsim.components._pim_binding import switch_ticks

        assert self.standard.device is not None
        ticks = switch_ticks(self.standard, self.commands)
        return round(ticks * self.standard.device.tick * PS_PER_S)

    @property
    def bytes_per_s(self) -> float:
        """Peak rate at which its units read their banks, all together."""
        return self._device(1).bytes_per_s

    @property
    def energy_class(self) -> str:
        """Class of its rows in the energy table."""
        return self.spec.energy or f"{self.memory.energy_class()}.{self.WHERE}"

    def price(self, table: EnergyTable, action: str) -> Row:
        """Energy row of one of its actions: `activate`, `read`, `input`, `result` or `mac`.

        An activate is of one row of one bank, a MAC of 16-bit operands, the others are of a byte.

        Raises:
            InputError: E108 where the table has no such row.
        """
        return table.of(self.energy_class, action)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Units of a channel, lanes of a unit, channels."""
        return self.units // self.parts, self.macs // self.units, self.parts

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Those that have a rate."""
        return tuple(self.spec.rates)

    def macs_per_s(self, dtype: str) -> float:
        """Peak multiply-accumulates per second at a dtype; 0 when it has no rate."""
        return self.macs * self.spec.rates.get(dtype, 0) * self.clock_hz

    def built_mm2(self, table: EnergyTable) -> float:
        """Area of MACs and buffers in a logic process, over all stacks."""
        macs = self.macs * table.area("dram.pim", "mac").mm2
        return macs + self.stacks * (self.spec.buffer or 0) * table.area("dram.pim", "byte").mm2

    def area_mm2(self, table: EnergyTable) -> float:
        """Area added to the memory's dies: MACs and buffers in their DRAM process."""
        return DRAM_PROCESS * self.built_mm2(table)

    def leakage_w(self, table: EnergyTable) -> float:
        """None: static power of a DRAM's dies is not modelled, as that of their banks is not."""
        return 0.0
