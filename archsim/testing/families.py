"""The kinds of mapping that are verified: how their steps are read and changed, what runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from random import Random
from typing import Any

from archsim.ir.flash import FlashMapping, FlashStep
from archsim.ir.mapping import REUSED, Moves, Step
from archsim.ir.mapping import Mapping as MatrixMapping
from archsim.ir.moved import moved_bytes
from archsim.ir.nest import NestLevel, NestMapping
from archsim.ir.nest_check import NestTarget
from archsim.ir.nest_walk import NestStep
from archsim.testing.functional import UnsoundMappingError, execute, executed_bytes
from archsim.testing.functional_attention import execute_attention
from archsim.testing.functional_nest import claimed, execute_nest

Range = tuple[int, int]


def changed(mapping: Any, **methods: Callable[..., Any]) -> Any:
    """The same mapping with methods replaced."""
    kind = type("Mutant", (type(mapping),), methods)
    mutant: Any = object.__new__(kind)
    for one in fields(mapping):
        object.__setattr__(mutant, one.name, getattr(mapping, one.name))
    return mutant


@dataclass(frozen=True)
class Family:
    """One kind of mapping.

    Attributes:
        name: of the kind.
        operands: those whose tiles enter and leave.
        verify: (mapping, the one it is charged as, seed): raises where it is unsound.
        ranges: index ranges of a step, by rank.
        with_range: a step with one range replaced.
        tile: what an operand's tile is at a step.
        moves: whether an operand enters and leaves at a step; None where it never does.
        with_moves: a step at which an operand moves otherwise.
        sums: whether the sums of a step open and close there.
        with_sum: a step whose sums open or close otherwise.
        hooks: methods that a mutant needs for steps that were changed.
        own: mistakes that only this kind can have, as generators of mutants.
    """

    name: str
    operands: tuple[str, ...]
    verify: Callable[[Any, Any, int], None]
    ranges: Callable[[Any], Mapping[str, Range]]
    with_range: Callable[[Any, str, Range], Any]
    tile: Callable[[Any, Any, str], object]
    moves: Callable[[Any, Any, str], Moves | None]
    with_moves: Callable[[Any, Any, str, Moves], Any]
    sums: Callable[[Any], Mapping[str, bool]]
    with_sum: Callable[[Any, str, bool], Any]
    hooks: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    own: Mapping[str, Callable[[Any, Random], Iterator[Any]]] = field(default_factory=dict)


class _Forced(dict[str, bool]):
    """Flags of a step with the moves that were put into it."""

    forced: dict[str, Moves]


def _forced_moves(
    self: MatrixMapping, operand: str, first: dict[str, bool], last: dict[str, bool]
) -> Moves:
    if isinstance(first, _Forced) and operand in first.forced:
        return first.forced[operand]
    return MatrixMapping.moves(self, operand, first, last)


def _matrix_verify(mapping: MatrixMapping, charged: MatrixMapping, seed: int) -> None:
    entered, moved = execute(mapping, seed), executed_bytes(mapping, seed)
    if moved != moved_bytes(charged):
        raise UnsoundMappingError(f"{moved} bytes moved, {moved_bytes(charged)} are charged")
    for operand, tiles in entered.items():
        want = sum(charged.transfers(operand, e) for e in charged.problem.cases)
        if tiles != want:
            raise UnsoundMappingError(f"{operand}: {tiles} tiles entered, {want} are charged")


def _matrix_with_moves(mapping: MatrixMapping, step: Step, operand: str, moves: Moves) -> Step:
    first = _Forced(step.first)
    first.forced = {operand: moves}
    return replace(step, first=first)


def _matrix_with_sum(step: Step, which: str, value: bool) -> Step:
    name = "first" if which == "opens" else "last"
    return replace(step, **{name: {**getattr(step, name), "k": value}})


MATRIX = Family(
    name="matrix",
    operands=("in", "weight", "out"),
    verify=_matrix_verify,
    ranges=lambda step: step.ranges,
    with_range=lambda step, rank, to: replace(step, ranges={**step.ranges, rank: to}),
    tile=lambda mapping, step, operand: [step.ranges[r] for r in "bmnk" if r != REUSED[operand]],
    moves=lambda mapping, step, operand: mapping.moves(operand, step.first, step.last),
    with_moves=_matrix_with_moves,
    sums=lambda step: {"opens": step.first["k"], "closes": step.last["k"]},
    with_sum=_matrix_with_sum,
    hooks={"moves": _forced_moves},
)


def _flash_verify(mapping: FlashMapping, charged: FlashMapping, seed: int) -> None:
    moved = execute_attention(mapping, seed)
    want = charged.traffic()
    if moved != want:
        raise UnsoundMappingError(f"{moved} bytes moved, {want} are charged")


def _flash_range(step: FlashStep, rank: str, to: Range) -> FlashStep:
    if rank == "kv":
        return replace(step, keys=(to, *step.keys[1:]))
    return replace(step, b=to) if rank == "b" else replace(step, q=to)


FLASH = Family(
    name="flash attention",
    operands=("kv",),
    verify=_flash_verify,
    ranges=lambda step: {"b": step.b, "q": step.q, "kv": step.keys[0]},
    with_range=_flash_range,
    tile=lambda mapping, step, operand: (step.b, step.keys),
    moves=lambda mapping, step, operand: Moves(step.enter, step.leave),
    with_moves=lambda mapping, step, operand, m: replace(step, enter=m.enter, leave=m.leave),
    sums=lambda step: {"opens": step.opens, "closes": step.closes},
    with_sum=lambda step, which, value: replace(step, **{which: value}),
)


def _nest_verify(nest: NestMapping, charged: NestMapping, seed: int) -> None:
    """Charged means: its traffic, and an array that is just as large as it needs."""
    target = getattr(nest, "target", None) or exact_target(charged)
    moved, want = execute_nest(nest, target, seed), claimed(charged)
    for key in sorted({*moved, *want}):
        if moved.get(key) != want.get(key):
            raise UnsoundMappingError(f"{key}: {moved.get(key)}, charged are {want.get(key)}")
    for number, case in enumerate(charged.cases):
        if nest.steps(case) != charged.steps(case):
            raise UnsoundMappingError(f"case {number}: {nest.steps(case)} steps")


def exact_target(nest: NestMapping, combines: frozenset[str] | None = None) -> NestTarget:
    """A machine with the places that a nest uses and no more."""
    add = frozenset({"rows", "cols"}) if combines is None else combines
    return NestTarget("array", nest.spatial(), 1 << 40, 1 << 40, combines=add)


def _nest_with_moves(nest: NestMapping, step: NestStep, operand: str, moves: Moves) -> NestStep:
    enter, leave = {**step.enter, operand: moves.enter}, {**step.leave, operand: moves.leave}
    return replace(step, enter=enter, leave=leave)


def _nest_moves(nest: NestMapping, step: NestStep, operand: str) -> Moves | None:
    if operand not in step.enter:
        return None
    return Moves(step.enter[operand], step.leave[operand])


def _levels(nest: NestMapping, levels: list[NestLevel]) -> Any:
    return replace(nest, levels=tuple(levels))


def _loop_dropped(nest: NestMapping, rng: Random) -> Iterator[Any]:
    levels = list(nest.levels)
    some = [i for i, level in enumerate(levels) if i and level.loops]
    if some:
        i = rng.choice(some)
        place = rng.randrange(len(levels[i].loops))
        loops = tuple(x for n, x in enumerate(levels[i].loops) if n != place)
        ends = nest.tile_at(len(levels))
        mutant = _levels(nest, [*levels[:i], replace(levels[i], loops=loops), *levels[i + 1 :]])
        # a loop whose steps another one takes over changes nothing but the order
        if mutant.tile_at(len(levels)) != ends:
            yield mutant


def _too_wide(nest: NestMapping, rng: Random) -> Iterator[Any]:
    """A tile of a spatial loop made smaller: more places than the array has."""
    for i, level in enumerate(nest.levels):
        for n, loop in enumerate(level.loops):
            if loop.axis and loop.tile > 1:
                loops = [*level.loops]
                loops[n] = replace(loop, tile=1)
                one = replace(level, loops=tuple(loops))
                mutant = _levels(nest, [*nest.levels[:i], one, *nest.levels[i + 1 :]])
                if any(n > nest.spatial()[axis] for axis, n in mutant.spatial().items()):
                    yield mutant
                    return


def _no_combine(nest: NestMapping, rng: Random) -> Iterator[Any]:
    """A sum that is split over an axis of an array that does not add."""
    axes = {loop.axis for loop in nest.loops if loop.axis and loop.rank in nest.reduced}
    if axes:
        mutant = changed(nest)
        adds = frozenset({"rows", "cols"}) - axes
        object.__setattr__(mutant, "target", exact_target(nest, adds))
        yield mutant


def _kept_otherwise(nest: NestMapping, rng: Random) -> Iterator[Any]:
    """Registers that keep what the nest is not charged for, or do not what it is."""
    if len(nest.levels) < 3:
        return
    for operand in ("in", "weight", "out"):
        keeps = nest.levels[2].keeps ^ {operand}
        mutant = _levels(nest, [*nest.levels[:2], replace(nest.levels[2], keeps=keeps)])
        # an input that is all padding moves nothing wherever it is kept
        if operand in nest.levels[1].keeps and claimed(mutant) != claimed(nest):
            yield mutant


def _levels_swapped(nest: NestMapping, rng: Random) -> Iterator[Any]:
    """The innermost loops run around those of the level above, where that moves other amounts."""
    if len(nest.levels) == 3 and nest.levels[2].loops and nest.levels[1].loops:
        dram, buffer, registers = nest.levels
        some = replace(buffer, loops=registers.loops), replace(registers, loops=buffer.loops)
        mutant = _levels(nest, [dram, *some])
        if claimed(mutant) != claimed(nest):
            yield mutant


NEST = Family(
    name="nest",
    operands=("in", "weight", "out"),
    verify=_nest_verify,
    ranges=lambda step: step.ranges,
    with_range=lambda step, rank, to: replace(step, ranges={**step.ranges, rank: to}),
    tile=lambda nest, step, operand: [step.ranges[r] for r in sorted(nest.relevant[operand])],
    moves=_nest_moves,
    with_moves=_nest_with_moves,
    sums=lambda step: {"opens": step.opens, "closes": step.closes},
    with_sum=lambda step, which, value: replace(step, **{which: value}),
    own={
        "inner loop dropped": _loop_dropped,
        "spatial loop too wide": _too_wide,
        "missing combine": _no_combine,
        "kept otherwise than charged": _kept_otherwise,
        "wrong order of levels": _levels_swapped,
    },
)
FAMILIES = {family.name: family for family in (MATRIX, FLASH, NEST)}
