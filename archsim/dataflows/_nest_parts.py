"""What templates for spatial arrays are made of: ranks by meaning, unrolling, what registers keep.

Here lives what the templates share about the levels inside the array; the sizes of buffer tiles
and the order of the loops around them are found in `_nest_fit`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, prod
from typing import TYPE_CHECKING

from archsim.ir.nest import NestLevel, NestLoop
from archsim.ir.nest_ranks import OPERANDS, REDUCED, RELEVANT, WINDOWS, largest_extents
from archsim.ir.op import Kind
from archsim.ir.problem import Problem

if TYPE_CHECKING:
    from archsim.ir.nest_check import NestTarget

Inner = tuple[NestLevel, NestLevel]  # the levels "buffer" and "registers"
Extents = Mapping[str, int]
# a product is a convolution of one tap on images one row high: its batch are groups
AS_CONV = {"G": "B", "OW": "M", "OC": "N", "IC": "K"}


def names(problem: Problem, *ranks: str) -> tuple[str, ...]:
    """A convolution's ranks as the op names them; those that it does not have are left out."""
    if problem.op.kind is Kind.CONV:
        return ranks
    return tuple(AS_CONV[r] for r in ranks if r in AS_CONV)


def divisors(n: int) -> list[int]:
    """Divisors in order."""
    return [d for d in range(1, n + 1) if n % d == 0]


def unroll(e: Extents, ranks: Iterable[str], axis: str, room: int) -> list[tuple[str, int, str]]:
    """Ranks over an axis, the first as far as it goes, the next over what is left: (rank, steps).

    Steps are evened out: 9 over 8 cells are two passes of 5 and 4, not of 8 and 1.
    """
    found = []
    for rank in ranks:
        steps = min(e[rank], room)
        if steps > 1:
            steps = ceil(e[rank] / ceil(e[rank] / steps))
            found.append((rank, steps, axis))
            room //= steps
    return found


def nest(
    problem: Problem,
    order: Sequence[str],
    spatial: Sequence[tuple[str, int, str]],
    held: Mapping[str, int],
    keeps: Iterable[str],
    target: NestTarget,
) -> Inner:
    """The two inner levels of plain unrolling.

    Args:
        problem: the op.
        order: ranks of the buffer's loops in time, outermost first.
        spatial: (rank, steps, axis), outermost first.
        held: extent of an element's tile, by rank; 1 where it is not given.
        keeps: operands that the registers keep.
        target: the array; its instances share the rank that they divide best.
    """
    e = largest_extents(problem.op)
    covered = {r: held.get(r, 1) * prod(n for s, n, _ in spatial if s == r) for r in e}
    summed = REDUCED[problem.op.kind]
    loops = passes({r: (e[r], covered[r]) for r in order}, summed, target.axes["count"])
    rest = dict(covered)
    for rank, steps, axis in spatial:
        rest[rank] //= steps
        loops.append(NestLoop(rank, rest[rank], axis))
    inside = tuple(NestLoop(r, 1) for r in order if rest[r] > 1)
    buffer = NestLevel("buffer", frozenset(OPERANDS), tuple(loops))
    return buffer, NestLevel("registers", frozenset(keeps), inside)


def passes(
    ranks: Mapping[str, tuple[int, int]], summed: Iterable[str], count: int
) -> list[NestLoop]:
    """The buffer's loops over passes, and one over the instances that share those of a rank.

    Args:
        ranks: extent, and what a pass covers of it, by rank; outermost first.
        summed: ranks of the reduction, which instances do not share.
        count: instances.
    """
    steps = {r: ceil(e / covered) for r, (e, covered) in ranks.items() if r not in set(summed)}
    shared = min(steps, key=lambda r: ceil(steps[r] / count) / steps[r])
    among = min(count, steps[shared])
    loops = [NestLoop(r, n * (among if r == shared else 1)) for r, (_, n) in ranks.items()]
    if among > 1:
        loops.append(NestLoop(shared, ranks[shared][1], "count"))
    return loops


def kept(problem: Problem, target: NestTarget, held: Extents, first: str) -> list[str]:
    """Operands whose tile the registers of an element have room for, `first` before the others."""
    found, used = [], 0.0
    for operand in sorted(OPERANDS, key=lambda o: o != first):
        size = held_bytes(problem, held, operand)
        room = target.register_bytes
        free = room - used if isinstance(room, int) else room.get(operand, 0)
        if size <= free:
            found.append(operand)
            used += size
    return found


def held_bytes(problem: Problem, held: Extents, operand: str) -> float:
    """Bytes of an element's tile of an operand; of the output as partial sums.

    Taps beside each other reach inputs a dilation apart: as many elements as outputs x taps at
    most, and a window of each axis otherwise.
    """
    own = RELEVANT[problem.op.kind][operand]
    window = problem.op.window if operand == "in" else None
    paired = {rank for pair in WINDOWS for rank in pair} if window else set()
    size = prod(held.get(r, 1) for r in own - paired)
    if window:
        for axis, pair in enumerate(WINDOWS):
            outs, taps = (held.get(r, 1) for r in pair)
            span = (outs - 1) * window.stride[axis] + (taps - 1) * window.dilation[axis] + 1
            size *= min(span, outs * taps)
    bits = {"in": problem.bits["in"], "weight": problem.weight_bits, "out": problem.bits["partial"]}
    return size * bits[operand] / 8
