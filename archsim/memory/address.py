"""Which bits of an address name channel, bank, row and column: a mapping and its inverse.

Here live the forms in which a mapping is written and its arithmetic on whole arrays. Banks have
channel-wide numbers, as in `memory.tables`. What the requests are is in `memory.requests`.

A mapping is the name of one of Ramulator's, the field pairs of DRAMsim3 (`rochrababgco`), or a
written order: fields from the most to the least significant bit, each with its bits, and with what
is XORed onto them, such as `row:16 bank:2^row bank_group:2^row>>2 column:5 channel:4`. A field may
come in pieces; a field that is XORed onto others has no XOR of its own, so every mapping has an
inverse. The bits below one access are not named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from archsim.core.errors import InputError, nearest
from archsim.core.units import canonical

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archsim.memory.tables import Tables

PAIRS = {
    "ch": "channel", "pc": "pseudo_channel", "ra": "rank", "si": "sid", "bg": "bank_group",
    "ba": "bank", "ro": "row", "co": "column",
}  # fmt: skip
"""Field of each pair of a DRAMsim3 mapping; `pc` and `si` are ours, for standards it lacks."""

RAMULATOR = ("RoBaRaCoCh", "MOP4CLXOR", "ChRaBaRoCo")
"""Names of Ramulator 2.1's mappings; its channel bits are always the lowest."""

MOP_BITS = 2
"""Column bits at the bottom of MOP4CLXOR: four accesses of a row in turn."""

PIECE = re.compile(r"(?P<field>\w+):(?P<bits>\d+)(?P<xors>(?:\^\w+(?:>>\d+)?)*)")
XOR = re.compile(r"\^(\w+)(?:>>(\d+))?")


@dataclass(frozen=True, slots=True)
class Piece:
    """Neighbouring address bits that are neighbouring bits of one field."""

    field: str
    bits: int
    xors: tuple[tuple[str, int], ...] = ()
    """Fields XORed onto it, each shifted right by so many bits."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Where addresses lie; int64 arrays of one shape."""

    channel: NDArray[np.int64]
    bank: NDArray[np.int64]
    """Number of the bank within its channel."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    """Access within the row."""


class AddressMap:
    """One mapping over some channels of a standard."""

    def __init__(self, tables: Tables, channels: int, mapping: str) -> None:
        """The mapping of a name, of field pairs, or of a written bit order.

        Raises:
            InputError: E108 an unknown name or field; E202 a bit that is dropped or repeated, an
                XOR that has no inverse, or a number of channels that is not a power of two.
        """
        if channels < 1 or channels & (channels - 1):
            raise InputError(f"{channels} channels are not a power of two", code="E202")
        self.tables = tables
        self.channels = channels
        self.mapping = mapping
        self.bits = _field_bits(tables, channels)
        self.offset_bits = tables.access_bytes.bit_length() - 1
        self.pieces = _pieces(mapping, self.bits)
        """From the least significant bit upwards; each piece of a field lies above those before."""
        _check(mapping, self.pieces, self.bits)

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all channels."""
        return self.tables.channel_bytes * self.channels

    @property
    def page_bytes(self) -> int:
        """Bytes from the first to past the last access of a row, the channels among them counted.

        This is the step of a trace that goes from row to row.
        """
        below = 0
        for piece in self.pieces:
            if piece.field == "column" and piece.bits:
                break
            below += piece.bits if piece.field == "channel" else 0
        return self.tables.row_bytes << below

    @property
    def row_stride_bytes(self) -> int:
        """Bytes between two successive rows of a bank."""
        one = np.ones(1, np.int64)
        next_row = Decoded(one * 0, one * 0, one, one * 0)
        return int(self.encode(next_row)[0])

    def decode(self, addresses: NDArray[np.int64]) -> Decoded:
        """Channel, bank, row and column of byte addresses.

        Raises:
            InputError: E202 an address outside the capacity.
        """
        outside = (addresses < 0) | (addresses >= self.capacity_bytes)
        if outside.any():
            first = int(np.flatnonzero(outside)[0])
            size = canonical(self.capacity_bytes, "bytes")
            raise InputError(
                f"address {int(addresses[first]):#x} (request {first}) is outside the {size} of "
                f"{self.channels} x {self.tables.name}",
                code="E202",
            )
        field = {name: np.zeros_like(addresses) for name in self.bits}
        for piece, low, position in self._walk():
            value = (addresses >> position) & ((1 << piece.bits) - 1)
            field[piece.field] |= value << low
        self._apply_xors(field)
        bank = np.zeros_like(addresses)
        for level, count in zip(self.tables.levels[1:], self.tables.counts[1:], strict=True):
            bank = bank * count + field[level]
        return Decoded(field["channel"], bank, field["row"], field["column"])

    def encode(self, place: Decoded) -> NDArray[np.int64]:
        """Byte addresses of the first byte of each access; the inverse of `decode`.

        Raises:
            InputError: E202 a channel, bank, row or column that does not exist.
        """
        banks = self.tables.banks
        limits = {
            "channel": (place.channel, self.channels), "bank": (place.bank, banks),
            "row": (place.row, self.tables.rows), "column": (place.column, self.tables.bursts),
        }  # fmt: skip
        for name, (values, limit) in limits.items():
            if ((values < 0) | (values >= limit)).any():
                raise InputError(f"{name} outside 0 ... {limit - 1}", code="E202")
        field = {name: values.copy() for name, (values, _) in limits.items()}
        bank = place.bank
        levels = zip(self.tables.levels[:0:-1], self.tables.counts[:0:-1], strict=True)
        for level, count in levels:
            field[level] = bank % count
            bank = bank // count
        self._apply_xors(field)
        address = np.zeros_like(place.bank)
        for piece, low, position in self._walk():
            value = (field[piece.field] >> low) & ((1 << piece.bits) - 1)
            address |= value << position
        return address

    def _walk(self) -> Iterator[tuple[Piece, int, int]]:
        """Each piece, its lowest bit within its field, and its lowest bit within the address."""
        seen = dict.fromkeys(self.bits, 0)
        position = self.offset_bits
        for piece in self.pieces:
            yield piece, seen[piece.field], position
            seen[piece.field] += piece.bits
            position += piece.bits

    def _apply_xors(self, field: dict[str, NDArray[np.int64]]) -> None:
        """XOR sources onto their targets; twice is nothing, as no source is a target."""
        for piece, low, _ in self._walk():
            for source, shift in piece.xors:
                field[piece.field] ^= ((field[source] >> shift) & ((1 << piece.bits) - 1)) << low


