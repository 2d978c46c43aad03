"""Tile sizes, loop order and held operands of a MAC op, by closed-form cost of all candidates.

Every candidate is one element of numpy arrays (what it costs is in `_search_cost`). The choice is
the least time (or least array cycles first, where a rule asks for it), ties by traffic, then by
number of tiles, then by position, so that it never depends on anything but the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from itertools import accumulate, pairwise, permutations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archsim.core.asked import Asked
from archsim.core.errors import Unmappable
from archsim.core.units import format_bytes
from archsim.dataflows._grid import OPERANDS, Grid, grid
from archsim.dataflows._search_cost import Candidates, Nest, Nests, candidates, times_s
from archsim.ir.mapping import REUSED, Buffer, Mapping
from archsim.ir.problem import Problem
from archsim.ir.target import Target

if TYPE_CHECKING:
    from archsim.dataflows.base import Dataflow

Ints = NDArray[np.int64]
SIZES = (1 << 30, 16, 1)  # of tiles: the array's size, and below it where no other fits
TOLERANCE = 1.005  # times this close are equal: the closed form is no finer
AT_ONCE = 1 << 15  # candidates whose cost is one array: what the caches of a core hold
KEPT = 128  # searches of no more than those, 70 to 900 KB each (measured), 2.4 MB at most

Key = tuple[float, ...]
Found = tuple[Candidates, tuple[int, ...]]  # those of each template end where the numbers say
Choice = tuple[Key, Callable[[], Mapping]]  # what a mapping was chosen by, and what makes it
Slots = dict[tuple[str, frozenset[str] | None, int], Ints]  # by operand, ranks held over, spares


def choose(flow: Dataflow, problem: Problem, target: Target) -> tuple[Key, Mapping]:
    """The best mapping of a template for a problem on a target, and what it was chosen by.

    Raises:
        Unmappable: when not even the smallest tiles fit the buffer.
    """
    for smallest in SIZES:  # tiles below the array's size only where no other fits
        if found := _best_of_each([flow], problem, target, smallest)[0]:
            key, make = found
            return key, make()
    raise _misfit(flow, problem, target)


def choose_each(flows: Sequence[Dataflow], problem: Problem, target: Target) -> list[Choice | None]:
    """What `choose` finds for each template; None where that takes tiles below the array's size."""
    return _best_of_each(flows, problem, target, SIZES[0])


def _best_of_each(
    flows: Sequence[Dataflow], problem: Problem, target: Target, smallest: int
) -> list[Choice | None]:
    """The best mapping of each template; all are weighed at once.

    What no rate changes is kept for the next machine whose arrays and buffers are alike.
    """
    of = grid(flows, problem, target, smallest)
    found, ends = _found(problem, target, of)
    time_s = times_s(target, of, found)
    best: list[Choice | None] = []
    for flow, (low, high) in zip(flows, pairwise((0, *ends)), strict=True):
        own = slice(low, high)
        some = low < high
        best.append(
            _pick(flow, problem, target, of, found.part(own), time_s[own]) if some else None
        )
    return best


def _found(problem: Problem, target: Target, of: Grid) -> Found:
    """Candidates, template after template, and where those of each end."""
    made = partial(_each, problem, target, of)
    if of.content is None or len(of.tiles) * len(nests(spares(target)).table) > AT_ONCE:
        return made()
    operands = tuple(sorted(target.operand_bytes.items()))
    content = (
        of.content, target.depth, target.weights_first, target.buffer_bytes, target.fused_bits,
        operands,
    )  # fmt: skip
    return _kept(Asked.of(content, made))


@lru_cache(maxsize=KEPT)
def _kept(asked: Asked[Found]) -> Found:
    return asked.answer()


