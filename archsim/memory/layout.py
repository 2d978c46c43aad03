"""Where the tiles of a tensor lie: from a nest of pieces to the burst train of a transfer.

A tensor lies in a memory's address space in some order; a tile of it is so many contiguous pieces
at affine distances, and the tiles follow each other in a nest of loops. Paging then moves whole
pages elsewhere. All functions are pure and vectorised; which tensor has which layout is decided
where schedules are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Nest = tuple[tuple[int, int], ...]  # (count, bytes from one to the next), outermost first


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a tensor is read or written, tile after tile.

    Attributes:
        piece_bytes: Contiguous bytes.
        pieces: Nest of the pieces of one tile.
        tiles: Nest of the tiles; after the last one comes the first again.
        page_bytes: Bytes of a page, when pages lie scattered; 0 when the tensor lies in one piece.
        pages: Pages of the tensor.
    """

    piece_bytes: int
    pieces: Nest = ()
    tiles: Nest = ()
    page_bytes: int = 0
    pages: int = 0

    @property
    def tile_bytes(self) -> int:
        """Bytes of one tile."""
        return self.piece_bytes * prod(n for n, _ in self.pieces)

    @property
    def run_bytes(self) -> int:
        """Contiguous bytes at least: neighbouring pieces of a tile are one run."""
        run = self.piece_bytes
        for count, step in reversed(self.pieces):
            if step != run:
                break
            run *= count
        return min(run, self.page_bytes) if self.page_bytes else run

    def starts(self, tile: int) -> Ints:
        """Offsets of the pieces of a tile in the tensor, in the order in which they are moved."""
        offset, left = 0, tile % max(1, prod(n for n, _ in self.tiles))
        for count, step in reversed(self.tiles):
            offset += left % count * step
            left //= count
        found = np.array([offset], dtype=np.int64)
        for count, step in self.pieces:
            found = (found[:, None] + np.arange(count, dtype=np.int64) * step).ravel()
        return found


def accesses(starts: Ints, piece_bytes: int, access_bytes: int) -> Ints:
    """Addresses of the bursts that cover pieces, in order; each piece takes whole bursts.

    Args:
        starts: byte address of each piece, shape (n,).
        piece_bytes: bytes of each.
        access_bytes: bytes of a burst.

    Returns:
        Byte addresses, multiples of `access_bytes`, shape (bursts,).
    """
    first = starts // access_bytes
    count = (starts + piece_bytes - 1) // access_bytes - first + 1
    ends = np.cumsum(count)
    within = np.arange(int(ends[-1]) if len(ends) else 0, dtype=np.int64)
    within -= np.repeat(ends - count, count)
    return np.asarray((np.repeat(first, count) + within) * access_bytes)


def scattered(addresses: Ints, page_bytes: int, pages: int, seed: int) -> Ints:
    """Offsets in a tensor whose pages lie in random order: each page keeps its own bytes together.

    Args:
        addresses: byte offsets in the tensor; beyond the last page, the first follows.
        page_bytes: bytes of a page.
        pages: pages of the tensor.
        seed: of the permutation.
    """
    table = np.random.default_rng(seed).permutation(pages)
    page = addresses // page_bytes % pages  # the last tile may reach beyond the last page
    return np.asarray(table[page] * page_bytes + addresses % page_bytes, dtype=np.int64)
