"""Bank conflicts of a banked SRAM, counted from the addresses that lanes ask for together.

Here live the arithmetic of banks and words, one parallel access, and a stream of such accesses.
What the lanes of an engine ask for is said by the mapping, in `system`; what a bank costs in energy
and silicon by the energy table. Addresses are in bits, so that narrow elements lie packed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

SWEPT = 256  # accesses of a stream that are counted one by one: see `sweep`


@dataclass(frozen=True, slots=True)
class Banks:
    """Banks that share an address space, each serving `ports` words a cycle.

    Attributes:
        count: banks.
        width_bits: bits of a word, which one access of one bank delivers.
        interleave_bits: consecutive bits that lie in a bank before the next bank's begin; a
            multiple of the width.
        ports: words that a bank serves in a cycle.
        xor: the bank's number is XORed with the same number of address bits above it.
    """

    count: int
    width_bits: int
    interleave_bits: int
    ports: int = 1
    xor: bool = False

    @property
    def period_bits(self) -> int:
        """Distance after which every pattern meets in as many banks, be it others, as before."""
        return self.interleave_bits * (self.count**2 if self.xor else 1)

    def recur(self, step_bits: int) -> int:
        """Steps of so many bits after which patterns meet as before."""
        return self.period_bits // gcd(self.period_bits, step_bits)

    def of(self, words: Ints) -> Ints:
        """The bank in which each of these words lies, by its number from address 0."""
        chunk = words // (self.interleave_bits // self.width_bits)
        bank = chunk % self.count
        if self.xor:
            bank = bank ^ (chunk // self.count) % self.count
        return np.asarray(bank, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Access:
    """Elements that lanes ask for in one cycle: an affine pattern in mixed radix.

    Lane i stands at the digits of `first + i`, the innermost radix first; its address is the base
    plus digit x stride of each. One radix is a row, a column or any strided vector; several make an
    im2col window or a block.

    Attributes:
        radix: (extent, stride in bits), the fastest first; the last extent has no bound.
        lanes: that ask.
        element_bits: of what each asks for.
        base_bits: address of digit zero.
        first: number of lane zero.
    """

    radix: tuple[tuple[int, int], ...]
    lanes: int
    element_bits: int
    base_bits: int = 0
    first: int = 0

    def addresses(self) -> Ints:
        """Address in bits of each lane's element."""
        return np.asarray(self.base_bits + _positions(self.radix, self.first, self.lanes))


@dataclass(frozen=True, slots=True)
class Served:
    """What a stream of accesses takes.

    Attributes:
        accesses: of all lanes together.
        cycles: of them one after another; an access ends with its slowest bank.
        words: that banks deliver: distinct ones of each access.
        conflict_cycles: beyond those that as many words spread over all banks would take.
    """

    accesses: int
    cycles: int
    words: int
    conflict_cycles: int


def _positions(radix: tuple[tuple[int, int], ...], first: int, count: int) -> Ints:
    """Offsets in bits of `count` numbers from `first` on, written in a mixed radix."""
    rest: Ints = np.arange(first, first + count, dtype=np.int64)
    offset: Ints = np.zeros(count, dtype=np.int64)
    for extent, stride in radix[:-1]:
        offset = offset + rest % extent * stride
        rest = rest // extent
    return np.asarray(offset + rest * radix[-1][1])


def requests(banks: Banks, access: Access) -> Ints:
    """Distinct words that an access asks of each bank: lanes that share a word share its reading.

    Returns:
        One number a bank.
    """
    return np.asarray(_requests(banks, access.addresses()[None, :], access.element_bits)[0])


