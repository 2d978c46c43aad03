"""Tiles of products on arrays of cells: the best of one template, or of all that there are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from archsim.core.errors import ArchsimError, Unmappable
from archsim.dataflows.base import dataflows, searched
from archsim.ir.mapping import Mapping
from archsim.ir.problem import Problem
from archsim.ir.target import Target
from archsim.system.place import Stage
from archsim.system.room import Room

Key = tuple[float, ...]  # what a mapping was chosen by: cycles where they come first, then time


def likeness(
    stage: Stage, view: Problem, target: Target, name: str | None, room: Room
) -> tuple[object, ...]:
    """What the choice of tiles depends on: stages that agree in it have one search between them."""
    op = view.op
    operands = (*op.reads[:2], op.writes[0])
    dtype = room.graph.tensors[op.reads[1].tensor].dtype
    return (
        target.engine, target.objective, target.weights_first, target.buffer_bytes, name, op.kind,
        op.window, op.repeated, tuple(sorted(op.ranks.items())), view.cases,
        tuple(sorted(view.bits.items())), dtype, view.extra_bytes, view.zeros,
        tuple(a.tensor in room.resident for a in operands),
        target.fused, target.fused_bits, target.whole_rows,
        tuple(stage.vector.lane_cycles(o) for o in stage.ops[1:]) if stage.vector else (),
    )  # fmt: skip


def best_tiles(view: Problem, target: Target, name: str | None) -> Mapping:
    """The mapping that its template, or the best of all, has for a product.

    Weights that are to come first do so where all of them fit on chip, and where the room they take
    costs no time: once they have come, the rest is over as soon as the whole product would be with
    its weights along. So the rule adds the time of their load, and no more than that.

    Raises:
        Unmappable: where no tile fits on chip.
    """
    along = _best(view, replace(target, weights_first=False), name)
    if target.weights_first and len(view.cases) == 1:  # those of several cases come along
        with suppress(Unmappable):  # where not all of them fit on chip
            first = _best(view, target, name)
            if first[0][:2] <= along[0][:2]:
                return first[1]
    return along[1]


def _best(view: Problem, target: Target, name: str | None) -> tuple[Key, Mapping]:
    if name is not None:
        return dataflows.get(name)().search(view, target)
    found: list[tuple[Key, Callable[[], Mapping]]] = []
    refused: ArchsimError | None = None
    flows = [flow() for flow in dataflows.classes()]
    known = searched(flows, view, target)
    for flow in flows:
        try:
            found.append(known.get(flow.kind) or _made(flow.search(view, target)))
        except Unmappable as error:
            refused = error
    if not found:
        assert refused is not None
        raise refused
    key, make = min(found, key=lambda f: f[0])
    mapping = make()
    mapping.check(target)
    return key, mapping


def _made(found: tuple[Key, Mapping]) -> tuple[Key, Callable[[], Mapping]]:
    key, mapping = found
    return key, lambda: mapping
