"""What a product takes of a memory that computes: `PimDevice.of(...).work(product)`.

Here products are dealt over channels and the busiest channel's commands are timed. How matrices
lie is in `layouts`, which commands a product needs in `gemv`, when they are issued in
`gemv_stream`, what all channels count in `products_counted`, and the same commands on the channel's
own scheduler in `products_exact`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from archsim.core.errors import InputError
from archsim.core.units import PS_PER_S
from archsim.ir.pim import Deal, PimWork, Product
from archsim.ir.problem import Extents
from archsim.memory.pim.command_set import CommandSet, load_set
from archsim.memory.pim.gemv import Gemv, Unit, buffered
from archsim.memory.pim.gemv_rules import StreamRules, rules_of
from archsim.memory.pim.gemv_stream import Loop, Node, Stream
from archsim.memory.pim.layouts import (
    Banks,
    Placed,
    banks_of,
    fits,
    opening_commands,
    place,
)
from archsim.memory.pim.products_counted import Piece, Walked, counted, refreshed
from archsim.memory.pim.products_dealt import busiest, spread
from archsim.memory.pim.products_key import Same, apart
from archsim.memory.pim.products_room import make_room
from archsim.memory.standard import Standard, load_standard

EXACT_COMMANDS = 500_000
"""Commands of a channel up to which they are issued one by one: about a second of work."""

REMEMBERED = 4096
"""Products of a device, and shapes of their matrices, that are kept to be asked again."""

CASES = 65_536
"""Ragged cases of all of them together: some 40 MB (measured)."""

FEW = 64
"""Products of which all matrices are kept: about as many as a step of a model has."""


@dataclass(frozen=True, eq=False)
class PimDevice:
    """A memory and the units inside it.

    Attributes:
        standard, commands: the memory and its command set.
        rules: of a stream of commands to one channel.
        channels: lock-step channels (pseudo channels, where it has some) of all stacks.
        groups: channels of one stack, to which inputs that come on wires of their own go once.
        banks: of a channel.
        unit: what limits a channel's units.
        refresh: whether refresh goes on.
        deal: how whole matrices are dealt over channels.
    """

    standard: Standard
    commands: CommandSet
    rules: StreamRules
    channels: int
    groups: int
    banks: Banks
    unit: Unit
    refresh: bool = True
    deal: Deal = "spread"
    _works: dict[tuple[Product, bool], PimWork] = field(default_factory=dict, repr=False)
    _shares: dict[Product, list[tuple[Piece, int]]] = field(default_factory=dict, repr=False)
    _alone: dict[Gemv, tuple[tuple[Node, ...], Walked]] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(
        standard: Standard | str,
        commands: CommandSet | str,
        stacks: int = 1,
        *,
        macs_per_unit: float,
        unit_clock_hz: float,
        units: int | None = None,
        mac_ticks: int = 0,
        refresh: bool = True,
        deal: Deal = "spread",
    ) -> PimDevice:
        """A device; the same one for the same description, so that it remembers its products.

        Args:
            standard: the memory.
            commands: its command set, which must say how it computes products.
            stacks: of the standard.
            macs_per_unit: multiply-accumulates of a unit in a tick of its clock.
            unit_clock_hz: its clock.
            units: of one channel. Default: one for each bank, or bundle, that is read at once.
            mac_ticks: that what a MAC command reads takes on its way to the units, where that is
                longer than commands are apart.
            refresh: whether refresh goes on; the published AiM simulator issues none.
            deal: whole matrices over channels: each over as many as make the fullest emptiest,
                those of a sequence in one of them with the longest first, or in one in turn.

        Raises:
            InputError: E202 where the set does not say how it computes products.
        """
        memory = load_standard(standard) if isinstance(standard, str) else standard
        found = load_set(commands) if isinstance(commands, str) else commands
        units = units or 0
        return _device(
            Same(memory), Same(found), stacks, macs_per_unit, unit_clock_hz, units, mac_ticks,
            refresh, deal,
        )  # fmt: skip

    @property
    def tick_ps(self) -> int:
        """Picoseconds of a tick of the command bus."""
        assert self.standard.device is not None
        return round(self.standard.device.tick * PS_PER_S)

    @property
    def bytes_per_s(self) -> float:
        """Peak rate at which units read their banks, at the spacing of MAC commands in force."""
        spacing = self.rules.spacing(self.unit.form.mac) * self.tick_ps / PS_PER_S
        return self.channels * self.banks.at_once * self.banks.access_bytes / spacing

    @property
    def macs_per_s(self) -> float:
        """Peak rate of all units."""
        macs_per_tick = self.channels * self.banks.at_once * self.unit.macs_per_tick
        return macs_per_tick * PS_PER_S / self.tick_ps

    def work(self, product: Product, *, exact: bool = False) -> PimWork:
        """What a product takes, in closed form or by its commands one by one.

        Without refresh both are the same but for a few ticks; with it the closed form takes the
        average share of all time. It is kept where one by one says no more: see EXACT_COMMANDS and
        `products_exact`. `PimWork.exact` tells which of them it is.

        Raises:
            Unmappable: where its layout does not fit rows or banks.
        """
        key = product, exact
        if key not in self._works:
            make_room(self._works, REMEMBERED, CASES, lambda one: len(one[0].cases))
            self._works[key] = self._work(product, exact=exact)
        return self._works[key]

    def shares(self, product: Product) -> list[tuple[Piece, int]]:
        """Kinds of matrices of a product, and how many of each the busiest channel has.

        Raises:
            Unmappable: where its layout does not fit rows or banks.
        """
        if product not in self._shares:
            make_room(self._shares, FEW, CASES, lambda one: len(one.cases))
            self._shares[product] = self._shared(product)
        return self._shares[product]

    def _shared(self, product: Product) -> list[tuple[Piece, int]]:
        cases = [e for e in product.cases if e.b * e.m * e.n * e.k]
        counts = [e.b for e in cases]
        if product.dealt and cases:
            groups, placed = spread(self, cases, product)
            pieces = [self.piece(e, p, product) for e, p in zip(cases, placed, strict=True)]
            times = [p.alone.ticks for p in pieces]
            counts = busiest(times, counts, groups, self.deal, product.together)
        else:
            placed = [self.place(e, product, self.channels) for e in cases]
            pieces = [self.piece(e, p, product) for e, p in zip(cases, placed, strict=True)]
        shares = list(zip(pieces, counts, strict=True))
        fits(sum(n * piece.placed.lying.rows for piece, n in shares), self.banks)
        return shares

    def place(self, e: Extents, product: Product, channels: int) -> Placed:
        """How a matrix of a product lies over some channels.

        Raises:
            Unmappable: where its layout does not fit.
        """
        held = buffered(self.unit.form, product.in_bits)
        return place(e, product.matrix_bits, product.layout, self.banks, channels, held)

    def _work(self, product: Product, *, exact: bool) -> PimWork:
        shares = self.shares(product)
        nest = tuple(Loop(n, piece.nest) for piece, n in shares if n)
        found = self._exactly(nest) if exact and nest else None
        walked = self._closely(nest) if found is None else found
        work = counted(self, product, [piece for piece, _ in shares], walked)
        return replace(work, exact=found is not None)

    def piece(self, e: Extents, placed: Placed, product: Product) -> Piece:
        """The commands for matrices that lie so, and what those of one take alone."""
        gemv = Gemv(placed.lying, e.m, product.in_bits, self.unit)
        if gemv not in self._alone:
            if len(self._alone) == REMEMBERED:
                self._alone.clear()
            nests = [gemv.nest(order) for order in gemv.orders]
            walked = [self._closely(nest, refresh=False) for nest in nests]
            cost = [(one.ticks, sum(one.moved.values())) for one in walked]
            best = cost.index(min(cost))
            self._alone[gemv] = nests[best], walked[best]
        nest, alone = self._alone[gemv]
        return Piece(e, placed, nest, alone)

    def _closely(self, nest: tuple[Node, ...], *, refresh: bool = True) -> Walked:
        """A stream whose loops are multiplied; refresh takes its share of all time."""
        stream = Stream(self.rules, opening_commands(self.unit.form, self.banks))
        stream.walk(nest)
        ticks = stream.end() if stream.now else 0
        walked = Walked(ticks, dict(stream.counts), dict(stream.waits), dict(stream.moved))
        return refreshed(self.rules, walked, self.banks) if self.refresh and refresh else walked

    def _exactly(self, nest: tuple[Node, ...]) -> Walked | None:
        """The same commands on the channel's own scheduler, refresh between them.

        None where that says no more, or they are too many.
        """
        from archsim.memory.pim.products_exact import exactly

        close = self._closely(nest, refresh=False)
        few = sum(close.counts.values()) <= EXACT_COMMANDS
        return exactly(self, nest, close) if few else None


@lru_cache(maxsize=64)
def _device(
    standard: Same, commands: Same, stacks: int, macs_per_unit: float, unit_clock_hz: float,
    units: int, mac_ticks: int, refresh: bool, deal: Deal,
) -> PimDevice:  # fmt: skip
    memory, found = standard.it, commands.it
    assert isinstance(memory, Standard)
    assert isinstance(found, CommandSet)
    device, form = memory.device, found.product
    if device is None or form is None:
        raise InputError(
            f"command set {found.name} does not say how {memory.name} computes products",
            code="E202",
        )
    banks = banks_of(device, form)
    count = units or banks.at_once // (form.bundle_banks or 1)
    groups = memory.channels * device.counts.get("pseudo_channel", 1)
    rules = rules_of(memory, found)
    if mac_ticks > rules.spacing(form.mac):
        found = apart(commands, mac_ticks)
        rules = replace(rules_of(memory, found), data_mac=mac_ticks)
    unit = Unit(
        form=form,
        access_bytes=banks.access_bytes,
        banks=banks.at_once,
        spacing=rules.spacing(form.mac),
        macs_per_tick=count * macs_per_unit * unit_clock_hz * device.tick / banks.at_once,
    )
    return PimDevice(
        standard=memory,
        commands=found,
        rules=rules,
        channels=stacks * groups,
        groups=groups,
        banks=banks,
        unit=unit,
        refresh=refresh,
        deal=deal,
    )
