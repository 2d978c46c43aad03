"""Collectives along one dimension of a group after the other, of several parts side by side.

A group of e0 x e1 x ... devices, the fastest first, reduces along one dimension, then what is left
of it along the next, and gathers the other way round; an all-to-all goes to the right place along
each dimension in turn. Parts differ in the dimension that they begin with and in their way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from archsim.interconnect.collectives.base import Round, Span, block_cuts, block_sizes, cuts
from archsim.interconnect.fabric import Ints
from archsim.ir.collective import Collective


@dataclass(frozen=True)
class Part:
    """One part of the buffer: of every block the bytes between two shares of it.

    Attributes:
        first, end, of: the shares, as first / of and end / of.
        order: dimensions in the order in which a reduction goes along them.
        way: 1 or -1, the way round each.
    """

    first: int
    end: int
    of: int
    order: tuple[int, ...]
    way: int = 1

    def sizes(self, blocks: Ints) -> Ints:
        """Bytes of blocks of such sizes that are the part's."""
        return np.asarray(blocks * self.end // self.of - blocks * self.first // self.of, np.int64)


@dataclass(frozen=True, eq=False)
class Nested:
    """Rounds of a group of such extents.

    Attributes:
        collective: all-reduce, all-gather, reduce-scatter or all-to-all.
        extents: of the group, the fastest first.
        parts: of the buffer, side by side.
    """

    collective: Collective
    extents: tuple[int, ...]
    parts: tuple[Part, ...]

    def rounds(self) -> tuple[Round, ...]:
        """Dimension by dimension, each with all parts."""
        if self.collective.pattern == "all_to_all":
            return tuple(self._dealt(phase) for phase in range(len(self.extents)))
        found: list[Round] = []
        if self.collective.pattern != "all_gather":
            for phase in range(len(self.extents)):
                found += self._turns(phase, adds=True)
        if self.collective.pattern != "reduce_scatter":
            for phase in reversed(range(len(self.extents))):
                found += self._turns(phase, adds=False)
        return tuple(found)

    @cached_property
    def places(self) -> Ints:
        """Place of each device along each dimension, [dims, n]."""
        n = int(np.prod(self.extents))
        return np.array(np.unravel_index(np.arange(n), self.extents, order="F"), np.int64)

    @cached_property
    def edges(self) -> Ints:
        """First byte of the block of each device and the end, [n + 1]."""
        return cuts(self.collective.size_bytes, self.collective.devices)

    def slice_of(self, part: Part, first: int, end: int) -> tuple[int, int]:
        """The part's bytes of a block, from the first to the end."""
        size = end - first
        return first + size * part.first // part.of, first + size * part.end // part.of

    def _along(self, part: Part, phase: int, to: Ints) -> Ints:
        """Devices that lie `to` places along the part's dimension in a phase, [n]."""
        places = self.places.copy()
        places[part.order[phase]] = to
        return np.asarray(np.ravel_multi_index(list(places), self.extents, order="F"), np.int64)

    def _held(self, part: Part, phase: int) -> Ints:
        """Key of the set that a block is part of in a phase, as devices tell sets apart, [n].

        Two blocks are in one set if they lie alike along the dimensions up to that of the phase.
        """
        seen = np.zeros(self.places.shape[1], np.int64)
        for dim in part.order[: phase + 1]:
            seen = seen * self.extents[dim] + self.places[dim]
        return seen

    def _turns(self, phase: int, adds: bool) -> list[Round]:
        """Rings along each part's dimension, those of one dimension in a round.

        Rings along different dimensions share no links: their rounds go on side by side.
        """
        found: list[Round] = []
        for dim in dict.fromkeys(part.order[phase] for part in self.parts):
            going = [p for p in self.parts if p.order[phase] == dim]
            found.append(self._rings(going, phase, adds, beside=bool(found)))
        return found

    def _rings(self, parts: list[Part], phase: int, adds: bool, *, beside: bool) -> Round:
        """All steps of the rings of some parts along one dimension."""
        n, dim = self.collective.devices, parts[0].order[phase]
        steps = self.extents[dim] - 1
        src, dst, most, sums = [], [], [], []
        for part in parts:
            key, size = self._held(part, phase), self._part_sizes(part)
            total = np.bincount(key, size).astype(np.int64)
            sent = np.stack([total[key[self._sent(part, phase, t, adds)]] for t in range(steps)])
            src.append(np.arange(n, dtype=np.int64))
            here = (self.places[dim] + part.way) % self.extents[dim]
            dst.append(self._along(part, phase, here))
            most.append(sent.max(0))
            sums.append(sent.sum(0))

        def spans(step: int) -> Iterator[Span]:
            for nth, part in enumerate(parts):
                key = self._held(part, phase)
                sent = key[self._sent(part, phase, step, adds)]
                for i in range(n):
                    for block in np.flatnonzero(key == sent[i]):
                        yield (nth * n + i, *self._block(part, int(block)))

        join = np.concatenate
        return Round(join(src), join(dst), join(most), steps, join(sums), spans, adds,
                     beside=beside)  # fmt: skip

    def _sent(self, part: Part, phase: int, step: int, adds: bool) -> Ints:
        """A device whose set each device sends in a step of a ring, [n]."""
        dim = part.order[phase]
        along = (self.places[dim] - part.way * (step + adds)) % self.extents[dim]
        return self._along(part, phase, along)

    def _block(self, part: Part, block: int) -> tuple[int, int]:
        return self.slice_of(part, int(self.edges[block]), int(self.edges[block + 1]))

    def _part_sizes(self, part: Part) -> Ints:
        """Bytes of each device's block that are the part's, [n]."""
        return part.sizes(np.diff(self.edges))

    def _dealt(self, phase: int) -> Round:
        """All-to-all: each device deals what it holds to those along each part's dimension."""
        n = self.collective.devices
        src, dst, size, held = [], [], [], []
        whole = block_sizes(self.collective)
        for part in self.parts:
            dim = part.order[phase]
            sizes = part.sizes(whole)
            before, after = self._split(part, phase)
            for step in range(1, self.extents[dim]):
                to = self._along(part, phase, (self.places[dim] + step) % self.extents[dim])
                src.append(np.arange(n, dtype=np.int64))
                dst.append(to)
                size.append(_sums(sizes, before, after, to))
                held.append((part, before, after, to))

        def spans(_: int) -> Iterator[Span]:
            blocks = block_cuts(self.collective)
            for nth, (part, before, after, to) in enumerate(held):
                for i in range(n):
                    for s in np.flatnonzero(before == before[i]):
                        for t in np.flatnonzero(after == after[to[i]]):
                            edge = int(s) * n + int(t)
                            ends = (int(blocks[edge]), int(blocks[edge + 1]))
                            yield (nth * n + i, *self.slice_of(part, *ends))

        total = np.concatenate(size)
        return Round(np.concatenate(src), np.concatenate(dst), total, 1, total, spans)

    def _split(self, part: Part, phase: int) -> tuple[Ints, Ints]:
        """Keys of devices by what a phase holds of the senders, and sends by receiver, [n] each.

        A device holds blocks whose sender lies as it does along the dimensions from the phase's on,
        and whose receiver does along those before it; it sends them on by the phase's dimension.
        """
        n = self.collective.devices
        before, after = np.zeros(n, np.int64), np.zeros(n, np.int64)
        for dim in part.order[phase:]:
            before = before * self.extents[dim] + self.places[dim]
        for dim in part.order[: phase + 1]:
            after = after * self.extents[dim] + self.places[dim]
        return before, after


def _sums(sizes: Ints, before: Ints, after: Ints, to: Ints) -> Ints:
    """Bytes of each device's message: from the senders alike to it to the receivers alike to `to`.

    Args:
        sizes: of each block, [senders, receivers], or [1, receivers] where senders are alike.
        before: keys of senders, [n].
        after: keys of receivers, [n].
        to: who gets it, [n].
    """
    rows, columns = int(before.max()) + 1, int(after.max()) + 1
    if len(sizes) == 1:
        by_sender = np.bincount(before, minlength=rows)
        by_receiver = np.bincount(after, sizes[0], columns).astype(np.int64)
        return np.asarray(by_sender[before] * by_receiver[after[to]], np.int64)
    key = before[:, None] * columns + after[None, :]
    table = np.bincount(key.ravel(), sizes.ravel(), rows * columns).astype(np.int64)
    return np.asarray(table[before * columns + after[to]])
