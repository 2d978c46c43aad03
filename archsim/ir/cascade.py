"""A cascade of Einsums: what is computed from what, over which ranks, and what follows from that.

Passes and live footprints are computed here from the dependences alone, as TeAAL (Nayak et al.,
MICRO 2023) and FuseMax (Nayak et al., MICRO 2024) define them; where an Einsum runs and what it
takes is said by a mapping. Every tensor has the rank `b` of independent problems beside its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

Operation = Literal["product", "sum", "max", "exp", "divide"]
# arithmetic of one point; `exp` is of a difference
PRIMITIVES: Mapping[Operation, Mapping[str, int]] = {
    "product": {"mul": 1},
    "sum": {"add": 1},
    "max": {"max": 1},
    "exp": {"add": 1, "exp": 1},
    "divide": {"div": 1},
}
BATCH = "b"


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor as an Einsum reads it.

    Attributes:
        tensor: its name.
        ranks: those that index it here.
        before: rank of a running value: that of the iteration before is read.
        last: rank of a running value: that of the last iteration is read.
    """

    tensor: str
    ranks: tuple[str, ...]
    before: str = ""
    last: str = ""


@dataclass(frozen=True, slots=True)
class Einsum:
    """One tensor from others: ranks that the result lacks are reduced by the operation.

    A `product` multiplies its inputs and sums, `sum` and `max` take one or several inputs, `exp`
    and `divide` take two and reduce nothing.
    """

    name: str
    ranks: tuple[str, ...]
    operation: Operation
    inputs: tuple[Operand, ...]

    @property
    def space(self) -> tuple[str, ...]:
        """Ranks of the iteration space: those of the result, then those that are reduced."""
        found = dict.fromkeys(self.ranks)
        for operand in self.inputs:
            found.update(dict.fromkeys(operand.ranks))
        return tuple(found)

    @property
    def reduced(self) -> tuple[str, ...]:
        """Ranks that the result lacks."""
        return tuple(rank for rank in self.space if rank not in self.ranks)

    @property
    def is_mac(self) -> bool:
        """True for a sum of products."""
        return self.operation == "product" and bool(self.reduced)

    def text(self) -> str:
        """As people write it."""
        reads = ", ".join(
            f"{o.tensor}[{', '.join(_index(o, rank) for rank in (*o.ranks, *_lost(o)))}]"
            for o in self.inputs
        )
        over = f" over {', '.join(self.reduced)}" if self.reduced else ""
        return f"{self.name}[{', '.join(self.ranks)}] = {self.operation}({reads}){over}"


def _lost(operand: Operand) -> tuple[str, ...]:
    return (operand.last,) if operand.last else ()


def _index(operand: Operand, rank: str) -> str:
    if rank == operand.before:
        return f"{rank}-1"
    return "last" if rank == operand.last else rank


@dataclass(frozen=True)
class Cascade:
    """Einsums in an order in which they may run; what none of them makes comes from outside.

    Attributes:
        name: in reports.
        einsums: in order.
        starts: value before the first iteration, by running tensor.
    """

    name: str
    einsums: tuple[Einsum, ...]
    starts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a cascade that reads what is not there yet, or makes a tensor twice.

        Raises:
            ValueError: naming the Einsum.
        """
        made: set[str] = set()
        every = {e.name for e in self.einsums}
        for e in self.einsums:
            early = [o.tensor for o in e.inputs
                     if o.tensor in every - made and not o.before]  # fmt: skip
            if early or e.name in made:
                what = f"reads {early[0]} before it is made" if early else "is made twice"
                raise ValueError(f"{self.name}: {e.name} {what}")
            made.add(e.name)

    def of(self, name: str) -> Einsum:
        """The Einsum that makes a tensor."""
        return next(e for e in self.einsums if e.name == name)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tensors from outside, in order of first use."""
        made = {e.name for e in self.einsums}
        names = (o.tensor for e in self.einsums for o in e.inputs)
        return tuple(dict.fromkeys(n for n in names if n not in made))

    @property
    def result(self) -> str:
        """The tensor that no Einsum reads."""
        read = {o.tensor for e in self.einsums for o in e.inputs}
        return next(e.name for e in reversed(self.einsums) if e.name not in read)

    def ranks(self, tensor: str) -> tuple[str, ...]:
        """Ranks of a tensor, of its own or as it is read."""
        for e in self.einsums:
            if e.name == tensor:
                return e.ranks
        return next(o.ranks for e in self.einsums for o in e.inputs if o.tensor == tensor)

    def running(self, tensor: str) -> str:
        """The rank along which a tensor runs on from one iteration to the next; empty for none."""
        reads = (o for e in self.einsums for o in e.inputs if o.tensor == tensor)
        return next((o.before or o.last for o in reads if o.before or o.last), "")

    def visits(self, rank: str) -> dict[str, int]:
        """The pass over fibres of a rank in which each Einsum runs, from 1.

        A fibre must be traversed once more where an Einsum walks it and needs what another has
        reduced it to. An Einsum that does not walk the rank runs when its inputs are complete: its
        number is that of the pass that it would have to come before.
        """
        ready: dict[str, int] = dict.fromkeys(self.inputs, 1)
        found: dict[str, int] = {}
        for e in self.einsums:
            need = max(
                (ready[o.tensor] + (o.last == rank) for o in e.inputs if not o.before), default=1
            )
            found[e.name] = need
            # a tensor that keeps the rank is there point by point, a reduced one at the end
            ready[e.name] = need + (rank in e.space and rank not in e.ranks)
        return found

    def passes(self, rank: str) -> int:
        """Passes over the fibres of a rank: how often data along it are gone through."""
        found = self.visits(rank)
        return max((n for e in self.einsums if rank in e.space and (n := found[e.name])), default=0)

    def lives(self, tensor: str, rank: str) -> tuple[int, int]:
        """First and last pass over fibres of a rank in which a tensor is made or read."""
        found = self.visits(rank)
        own = [found[tensor]] if tensor in found else []
        reads = [found[e.name] for e in self.einsums if rank in e.space
                 for o in e.inputs if o.tensor == tensor]  # fmt: skip
        every = [*own, *reads] or [1]
        return min(every), max(every)

    def outlives(self, tensor: str, rank: str) -> bool:
        """True for a result that a loop over a rank adds to, or reads again, without changing it.

        What is read from the last iteration of a running value is none.
        """
        if tensor in self.inputs or rank in self.ranks(tensor):
            return False
        users = [e for e in self.einsums if any(o.tensor == tensor for o in e.inputs)]
        return any(rank in e.space for e in (self.of(tensor), *users))

    def points(self, name: str, extents: Mapping[str, int]) -> int:
        """Points of the iteration space of an Einsum, one problem."""
        return elements(self.of(name).space, extents)


