"""What a loop nest moves, in closed form: elements by level and operand, remainders exact.

Every count follows from the rule in `nest`. Sums over tiles factor by rank: a rank of an operand
adds up to its extent (window ranks to the places that tiles reach), a rank of no interest counts
the iterations of its loops further out than the operand's innermost. Nothing is held at the
multiply-accumulate itself: it reads its operands from the innermost level that keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from archsim.ir.nest_ranks import OPERANDS, WINDOWS, Cut, axis_of, count, reached
from archsim.ir.op import Kind

if TYPE_CHECKING:
    from archsim.ir.nest import NestMapping


@dataclass(frozen=True, slots=True)
class Moved:
    """Elements read from and written to a level; at `network`, values sent and received."""

    reads: int = 0
    writes: int = 0

    def __add__(self, other: Moved) -> Moved:
        return Moved(self.reads + other.reads, self.writes + other.writes)


Traffic = dict[tuple[str, str], Moved]


def traffic(nest: NestMapping, case: Mapping[str, int]) -> Traffic:
    """Elements of one case by (level, operand), for the levels that keep it and the network.

    `network` lies between the elements and what feeds them. For inputs and weights a value is sent
    once however many elements receive it. Sums are sent by every element and received once: the
    array adds them on the way; sums that come back go to one element.
    """
    total: Traffic = {}
    for operand in OPERANDS:
        lower = [i for i, level in enumerate(nest.levels) if i and operand in level.keeps]
        for low in (*lower, len(nest.levels)):
            upper = nest.keeper(operand, low)
            for key, moved in _between(nest, case, operand, upper, low).items():
                total[key] = total.get(key, Moved()) + moved
    return total


def elements(nest: NestMapping, case: Mapping[str, int], operand: str) -> int:
    """Distinct elements of an operand that a case reaches."""
    return _sum(nest, case, operand, dict.fromkeys(case, ()), together=True)


def _between(
    nest: NestMapping, case: Mapping[str, int], operand: str, upper: int, low: int
) -> Traffic:
    """Moves between a keeper and the next one further in (past the last level: the MACs)."""
    cuts = _cuts(nest, operand, low)
    names = [level.name for level in nest.levels]
    above = names[upper]
    below = names[low] if low < len(names) else ""
    networked = above != "registers" and below in ("registers", "")
    sent = _sum(nest, case, operand, cuts, together=above != "registers")
    received = _sum(nest, case, operand, cuts, together=False) if networked else sent
    found: Traffic = {}
    if operand != "out":
        found[above, operand] = Moved(reads=sent)
        if networked:
            found["network", operand] = Moved(sent, received)
        if below:
            found[below, operand] = Moved(writes=received)
        return found
    # each output begins at zero once; whatever leaves before the end of its sum comes back
    back = sent - (elements(nest, case, "out") if above != "registers" else 0)
    if above == "registers":
        return {(above, "out"): Moved(reads=sent - _begun(nest, case), writes=sent)}
    found[above, "out"] = Moved(reads=back, writes=sent)
    if networked:
        found["network", "out"] = Moved(received + back, sent + back)
    if below:
        found[below, "out"] = Moved(reads=received, writes=back)
    return found


def _begun(nest: NestMapping, case: Mapping[str, int]) -> int:
    """Sums that begin at zero in some element's registers: their first product reads nothing."""
    level = [i.name for i in nest.levels].index("registers")
    cuts = _cuts(nest, "out", level)
    every = _sum(nest, case, "out", cuts, together=False)
    back = _sum(nest, case, "out", cuts, together=True) - elements(nest, case, "out")
    return every - back


def _cuts(nest: NestMapping, operand: str, low: int) -> dict[str, tuple[Cut, ...]]:
    """By rank, the loops that decide when a tile at a level (or at the MACs) is fetched."""
    outer = [loop for loop in nest.loops if loop.level < low]
    own = nest.relevant[operand]
    steps = [i for i, loop in enumerate(outer) if not loop.axis and loop.rank in own]
    inner = steps[-1] if steps else -1
    if low == len(nest.levels):  # nothing is held at a multiply-accumulate
        inner = len(outer)
    cuts: dict[str, list[Cut]] = {rank: [] for rank in nest.ranks}
    for i, loop in enumerate(outer):
        how = "at once" if loop.axis else "in turn" if i <= inner else "held"
        cuts[loop.rank].append((loop.tile, how))  # type: ignore[arg-type]
    return {rank: tuple(some) for rank, some in cuts.items()}


def _sum(
    nest: NestMapping,
    case: Mapping[str, int],
    operand: str,
    cuts: Mapping[str, tuple[Cut, ...]],
    *,
    together: bool,
) -> int:
    """Elements over all fetches of an operand.

    Args:
        nest: the mapping.
        case: extents.
        operand: in, weight or out.
        cuts: loops by rank.
        together: what several elements need at once counts once; else for each of them.
    """
    op, own = nest.problem.op, nest.relevant[operand]
    windows = WINDOWS if op.kind is Kind.CONV and operand == "in" else ()
    paired = {rank for pair in windows for rank in pair}
    total = prod(
        case[rank] if rank in own else count(case[rank], cuts[rank], lockstep=together)
        for rank in case
        if rank not in paired
    )
    for i, (o, t) in enumerate(windows):
        axis = axis_of(op, height=i == 0)
        total *= reached(axis, (case[o], cuts[o]), (case[t], cuts[t]), together=together)
    return total
