"""The stream of transfers that a stage sends to a memory with banks, and the bursts of each.

A stage is a tree of loops; its transfers are taken in the order of the tree, only so many
iterations of each loop that a bound on bursts is kept. A tensor begins at an address of its own;
its tiles follow each other as its pattern says, or one behind the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from archsim.memory.layout import Pattern, accesses, scattered
from archsim.sim.program import Leaf, Loop
from archsim.system.transfers import Transfer

Ints = NDArray[np.int64]
Tree = Sequence[Loop | Leaf]
ALIGN = 1 << 20  # bytes: tensors begin on fresh rows (assumed)
SEED = 1  # of the order of scattered pages


def counted(tree: Tree) -> dict[int, int]:
    """How often each row of a tree runs."""
    total: dict[int, int] = {}
    _count(tree, 1, total)
    return total


def _count(tree: Tree, times: int, total: dict[int, int]) -> None:
    for node in tree:
        if isinstance(node, Loop):
            _count(node.body, times * node.n, total)
        else:
            for row in node.rows:
                total[row] = total.get(row, 0) + times


def most_iterations(tree: Tree, bursts: Mapping[int, int], bound: int) -> int:
    """The largest number of iterations, the same for every loop, that keeps a bound on bursts.

    Args:
        tree: of the stage.
        bursts: of one execution, by row; others have none.
        bound: bursts; one iteration is kept in any case.
    """
    low, high = 1, _longest(tree)
    while low < high:
        middle = (low + high + 1) // 2
        if _bursts(tree, bursts, middle) <= bound:
            low = middle
        else:
            high = middle - 1
    return low


def _longest(tree: Tree) -> int:
    return max((max(n.n, _longest(n.body)) for n in tree if isinstance(n, Loop)), default=1)


def _bursts(tree: Tree, bursts: Mapping[int, int], most: int) -> int:
    total = 0
    for node in tree:
        if isinstance(node, Loop):
            total += min(node.n, most) * _bursts(node.body, bursts, most)
        else:
            total += sum(bursts.get(row, 0) for row in node.rows)
    return total


def walk(tree: Tree, most: int) -> Iterator[int]:
    """Rows in the order of a tree, at most so many iterations of each loop."""
    for node in tree:
        if isinstance(node, Loop):
            for _ in range(min(node.n, most)):
                yield from walk(node.body, most)
        else:
            yield from node.rows


def enough(
    rows: Iterable[int], bursts: Mapping[int, int], kind: Mapping[int, int], bound: int
) -> list[int]:
    """The rows up to a bound on bursts, but not before each kind has come once.

    Args:
        rows: of the stream, in order.
        bursts: of one execution, by row.
        kind: of each row.
        bound: bursts.
    """
    kept: list[int] = []
    unseen = set(kind.values())
    total = 0
    for row in rows:
        if total >= bound and not unseen:
            break
        kept.append(row)
        unseen.discard(kind[row])
        total += bursts[row]
    return kept


class Places:
    """Where the next tile of each tensor lies."""

    def __init__(self, tensor_bytes: Mapping[str, int], access_bytes: int) -> None:
        self.tensor_bytes = tensor_bytes
        self.access_bytes = access_bytes
        self.base: dict[str, int] = {}
        self.free = 0
        self.tile: dict[tuple[str, Pattern | None, bool], int] = {}  # next one, or its first byte

    def next(self, transfer: Transfer) -> Ints:
        """Byte addresses of the bursts of a transfer, in order."""
        key = (transfer.tensor, transfer.pattern, transfer.write)
        size = self.tensor_bytes.get(transfer.tensor, transfer.size_bytes)
        base = self._base(transfer.tensor, size)
        done = self.tile.get(key, 0)
        if transfer.pattern is None:
            start = done if done + transfer.size_bytes <= size else 0  # once more from the start
            self.tile[key] = start + transfer.size_bytes
            return accesses(np.array([base + start]), transfer.size_bytes, self.access_bytes)
        self.tile[key] = done + 1
        pattern = transfer.pattern
        needed = -(-transfer.size_bytes // pattern.piece_bytes)
        starts = pattern.starts(done)[:needed]
        piece = min(pattern.piece_bytes, transfer.size_bytes)
        if pattern.page_bytes:
            starts = scattered(starts, pattern.page_bytes, pattern.pages, SEED)
        return accesses(base + starts, piece, self.access_bytes)

    def _base(self, tensor: str, size: int) -> int:
        if tensor not in self.base:
            self.base[tensor] = self.free
            self.free += -(-size // ALIGN) * ALIGN
        return self.base[tensor]


def run_bytes(transfer: Transfer) -> int:
    """Bytes of a transfer that lie in one piece at least."""
    if transfer.pattern is None:
        return transfer.size_bytes
    return min(transfer.pattern.run_bytes, transfer.size_bytes)


def first_channel(addresses: Ints, channels: int, access_bytes: int) -> Ints:
    """The part of long runs of bursts that one of many channels serves, in its own addresses.

    Channels take bursts in turn; of a run, each gets the same number, or one less.
    """
    lines = addresses // (channels * access_bytes)
    fresh = np.ones(len(lines), dtype=bool)
    fresh[1:] = lines[1:] != lines[:-1]
    return np.asarray(lines[fresh] * access_bytes)