def _field_bits(tables: Tables, channels: int) -> dict[str, int]:
    """Bits of every field, outermost level first, then row and column."""
    sizes = {"channel": channels}
    sizes |= dict(zip(tables.levels[1:], tables.counts[1:], strict=True))
    sizes |= {"row": tables.rows, "column": tables.bursts}
    return {name: size.bit_length() - 1 for name, size in sizes.items()}


def _pieces(mapping: str, bits: dict[str, int]) -> tuple[Piece, ...]:
    """Pieces from the least significant upwards, in whichever form they are written."""
    if ":" in mapping:
        return tuple(reversed([_piece(text, mapping, bits) for text in mapping.split()]))
    if mapping in RAMULATOR:
        return _ramulator(mapping, bits)
    pairs = [mapping[i : i + 2] for i in range(0, len(mapping), 2)]
    if all(pair in PAIRS for pair in pairs):
        order = [PAIRS[pair] for pair in reversed(pairs)]
        repeated = next((name for name in order if order.count(name) > 1), None)
        if repeated:
            raise InputError(f'mapping "{mapping}" repeats {repeated}', code="E202")
        return tuple(Piece(name, bits[name]) for name in order if name in bits)
    close = nearest(mapping, RAMULATOR)
    raise InputError(
        f'mapping "{mapping}" is not one of {", ".join(RAMULATOR)}, nor made of the pairs '
        f"{' '.join(PAIRS)}, nor a bit order",
        code="E108",
        help=f'did you mean "{close}"?' if close else "a bit order is `row:16 bank:4 column:5`",
    )


def _ramulator(mapping: str, bits: dict[str, int]) -> tuple[Piece, ...]:
    """Ramulator 2.1's mappings (CMU-SAFARI/ramulator2, c5b1c3a)."""
    levels = [name for name in bits if name not in ("channel", "row", "column")]
    if mapping != "MOP4CLXOR":
        order = ["column", *levels, "row"]
        if mapping == "ChRaBaRoCo":
            order = ["column", "row", *reversed(levels)]
        return tuple(Piece(name, bits[name]) for name in ("channel", *order))
    low = min(MOP_BITS, bits["column"])
    shift = 0  # each field in turn takes the next column bits; so does the row, from those left
    xored = []
    for name in (*levels, "row"):
        xored.append(Piece(name, bits[name], (("column", shift),) if bits[name] else ()))
        shift += bits[name]
    *inner, row = xored
    channel, first = Piece("channel", bits["channel"]), Piece("column", low)
    return (channel, first, *inner, Piece("column", bits["column"] - low), row)


def _piece(text: str, mapping: str, bits: dict[str, int]) -> Piece:
    match = PIECE.fullmatch(text)
    if match is None:
        raise InputError(
            f'mapping "{mapping}": "{text}" is not field:bits',
            code="E105",
            help="example `bank:2^row>>3`",
        )
    xors = tuple((name, int(shift or 0)) for name, shift in XOR.findall(match["xors"]))
    for name in (match["field"], *(name for name, _ in xors)):
        if name not in bits:
            close = nearest(name, bits)
            raise InputError(
                f'mapping "{mapping}": field "{name}" is not one of {", ".join(bits)}',
                code="E108",
                help=f'did you mean "{close}"?' if close else None,
            )
    return Piece(match["field"], int(match["bits"]), xors)


def _remedy(mapping: str, name: str) -> str:
    """What to write for a field of which bits are missing, or too many."""
    known = next((word for word in RAMULATOR if word.casefold() == mapping.casefold()), None)
    if known:
        return f'did you mean "{known}"?'
    if ":" in mapping:
        return f"every bit of {name} once, such as `{name}:1`"
    pair = next(pair for pair, field in PAIRS.items() if field == name)
    return f'the pair of {name} is "{pair}"'


def _check(mapping: str, pieces: tuple[Piece, ...], bits: dict[str, int]) -> None:
    """Every bit of every field exactly once, and an inverse."""
    for name, wanted in bits.items():
        given = sum(piece.bits for piece in pieces if piece.field == name)
        if given != wanted:
            what = "drops" if given < wanted else "repeats"
            raise InputError(
                f'mapping "{mapping}" {what} bits: {name} has {wanted}, here {given}',
                code="E202",
                help=_remedy(mapping, name),
            )
    targets = {piece.field for piece in pieces if piece.xors}
    for piece in pieces:
        for source, shift in piece.xors:
            if source in targets:
                raise InputError(
                    f'mapping "{mapping}": {source} is XORed onto {piece.field} and has an XOR of '
                    "its own",
                    code="E202",
                    help="XOR fields that keep their bits, so that every address has its own place",
                )
            if shift and shift >= bits[source] and mapping not in RAMULATOR:
                raise InputError(
                    f'mapping "{mapping}": {source} has {bits[source]} bits, none above {shift}',
                    code="E202",
                )
