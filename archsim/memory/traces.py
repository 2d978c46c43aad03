"""Request lists by name, made from integer formulas so that anybody can make them again.

Each generator gives addresses and write flags of request 0..n-1. The formulas and the checksum are
those under which the reference runs of Ramulator 2.1 and DRAMsim3 were recorded; a controller that
serves them is not here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import InputError, nearest
from archsim.memory.requests import Requests

Words = NDArray[np.uint64]
REGION_BYTES = 1 << 29
PAGE_BYTES = 4096
"""Keys or values of 16 tokens of one head of 128 half-precision numbers."""

TILE_ROW_BYTES = 256
MATRIX_SIDE, TILE_ROWS, TILE_COLUMNS = 4096, 64, 128


@dataclass(frozen=True, slots=True)
class Place:
    """What a formula needs to know of the memory.

    Attributes:
        access_bytes: Bytes of a request.
        row_stride_bytes: Bytes between two successive rows of a bank, over all channels.
        page_stride_bytes: Bytes of one row's columns, over all channels.
        region_bytes: Addresses stay below this.
    """

    access_bytes: int
    row_stride_bytes: int
    page_stride_bytes: int
    region_bytes: int = REGION_BYTES


def draw(seed: int | NDArray[np.int64], index: NDArray[np.int64]) -> Words:
    """The index-th 64-bit number of a seed: SplitMix64 (Steele, Lea, Flood; OOPSLA 2014)."""
    z = np.asarray(index + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = z + np.asarray(seed).astype(np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def _reads(address: NDArray[np.int64]) -> Requests:
    return Requests(address, np.zeros(len(address), np.int64))


def _stream(n: int, place: Place) -> NDArray[np.int64]:
    return np.arange(n, dtype=np.int64) * place.access_bytes % place.region_bytes


def _stream_rd(n: int, place: Place) -> Requests:
    return _reads(_stream(n, place))


def _stream_wr(n: int, place: Place) -> Requests:
    return Requests(_stream(n, place), np.ones(n, np.int64))


def _stream_2r1w(n: int, place: Place) -> Requests:
    return Requests(_stream(n, place), (np.arange(n) % 3 == 2).astype(np.int64))


def _triad_2r1w(n: int, place: Place) -> Requests:
    k, j = np.divmod(np.arange(n, dtype=np.int64), 3)
    address = (j * (place.region_bytes // 4) + k * place.access_bytes) % place.region_bytes
    return Requests(address, (j == 2).astype(np.int64))


def _random(n: int, place: Place) -> NDArray[np.int64]:
    slots = np.uint64(place.region_bytes // place.access_bytes)
    index = draw(1, np.arange(n)) % slots
    return index.astype(np.int64) * place.access_bytes


def _rand_rd(n: int, place: Place) -> Requests:
    return _reads(_random(n, place))


def _rand_2r1w(n: int, place: Place) -> Requests:
    write = draw(2, np.arange(n)) % np.uint64(3) == 0
    return Requests(_random(n, place), write.astype(np.int64))


def _row_conflict(n: int, place: Place) -> Requests:
    return _reads(np.arange(n, dtype=np.int64) * place.row_stride_bytes % place.region_bytes)


def _strided(n: int, place: Place, stride_bytes: int) -> Requests:
    """Whole strides through the region, each next pass one access further."""
    turn, offset = np.divmod(np.arange(n, dtype=np.int64) * stride_bytes, place.region_bytes)
    return _reads((offset + place.access_bytes * turn) % place.region_bytes)


def _bank_walk(n: int, place: Place) -> Requests:
    return _strided(n, place, place.page_stride_bytes)


def _stride256(n: int, place: Place) -> Requests:
    return _strided(n, place, 256)


def _stride4096(n: int, place: Place) -> Requests:
    return _strided(n, place, 4096)


def _gemm_tile(n: int, place: Place) -> Requests:
    """Half-precision weights of a 4096 x 4096 matrix in tiles of 64 x 128, tiles down first."""
    accesses = TILE_ROW_BYTES // place.access_bytes
    tiles_down = MATRIX_SIDE // TILE_ROWS
    i = np.arange(n, dtype=np.int64) % (MATRIX_SIDE * MATRIX_SIDE * 2 // place.access_bytes)
    i, c = np.divmod(i, accesses)
    i, r = np.divmod(i, TILE_ROWS)
    n0, k0 = np.divmod(i, tiles_down)
    element = (k0 * TILE_ROWS + r) * MATRIX_SIDE + n0 * TILE_COLUMNS
    return _reads(element * 2 + c * place.access_bytes)


def _page(
    seed: int | NDArray[np.int64], index: NDArray[np.int64], place: Place
) -> NDArray[np.int64]:
    """Number of a drawn page in half the region."""
    pages = np.uint64(place.region_bytes // 2 // PAGE_BYTES)
    return (draw(seed, index) % pages).astype(np.int64)


def _kv_gather(n: int, place: Place) -> Requests:
    """Pages of keys, then of values, of one sequence after another."""
    per_page = PAGE_BYTES // place.access_bytes
    i, c = np.divmod(np.arange(n, dtype=np.int64), per_page)
    p, kv = np.divmod(i, 2)
    page = _page(3, p, place)
    half = place.region_bytes // 2
    return _reads(kv * half + page * PAGE_BYTES + c * place.access_bytes)


def _kv_gather8(n: int, place: Place) -> Requests:
    """The same of eight sequences in turn, one access each."""
    per_page = PAGE_BYTES // place.access_bytes
    k, s = np.divmod(np.arange(n, dtype=np.int64), 8)
    p, rest = np.divmod(k, 2 * per_page)
    kv, c = np.divmod(rest, per_page)
    page = _page(4 + s, p, place)
    half = place.region_bytes // 2
    return _reads(kv * half + page * PAGE_BYTES + c * place.access_bytes)


def _kv_gather_rw(n: int, place: Place) -> Requests:
    """Pages as in `kv_gather`; after each fourth, one token's keys and values are written."""
    per_page = PAGE_BYTES // place.access_bytes
    per_token = TILE_ROW_BYTES // place.access_bytes
    reads, writes = 4 * 2 * per_page, 2 * per_token
    round_, rest = np.divmod(np.arange(n, dtype=np.int64), reads + writes)
    write = rest >= reads
    half = place.region_bytes // 2

    i, c = np.divmod(np.where(write, 0, rest), per_page)
    turn, kv = np.divmod(i, 2)
    p = 4 * round_ + turn
    read_at = kv * half + _page(3, p, place) * PAGE_BYTES + c * place.access_bytes

    kv_w, c_w = np.divmod(np.where(write, rest - reads, 0), per_token)
    last = 4 * round_ + 3
    page = _page(9, last // 64, place)
    token = (last // 4) % 16
    write_at = kv_w * half + page * PAGE_BYTES + token * TILE_ROW_BYTES + c_w * place.access_bytes
    return Requests(np.where(write, write_at, read_at), write.astype(np.int64))


TRACES: dict[str, Callable[[int, Place], Requests]] = {
    "stream_rd": _stream_rd,
    "stream_wr": _stream_wr,
    "stream_2r1w": _stream_2r1w,
    "triad_2r1w": _triad_2r1w,
    "rand_rd": _rand_rd,
    "rand_2r1w": _rand_2r1w,
    "row_conflict": _row_conflict,
    "bank_walk": _bank_walk,
    "stride256": _stride256,
    "stride4096": _stride4096,
    "gemm_tile": _gemm_tile,
    "kv_gather": _kv_gather,
    "kv_gather8": _kv_gather8,
    "kv_gather_rw": _kv_gather_rw,
}


def trace(name: str, n: int, place: Place) -> Requests:
    """The first n requests of a named list.

    Raises:
        InputError: E108 for a name that is none of `TRACES`.
    """
    if name not in TRACES:
        close = nearest(name, TRACES)
        raise InputError(
            f"trace {name!r} is not one of {', '.join(TRACES)}",
            code="E108",
            help=f'did you mean "{close}"?' if close else None,
        )
    return TRACES[name](n, place)


def checksum(requests: Requests) -> int:
    """Sum of (i + 1) (2 address + write) over all requests, modulo 2^64."""
    with np.errstate(over="ignore"):
        index = np.arange(1, len(requests) + 1, dtype=np.uint64)
        word = 2 * requests.address.astype(np.uint64) + requests.write.astype(np.uint64)
        return int(np.sum(index * word, dtype=np.uint64))