def _each(problem: Problem, target: Target, of: Grid) -> Found:
    every = nests(spares(target))
    rows = max(1, AT_ONCE // len(of.tiles))
    found = Candidates.joined(
        [
            candidates(problem, target, of, every.part(low, low + rows), low)
            for low in range(0, len(every.table), rows)
        ]
    )
    own = [np.flatnonzero((found.at >= low) & (found.at < high)) for low, high in of.parts]
    ends = tuple(accumulate(map(len, own)))
    return (found if len(own) == 1 else found.part(np.concatenate(own))), ends


def _misfit(flow: Dataflow, problem: Problem, target: Target) -> Unmappable:
    """The refusal of a problem of which no tile fits: it names the room that is too small."""
    e = problem.largest
    for operand, most in sorted(target.operand_bytes.items()):
        if (least := _least_room(flow, problem, target, operand)) > most:
            return Unmappable(
                f"{problem.op.name}: tiles of {operand} take {least} bytes or more, and "
                f"{target.engine} has {most} for them",
                code="E401",
                help=f"engines.{target.engine}.operands.{operand}: {format_bytes(least)} or more",
                details={"path": f"engines.{target.engine}.operands.{operand}"},
            )
    return Unmappable(
        f"{problem.op.name}: no tile of {e.m} x {e.n} x {e.k} fits the "
        f"{target.buffer_bytes} bytes that are free on chip",
        code="E401",
        help="a larger on-chip memory, or fewer activations held there",
    )


def _least_room(flow: Dataflow, problem: Problem, target: Target, operand: str) -> int:
    """Bytes of the tiles of an operand that are on chip at once, at the very least."""
    of = grid([flow], problem, target, SIZES[-1])
    known: Slots = {}
    return min(
        int((of.sizes[operand] * slots).min())
        for order in permutations("mnk")
        for keep in keeps(order)
        for spare in spares(target)
        for slots in [slots_of(operand, order, keep, of.tiles, of.steps, spare, known)]
    )


def spares(target: Target) -> tuple[int, ...]:
    """Tiles beside those in use; none as a last resort where cycles come first."""
    spare = target.depth - 1
    return (spare, 0) if target.objective == "compute" and spare else (spare,)


def _pick(
    flow: Dataflow,
    problem: Problem,
    target: Target,
    of: Grid,
    found: Candidates,
    time_s: NDArray[np.float64],
) -> Choice:
    """The fastest; of those within half a percent of it, the one with the fewest tiles.

    Where operands have memories apart, it is the one with the least traffic: those bound the tiles.
    With the objective `compute`: fewest array cycles, then folds, then least traffic, then fewest
    tiles. An array of one cell has no fill, so there cycles alone do not tell folds apart.
    """
    cycles, traffic, tiles = found.cycles, found.traffic, of.tiles[found.at]
    if target.objective == "compute":
        place = _first(cycles, found.folds, traffic, tiles, time_s)
    else:
        ties = (traffic, tiles) if target.operand_bytes else (tiles, traffic)
        place = _first(time_s > TOLERANCE * time_s.min(), *ties, time_s)
    first = float(cycles[place]) if target.objective == "compute" else 0.0
    key = (first, float(time_s[place]), float(traffic[place]), float(tiles[place]))
    nest, at = nests(spares(target)).table[int(found.nest[place])], int(found.at[place])
    return key, partial(_mapping, flow, problem, target, of, nest, at)


def _mapping(
    flow: Dataflow, problem: Problem, target: Target, of: Grid, nest: Nest, at: int
) -> Mapping:
    """The mapping at a place of a grid."""
    order, keep, spare = nest
    tile = {r: int(v[at]) for r, v in of.tile.items()}
    sizes = {t: int(v[at]) for t, v in of.sizes.items()}
    tiles, steps = of.tiles[at : at + 1], {r: v[at : at + 1] for r, v in of.steps.items()}
    slots = {t: int(slots_of(t, order, keep, tiles, steps, spare, Slots())[0]) for t in OPERANDS}
    return built(flow, problem, target, order, keep, tile, sizes, slots, spare)


def _first(*keys: NDArray[Any]) -> int:
    """Place of the least by the first key, then by the next ones, then by position."""
    rest = np.arange(len(keys[0]))
    for key in keys:
        some = key[rest]
        rest = rest[some == some.min()]
    return int(rest[0])


def built(
    flow: Dataflow,
    problem: Problem,
    target: Target,
    order: tuple[str, ...],
    keep: frozenset[str],
    tile: dict[str, int],
    sizes: dict[str, int],
    slots: dict[str, int],
    spare: int,
) -> Mapping:
    """The mapping of one choice; `sizes` and `slots` are the room of each operand."""
    buffers = {t: Buffer(sizes[t], slots[t]) for t in OPERANDS if sizes[t]}
    if "out" not in keep and tile["k"] < problem.largest.k:
        buffers["partial"] = Buffer(sizes["out"], slots["out"] + 1 + spare)
    return Mapping(
        problem=problem,
        engine=target.engine,
        dataflow=flow.kind,
        stationary=flow.stationary,
        order=("b", *order),
        tile=tile,
        keep=keep,
        buffers=buffers,
        spatial=flow.spatial(tile, target),
    )


@cache
def nests(spare: tuple[int, ...]) -> Nests:
    """Every loop order with what it may hold, and with so many tiles beside those in use."""
    return Nests.of(
        [
            (order, keep, some)
            for order in permutations("mnk")
            for keep in keeps(order)
            for some in spare
        ]
    )


def keeps(order: tuple[str, ...]) -> list[frozenset[str]]:
    """Which operands may be held; one whose loop is innermost is held for nothing."""
    free = frozenset(t for t in OPERANDS if REUSED[t] == order[-1])
    rest = [t for t in OPERANDS if t not in free]
    subsets = [frozenset(s for i, s in enumerate(rest) if mask >> i & 1) for mask in range(4)]
    return [free | s for s in subsets]


def slots_of(
    operand: str,
    order: tuple[str, ...],
    keep: frozenset[str],
    tiles: Ints,
    steps: dict[str, Ints],
    spare: int,
    known: Slots,
) -> Ints:
    """Tiles on chip at once: those held, and one more that is filled meanwhile if there is one."""
    rank = REUSED[operand]
    inside = frozenset(order[order.index(rank) + 1 :]) if operand in keep else None
    if (operand, inside, spare) not in known:
        held = np.ones_like(tiles)
        for inner in sorted(inside or ()):
            held = held * steps[inner]
        every = tiles if inside is None else tiles // steps[rank]
        known[operand, inside, spare] = np.where(every > held, held + spare, held)
    return known[operand, inside, spare]
