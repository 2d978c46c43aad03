"""What one tile of the buffer moves inside the array, in elements: the closed form, tile by tile.

Added up over all tiles this is exactly what `ir.nest_traffic` says of the whole nest. Tiles of a
convolution differ where their windows reach padding, so a tile knows where it lies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from archsim.ir.nest import NestMapping, Placed
from archsim.ir.nest_ranks import OPERANDS, WINDOWS, Axis, Cut, axis_of, count, reached
from archsim.ir.nest_traffic import Moved, Traffic
from archsim.ir.op import Kind


@dataclass(frozen=True)
class Tile:
    """One tile of the buffer, or many that are alike.

    Attributes:
        size: extent by rank.
        low: first index by rank, of ranks whose windows reach padding; 0 for others.
        first, last: by rank, whether it is the first or last step of the rank's loop.
        case: ragged case.
        opens_op: the first of all.
    """

    size: Mapping[str, int]
    low: Mapping[str, int]
    first: Mapping[str, bool]
    last: Mapping[str, bool]
    case: int
    opens_op: bool


class NestCounts:
    """Counts of the tiles of one nest."""

    def __init__(self, nest: NestMapping) -> None:
        self.nest = nest
        op = nest.problem.op
        self.windows = WINDOWS if op.kind is Kind.CONV else ()
        self.axes = [axis_of(op, height=i == 0) for i, _ in enumerate(self.windows)]

    def clipped(self, rank: str, low: int, size: int) -> bool:
        """True where windows of outputs of a rank, with all their taps, reach beyond the input."""
        for (outs, taps), (stride, dilation, pad, extent) in zip(
            self.windows, self.axes, strict=True
        ):
            if rank == outs:
                begin = low * stride - pad
                end = (low + size - 1) * stride + (self.nest.ranks[taps] - 1) * dilation - pad
                return begin < 0 or end >= extent
            if rank == taps:
                return True
        return False

    def elements(self, tile: Tile, operand: str) -> int:
        """Distinct elements of an operand that a tile reaches."""
        return self._sum(tile, operand, dict.fromkeys(tile.size, ()), together=True)

    def opens(self, tile: Tile) -> bool:
        """The first tile of the reduction of its outputs."""
        return all(tile.first[r] for r in self.nest.order if r in self.nest.reduced)

    def closes(self, tile: Tile) -> bool:
        """The last tile of the reduction of its outputs."""
        return all(tile.last[r] for r in self.nest.order if r in self.nest.reduced)

    def inside(self, tile: Tile) -> Traffic:
        """Elements by (level, operand) from what feeds the array to the multiply-accumulates."""
        total: Traffic = {}
        levels = self.nest.levels
        for operand in OPERANDS:
            keepers = [i for i in range(1, len(levels)) if operand in levels[i].keeps]
            if operand not in levels[1].keeps:  # it passes by: DRAM feeds the array itself
                keepers.insert(0, 0)
            for upper, low in zip(keepers, [*keepers[1:], len(levels)], strict=True):
                for key, moved in self._between(tile, operand, upper, low).items():
                    total[key] = total.get(key, Moved()) + moved
        return total

    def _between(self, tile: Tile, operand: str, upper: int, low: int) -> Traffic:
        names = [level.name for level in self.nest.levels]
        above, below = names[upper], names[low] if low < len(names) else ""
        networked = above != "registers"
        cuts, stays = self._cuts(operand, low)
        moves = self.nest.moves(operand, dict(tile.first), dict(tile.last))
        enters, leaves = (moves.enter, moves.leave) if stays else (True, True)
        sent = self._sum(tile, operand, cuts, together=networked)
        received = self._sum(tile, operand, cuts, together=False) if networked else sent
        if operand != "out":
            return self._loaded(operand, above, below, sent * enters, received * enters)
        begun = self.elements(tile, "out") if self.opens(tile) else 0
        if not networked:
            return {(above, "out"): Moved(sent - self._begun(tile, upper), sent)}
        back = (sent - begun) * enters
        if stays and leaves:  # every element that has added to the sums since they entered sends
            received = self._sum(self._whole(tile), operand, cuts, together=False)
        sent, received = sent * leaves, received * leaves
        found = {
            (above, "out"): Moved(back, sent),
            ("network", "out"): Moved(received + back, sent + back),
        }
        if below:
            found[below, "out"] = Moved(received, back)
        return found

    def _whole(self, tile: Tile) -> Tile:
        """A tile with the largest extents that it had while its sums stayed."""
        case, full = self.nest.cases[tile.case], self.nest.tile
        size = {r: min(case[r], full[r]) for r in self.nest.held_over("out")}
        return replace(tile, size={**tile.size, **size})

    def _loaded(self, operand: str, above: str, below: str, sent: int, received: int) -> Traffic:
        found = {(above, operand): Moved(reads=sent)}
        if above != "registers":
            found["network", operand] = Moved(sent, received)
        if below:
            found[below, operand] = Moved(writes=received)
        return found

    def _begun(self, tile: Tile, level: int) -> int:
        """Sums that begin at zero in an element's registers: their first product reads nothing."""
        cuts, stays = self._cuts("out", level)
        moves = self.nest.moves("out", dict(tile.first), dict(tile.last))
        if stays and not moves.enter:
            return 0
        every = self._sum(tile, "out", cuts, together=False)
        back = self._sum(tile, "out", cuts, together=True)
        return every - back + (self.elements(tile, "out") if self.opens(tile) else 0)

    def _cuts(self, operand: str, low: int) -> tuple[dict[str, tuple[Cut, ...]], bool]:
        """By rank, the loops inside the buffer's tile that decide when a tile is fetched.

        And whether none does, so that it stays while tiles of the buffer step.
        """
        loops: list[Placed] = [loop for loop in self.nest.loops if 1 <= loop.level < low]
        own = self.nest.relevant[operand]
        steps = [i for i, loop in enumerate(loops) if not loop.axis and loop.rank in own]
        innermost = steps[-1] if steps else -1
        macs = low == len(self.nest.levels)
        cuts: dict[str, list[Cut]] = {rank: [] for rank in self.nest.ranks}
        for i, loop in enumerate(loops):
            turn = macs or i <= innermost
            how = "at once" if loop.axis else "in turn" if turn else "held"
            cuts[loop.rank].append((loop.tile, how))  # type: ignore[arg-type]
        return {rank: tuple(some) for rank, some in cuts.items()}, not steps and not macs

    def _sum(
        self, tile: Tile, operand: str, cuts: Mapping[str, tuple[Cut, ...]], *, together: bool
    ) -> int:
        own = self.nest.relevant[operand]
        windows = self.windows if operand == "in" else ()
        paired = {rank for pair in windows for rank in pair}
        total = prod(
            size if rank in own else count(size, cuts[rank], lockstep=together)
            for rank, size in tile.size.items()
            if rank not in paired
        )
        for (o, t), axis in zip(windows, self.axes, strict=False):
            here = self._moved(axis, tile, o, t)
            outputs, taps = (tile.size[o], cuts[o]), (tile.size[t], cuts[t])
            total *= reached(here, outputs, taps, together=together)
        return total

    def _moved(self, axis: Axis, tile: Tile, outs: str, taps: str) -> Axis:
        """The axis as it lies around a tile; far from either end all tiles see the same."""
        stride, dilation, pad, extent = axis
        begin = tile.low[outs] * stride + tile.low[taps] * dilation - pad
        end = begin + (tile.size[outs] - 1) * stride + (tile.size[taps] - 1) * dilation
        if begin >= 0 and end < extent:
            return stride, dilation, 0, end - begin + 1
        return stride, dilation, -begin, extent
