"""How matrices lie over channels, banks and rows of a memory that computes.

A layout says which bank holds which outputs and which part of a reduction; units read their own
bank alone, so it decides how many rows are opened and how much of each is padding. What it costs
to write into one, or to read one as an ordinary matrix, is in `layouts_access`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from archsim.core.errors import Unmappable
from archsim.ir.pim import Layout
from archsim.ir.problem import Extents
from archsim.memory.pim.product_form import ProductForm
from archsim.memory.standard import Device


@dataclass(frozen=True, slots=True)
class Banks:
    """The banks of one channel (pseudo channel, where it has some) that work on a matrix.

    Attributes:
        at_once: banks that one MAC command reads.
        turns: banks that take turns at a unit, with their rows open together.
        sets: of at_once x turns banks, in which further rows lie.
        rows: of a bank.
        row_bytes, access_bytes: of the rows that take turns, and of one access of a bank.
        sum_over: banks whose partial sums their units add themselves.
    """

    at_once: int
    turns: int
    sets: int
    rows: int
    row_bytes: int
    access_bytes: int
    sum_over: int = 1


@dataclass(frozen=True, slots=True)
class Lying:
    """What one bank holds of a matrix: all that commands to it depend on.

    Attributes:
        outputs: of the bank.
        reduction: elements of each in this bank, filled up to whole accesses.
        width: elements of an output that lie together in a row.
        sharing: outputs that share a row.
        sums: banks whose partial sums their unit adds.
        access_elements: elements of an access.
    """

    outputs: int
    reduction: int
    width: int
    sharing: int
    sums: int
    access_elements: int

    @property
    def accesses(self) -> int:
        """MAC commands for one vector of inputs."""
        return self.outputs * self.reduction // self.access_elements

    @property
    def rows(self) -> int:
        """Rows that it takes."""
        return -(-self.outputs // self.sharing) * -(-self.reduction // self.width)


@dataclass(frozen=True, slots=True)
class Placed:
    """How one matrix lies.

    Attributes:
        layout: its kind.
        lying: what a bank of its busiest channel holds.
        channels: that hold a part of it.
        parts: channels whose partial sums make an output.
        matrix_bytes, stored_bytes: without and with padding.
    """

    layout: Layout
    lying: Lying
    channels: int
    parts: int
    matrix_bytes: int
    stored_bytes: int


def banks_of(device: Device, form: ProductForm) -> Banks:
    """The banks of a channel, as a way of computing products uses them."""
    count = prod(device.counts.get(level, 1) for level in ("rank", "sid", "bank_group", "bank"))
    access, turns = int(device.access_bytes), max(form.open_banks // form.banks_at_once, 1)
    return Banks(
        at_once=form.banks_at_once,
        turns=turns,
        sets=max(count // (form.banks_at_once * turns), 1),
        rows=device.rows,
        row_bytes=device.columns // device.prefetch * access * turns,
        access_bytes=access,
        sum_over=form.bundle_banks or 1,
    )


def opening_commands(form: ProductForm, banks: Banks) -> int:
    """Commands that open one row in all banks that work."""
    return -(-banks.at_once * banks.turns // form.open_banks)


def place(
    e: Extents, bits: float, layout: Layout, banks: Banks, channels: int, held: int | None = None
) -> Placed:
    """The way in which one matrix of k x n lies over channels.

    Args:
        e: its extents.
        bits: of an element.
        layout: its kind.
        banks: of each channel.
        channels: that it lies over.
        held: elements of input that a channel holds; None: any number.

    Raises:
        Unmappable: where an element or a reduction cannot be laid so.
    """
    tile = Tile.of(bits, banks, held)
    if layout == "column":
        splits = list(_splits(e, banks, channels))
        if not splits:
            raise Unmappable(
                f"a reduction of {e.k} elements cannot be dealt over {channels} channels",
                help="take the row or the interleaved layout",
            )
        found = [_laid(layout, e, bits, banks, channels, split, tile) for split in splits]
        return min(found, key=lambda p: (p.lying.accesses, p.lying.rows, p.parts))
    return _laid(layout, e, bits, banks, channels, (1, 1), tile)


@dataclass(frozen=True, slots=True)
class Tile:
    """Elements of an access, of a row, and of the inputs that are held for one."""

    access: int
    row: int
    held: int

    @classmethod
    def of(cls, bits: float, banks: Banks, held: int | None) -> Tile:
        """Those of elements of some bits."""
        access, row = int(banks.access_bytes * 8 // bits), int(banks.row_bytes * 8 // bits)
        if access < 1:
            raise Unmappable(f"an element of {bits:g} bits is more than an access holds")
        row = row // access * access
        return cls(access, row, row if held is None else max(held // access, 1) * access)


def _splits(e: Extents, banks: Banks, channels: int) -> Iterator[tuple[int, int]]:
    """Ways to deal a reduction: over how many channels, and over how many banks of a unit."""
    for parts in range(1, min(channels, e.k) + 1):
        if channels % parts == 0:
            for sums in range(1, banks.sum_over + 1):
                if banks.sum_over % sums == 0 and 1 < parts * sums <= e.k:
                    yield parts, sums


def _laid(
    layout: Layout, e: Extents, bits: float, banks: Banks, channels: int, split: tuple[int, int],
    tile: Tile,
) -> Placed:  # fmt: skip
    parts, sums = split
    streams = banks.at_once // sums
    outputs = -(-e.n // (channels // parts * streams))
    used = -(-e.n // (outputs * streams)) * parts
    piece = -(-e.k // (parts * sums))
    reduction = -(-piece // tile.access) * tile.access
    width = tile.row if layout == "row" else min(reduction, tile.row, tile.held)
    lying = Lying(outputs, reduction, width, min(tile.row // width, outputs), sums, tile.access)
    return Placed(
        layout=layout,
        lying=lying,
        channels=used,
        parts=parts,
        matrix_bytes=int(-(-e.n * e.k * bits // 8)),
        stored_bytes=lying.rows * banks.row_bytes * banks.at_once * used,
    )


def fits(rows: int, banks: Banks) -> None:
    """Refuse what needs more rows than there are.

    Raises:
        Unmappable: with the rows of each bank that are needed, and those there are.
    """
    if rows > banks.rows * banks.sets:
        raise Unmappable(
            f"the matrices take {rows} rows of each bank, padding included, and there are "
            f"{banks.rows * banks.sets}"
        )
