"""Units that hold what they have read: banks are read ahead of arithmetic, as far as buffers go.

Here lives what that means for the ticks of even reads. All other rules between commands are in
`gemv_stream`.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple


class Ahead(NamedTuple):
    """Even reads and the arithmetic behind them.

    Attributes:
        first, last: ticks of the first read and of the last.
        until: tick at which arithmetic on all of them has ended.
    """

    first: int
    last: int
    until: int


def read_ahead(legal: int, until: int, count: int, spacing: int, every: float, slots: int) -> Ahead:
    """Reads of a unit that has room for some accesses: one waits until a place is free.

    Args:
        legal: tick at which the first may be issued by all other rules.
        until: tick at which arithmetic on earlier ones ends.
        count: of reads.
        spacing: ticks between reads by all other rules.
        every: ticks of arithmetic on an access.
        slots: accesses that the unit holds, with the one that it works on.
    """
    held = (slots - 1) * every
    first = max(legal, ceil(until - held))
    begun = max(until, first)
    last = first + (count - 1) * spacing
    if count > 1 and every > spacing:
        last = max(last, ceil(begun + (count - 1) * every - held))
    return Ahead(first, last, ceil(max(begun + count * every, last + every)))