def elements(ranks: tuple[str, ...], extents: Mapping[str, int]) -> int:
    """Elements of a tensor of these ranks, one problem."""
    return prod(extents[rank] for rank in ranks)


@dataclass(frozen=True, slots=True)
class NestLoop:
    """One loop over tiles."""

    rank: str
    steps: int


@dataclass(frozen=True)
class Nest:
    """Loops around a cascade, outermost first, and the tile inside all of them.

    Attributes:
        loops: over tiles; a rank may have several.
        shared: so many outer loops go round all Einsums together; inside them each Einsum runs
            through the rest by itself, before the next one begins.
        tile: extents of the innermost tile, by rank.
        held: by tensor from outside, the place of the loop over which it stays though that loop
            does not change it; one without streams past, tile by tile.
    """

    loops: tuple[NestLoop, ...]
    shared: int
    tile: Mapping[str, int]
    held: Mapping[str, int] = field(default_factory=dict)

    def extents(self) -> dict[str, int]:
        """Extent of each rank: its tile times the loops over it."""
        return {
            rank: size * prod(loop.steps for loop in self.loops if loop.rank == rank)
            for rank, size in self.tile.items()
        }

    def grown(self, rank: str, factor: int = 2) -> Nest:
        """The same tiles, and so many times more of them along a rank (its outermost loop)."""
        at = next(i for i, loop in enumerate(self.loops) if loop.rank == rank)
        loop = replace(self.loops[at], steps=self.loops[at].steps * factor)
        return replace(self, loops=(*self.loops[:at], loop, *self.loops[at + 1 :]))


def footprint(cascade: Cascade, nest: Nest, tensor: str) -> int:
    """Elements of a tensor that must be held at once, all its problems in flight together.

    A tensor lives in full over the loops inside those that it must outlive: the loops that all
    Einsums share; fewer, where it is needed in a later pass over a rank of those, where it runs on
    along one or adds up over it, or where it stays while one of them goes round.
    """
    start = len(nest.loops) if tensor in cascade.inputs else nest.shared
    if tensor in nest.held:
        return _span(cascade, nest, tensor, nest.held[tensor] + 1)
    for i, loop in reversed(list(enumerate(nest.loops[: nest.shared]))):
        first, last = cascade.lives(tensor, loop.rank)
        if first < last and loop.rank in cascade.ranks(tensor):
            start = i
        elif loop.rank == cascade.running(tensor) or cascade.outlives(tensor, loop.rank):
            start = i + 1
    return _span(cascade, nest, tensor, start)


def _span(cascade: Cascade, nest: Nest, tensor: str, start: int) -> int:
    """Elements of a tensor over the loops from a place inwards."""
    own = (BATCH, *cascade.ranks(tensor))
    inside = prod(
        loop.steps
        for i, loop in enumerate(nest.loops)
        if i >= start
        and loop.rank in own
        and (i >= nest.shared or loop.rank != cascade.running(tensor))
    )
    return inside * prod(nest.tile[rank] for rank in own if rank in nest.tile)


def footprints(cascade: Cascade, nest: Nest) -> dict[str, int]:
    """Elements of every tensor that must be held at once."""
    names = (*cascade.inputs, *(e.name for e in cascade.einsums))
    return {name: footprint(cascade, nest, name) for name in names}


def growth(cascade: Cascade, nest: Nest, tensor: str, rank: str) -> float:
    """How a tensor's footprint grows with the extent of a rank: 0 not at all, 1 in proportion."""
    before = footprint(cascade, nest, tensor)
    return footprint(cascade, nest.grown(rank), tensor) / before - 1
