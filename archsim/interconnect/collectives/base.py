"""What an algorithm is: the rounds of messages by which a group carries out a collective.

Here live rounds, the base of algorithms and the cut of a buffer into parts. What rounds cost is
said in `price`, which algorithm is taken in `exchange`. Devices are told apart by their place in
the group, 0 to n - 1; where those lie on a fabric matters only to algorithms that follow its shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from archsim.core.registry import Registry
from archsim.interconnect.fabric import Fabric, Ints
from archsim.ir.collective import Collective

Span = tuple[int, int, int]
"""A piece of a message: index of the message in its round, first byte, end."""


@dataclass(frozen=True, eq=False)
class Round:
    """Messages that start together, when their senders have what the round before gave them.

    Attributes:
        src, dst: places of sender and receiver in the group, [messages].
        size_bytes: the largest of each message over the repeats, [messages].
        times: alike rounds in a row.
        carried_bytes: of each message over all repeats, [messages].
        spans: what a repeat carries, as bytes of the common buffer: see `buffer_bytes`.
        adds: whether a receiver adds what comes to what it has, or keeps it in its place.
        sums: whether the network adds all messages up and gives the sum to every receiver.
        beside: whether it starts with the round before it, whose messages it shares neither bytes
            nor links with; what follows starts when both are over.
    """

    src: Ints
    dst: Ints
    size_bytes: Ints
    times: int
    carried_bytes: Ints
    spans: Callable[[int], Iterable[Span]]
    adds: bool = False
    sums: bool = False
    beside: bool = False


def round_of(messages: Sequence[tuple[int, int, Sequence[tuple[int, int]]]], adds: bool) -> Round:
    """One round that is written out: sender, receiver and spans of bytes of each message."""
    kept = [m for m in messages if m[0] != m[1] and any(end > first for first, end in m[2])]
    sizes = np.array([sum(end - first for first, end in m[2]) for m in kept], np.int64)
    spans = [(i, first, end) for i, m in enumerate(kept) for first, end in m[2]]
    places = np.array([m[:2] for m in kept], np.int64).reshape(-1, 2)
    return Round(places[:, 0], places[:, 1], sizes, 1, sizes, lambda _: spans, adds)


def cuts(size_bytes: int, parts: int) -> Ints:
    """First byte of each of so many parts of a buffer, and its end, [parts + 1].

    The first parts are a byte longer where the size does not divide.
    """
    i = np.arange(parts + 1, dtype=np.int64)
    return i * (size_bytes // parts) + np.minimum(i, size_bytes % parts)


def buffer_bytes(collective: Collective) -> int:
    """Bytes that devices of a group have among them, each kind of content counted once.

    All-to-all: the blocks (from, to) of all pairs, row by row; other patterns: the whole buffer.
    """
    if collective.pattern != "all_to_all":
        return collective.size_bytes
    return int(block_cuts(collective)[-1])


def block_sizes(collective: Collective) -> Ints:
    """Bytes of each block of an all-to-all, [n, n], or [1, n] where all senders are alike."""
    n = collective.devices
    if collective.sent_bytes:
        return np.array(collective.sent_bytes, np.int64).reshape(n, n)
    return np.diff(cuts(collective.size_bytes, n)).reshape(1, n)


def block_cuts(collective: Collective) -> Ints:
    """First byte of each block (from, to) of an all-to-all in the common buffer, [n * n + 1]."""
    n = collective.devices
    sizes = np.broadcast_to(block_sizes(collective), (n, n)).ravel()
    return np.concatenate(([0], np.cumsum(sizes)))


@dataclass(frozen=True, eq=False)
class Site:
    """Where a collective runs.

    Attributes:
        fabric: the network.
        groups: device numbers of each group, in order along the axis; all have as many.
        step_ps: what a message costs its sender beside its way.
    """

    fabric: Fabric
    groups: Sequence[Sequence[int]]
    step_ps: int = 0


class Algorithm:
    """A way to carry out a collective.

    `PATTERNS` are those that it can carry out.
    """

    kind: ClassVar[str]
    PATTERNS: ClassVar[tuple[str, ...]]

    def fits(self, site: Site, collective: Collective) -> str | None:
        """Why it cannot run a collective of its patterns there; None if it can."""
        return None

    def rounds(self, site: Site, collective: Collective) -> tuple[Round, ...]:
        """The rounds of one group of two devices or more, places for devices; all do the same."""
        raise NotImplementedError

    def closed_form_ps(
        self,
        collective: Collective,
        latency_ps: float,
        bytes_per_s: float,
        dims: tuple[int, ...] = (),
    ) -> float:
        """Time on an idle network from latency and bandwidth alone.

        Args:
            collective: of two devices or more.
            latency_ps: from any device to any other, or to a neighbour where there are `dims`.
            bytes_per_s: of a device's one port, out and in, or of each of its links along `dims`.
            dims: extents of the group on a torus, or in each level of a hierarchy.
        """
        raise NotImplementedError


algorithms: Registry[Algorithm] = Registry("archsim.interconnect.collectives", Algorithm)