def cycles(banks: Banks, access: Access) -> int:
    """Cycles of an access: its words of the most loaded bank over the ports of a bank."""
    return int(-(-requests(banks, access).max() // banks.ports))


def _requests(banks: Banks, at: Ints, element_bits: int) -> Ints:
    """Distinct words by bank of each row of addresses: (accesses, lanes) to (accesses, banks)."""
    low = at // banks.width_bits
    high = (at + element_bits - 1) // banks.width_bits
    spread = int((high - low).max())
    words = np.concatenate([np.minimum(low + i, high) for i in range(spread + 1)], axis=1)
    if spread or (np.diff(words, axis=1) < 0).any():
        words.sort(axis=1)
    fresh = np.ones(words.shape, dtype=bool)
    fresh[:, 1:] = words[:, 1:] != words[:, :-1]
    slot = banks.of(words) + banks.count * np.arange(len(at), dtype=np.int64)[:, None]
    found = np.bincount(slot[fresh], minlength=len(at) * banks.count)
    return np.asarray(found.reshape(len(at), banks.count), dtype=np.int64)


def strided_requests(banks: Banks, stride_words: int, lanes: int) -> int | None:
    """Words of the most loaded bank for aligned lanes so many words apart, in closed form.

    With G words an interleave and N banks, a stride of s words that is a multiple of G visits
    N / gcd(N, s / G) banks in turn; one that divides G fills G / s lanes of a bank before the next.

    Returns:
        The number of words; None for a stride that is neither, and under an XOR.
    """
    chunk = banks.interleave_bits // banks.width_bits
    if stride_words == 0:
        return 1
    if banks.xor:
        return None
    if stride_words % chunk == 0:
        visited = banks.count // gcd(banks.count, stride_words // chunk)
        return -(-lanes // visited)
    if chunk % stride_words == 0:
        run = chunk // stride_words
        turns, rest = divmod(lanes, run * banks.count)
        return turns * run + min(rest, run)
    return None


def sweep(
    banks: Banks,
    access: Access,
    stream: tuple[tuple[int, int], ...],
    accesses: int,
    together: int = 1,
) -> Served:
    """What `accesses` of one pattern take, each at the next positions of a stream.

    Positions are counted one by one until the banks recur, or for the first `SWEPT` of them;
    longer streams repeat the mean of those. It is exact for streams of one stride whose period is
    no longer than that, and for all that are shorter themselves.

    Args:
        banks: that hold the operand.
        access: the pattern at position zero.
        stream: radix in which positions advance the base, as in `Access`.
        accesses: of all lanes together; at least one.
        together: positions that one access covers.
    """
    if together == 1 and (known := _alike_everywhere(banks, access, stream)) is not None:
        return _totals(banks, np.array([known]), np.array([access.lanes]), accesses)
    counted = SWEPT
    if len(stream) == 1:
        counted = min(SWEPT, banks.recur(together * stream[0][1]))
    most, words = _counted(banks, access, stream, counted, together)
    return _totals(banks, most[:accesses], words[:accesses], accesses)


@lru_cache(maxsize=4096)
def _counted(
    banks: Banks, access: Access, stream: tuple[tuple[int, int], ...], counted: int, together: int
) -> tuple[Ints, Ints]:
    """Words of the most loaded bank, and of all banks, at each of the first positions."""
    places = _positions(stream, 0, counted * together).reshape(counted, together, 1)
    at = (places + access.addresses()).reshape(counted, together * access.lanes)
    asked = _requests(banks, at, access.element_bits)
    return asked.max(axis=1), asked.sum(axis=1)


def _alike_everywhere(
    banks: Banks, access: Access, stream: tuple[tuple[int, int], ...]
) -> int | None:
    """Words of the most loaded bank, where the closed form holds at every position; else None."""
    if len(access.radix) > 1:
        return None
    size, stride = access.element_bits, access.radix[0][1]
    steps = [access.base_bits, *(step for _, step in stream)]
    aligned = banks.width_bits % size == 0 and all(x % size == 0 for x in steps)
    if not aligned or not stride or stride % banks.interleave_bits:
        return None
    return strided_requests(banks, stride // banks.width_bits, access.lanes)


def _totals(banks: Banks, most: Ints, words: Ints, accesses: int) -> Served:
    """Totals of `accesses` positions that repeat those counted."""
    taken = -(-most // banks.ports)
    least = np.maximum(1, -(-words // (banks.count * banks.ports)))
    times, rest = divmod(accesses, len(most))

    def total(each: Ints) -> int:
        return int(times * each.sum() + each[:rest].sum())

    return Served(accesses, total(taken), total(words), total(taken - least))
