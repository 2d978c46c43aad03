"""Mistakes put into mappings on purpose: a verifier that lets one of them pass is of no use.

One table of mistakes serves every kind of mapping that runs tile by tile; a `Family` says how steps
of a kind are read and changed, and how a mapping is verified. A mistake that would change nothing
at a place (bringing a tile in where it enters anyway) is not made there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from archsim.ir.mapping import Moves
from archsim.testing.families import FAMILIES, Family, changed
from archsim.testing.functional import UnsoundMappingError

Steps = list[Any]
Make = Callable[[Family, Any, Steps, Random], Steps | None]
SEEDS = 2  # values that a mistake must get past


@dataclass(frozen=True)
class Tried:
    """One mistake in one mapping: what it was, and the verifier's words (empty: it passed)."""

    family: str
    mistake: str
    words: str

    @property
    def caught(self) -> bool:
        """Whether the verifier refused it."""
        return bool(self.words)


def try_all(family: Family, mapping: Any, seed: int = 0) -> Iterator[Tried]:
    """Every mistake of the table that can be made in a mapping, each run through its verifier."""
    steps = list(mapping.tiles())
    for name, make in MISTAKES.items():
        wrong = make(family, mapping, list(steps), Random(f"{seed} {name}"))
        if wrong is not None:
            mutant = changed(mapping, tiles=_giving(wrong), **family.hooks)
            yield Tried(family.name, name, complaint(family, mutant, mapping))
    for name, mutants in family.own.items():
        for mutant in mutants(mapping, Random(f"{seed} {name}")):
            yield Tried(family.name, name, complaint(family, mutant, mapping))


def complaint(family: Family, mutant: Any, original: Any) -> str:
    """What the verifier says of a mutant that is charged as the original; empty when nothing."""
    for seed in range(SEEDS):
        try:
            with np.errstate(all="ignore"):  # a row that lost all its keys divides by zero
                family.verify(mutant, original, seed)
        except UnsoundMappingError as error:
            return str(error)
    return ""


def _giving(steps: Steps) -> Callable[[Any], Iterator[Any]]:
    return lambda _: iter(steps)


def _dropped(place: Callable[[int], int]) -> Make:
    def make(family: Family, mapping: Any, steps: Steps, rng: Random) -> Steps:
        del steps[place(len(steps))]
        return steps

    return make


def _twice(family: Family, mapping: Any, steps: Steps, rng: Random) -> Steps:
    at = rng.randrange(len(steps))
    return [*steps[: at + 1], *steps[at:]]


def _range(change: tuple[int, int]) -> Make:
    """An end of a range of one step moved by one, where the tile has room for that."""

    def make(family: Family, mapping: Any, steps: Steps, rng: Random) -> Steps | None:
        low, high = change
        places = [
            (i, rank)
            for i, step in enumerate(steps)
            for rank, (start, end) in family.ranges(step).items()
            if start + low >= 0 and end + high > start + low
        ]
        if not places:
            return None
        i, rank = rng.choice(places)
        start, end = family.ranges(steps[i])[rank]
        steps[i] = family.with_range(steps[i], rank, (start + low, end + high))
        return steps

    return make


def _move(which: str, value: bool) -> Make:
    """An operand that enters or leaves at a step where it should not, or does not where it should.

    Args:
        which: `enter` or `leave`.
        value: what is put in place of its opposite.
    """

    def make(family: Family, mapping: Any, steps: Steps, rng: Random) -> Steps | None:
        places = [
            (i, operand)
            for i, step in enumerate(steps)
            for operand in family.operands
            if (move := family.moves(mapping, step, operand)) and getattr(move, which) != value
        ]
        if not places:
            return None
        i, operand = rng.choice(places)
        move = family.moves(mapping, steps[i], operand)
        assert move is not None
        enter, leave = (value, move.leave) if which == "enter" else (move.enter, value)
        steps[i] = family.with_moves(mapping, steps[i], operand, Moves(enter, leave))
        return steps

    return make


def _sum(which: str, value: bool) -> Make:
    """A sum that begins or ends at a step where it should not, or does not where it should."""

    def make(family: Family, mapping: Any, steps: Steps, rng: Random) -> Steps | None:
        places = [i for i, step in enumerate(steps) if family.sums(step)[which] != value]
        if not places:
            return None
        i = rng.choice(places)
        steps[i] = family.with_sum(steps[i], which, value)
        return steps

    return make


def _swapped(family: Family, mapping: Any, steps: Steps, rng: Random) -> Steps | None:
    """Two steps in the wrong order: the second works on a tile that the first brings."""
    places = [
        i
        for i in range(len(steps) - 1)
        for operand in family.operands
        if (brings := family.moves(mapping, steps[i], operand)) and brings.enter
        if (uses := family.moves(mapping, steps[i + 1], operand)) and not uses.enter
        if family.tile(mapping, steps[i], operand) == family.tile(mapping, steps[i + 1], operand)
    ]
    if not places:
        return None
    i = rng.choice(places)
    steps[i], steps[i + 1] = steps[i + 1], steps[i]
    return steps


MISTAKES: dict[str, Make] = {
    "first tile dropped": _dropped(lambda n: 0),
    "middle tile dropped": _dropped(lambda n: n // 2),
    "last tile dropped": _dropped(lambda n: n - 1),
    "tile run twice": _twice,
    "tile misses its last place": _range((0, -1)),
    "tile misses its first place": _range((1, 0)),
    "tile takes the place before it": _range((-1, 0)),
    "read of a tile not held": _move("enter", value=False),
    "tile brought in twice": _move("enter", value=True),
    "tile leaves early": _move("leave", value=True),
    "tile never leaves": _move("leave", value=False),
    "sum begins again": _sum("opens", value=True),
    "sum never begins": _sum("opens", value=False),
    "sum ends early": _sum("closes", value=True),
    "sum never ends": _sum("closes", value=False),
    "steps in the wrong order": _swapped,
}

__all__ = ["FAMILIES", "MISTAKES", "Tried", "complaint", "try_all"]
