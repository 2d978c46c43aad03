"""The plan of a stage whose engine is inside a memory: one product, or a whole attention."""

from __future__ import annotations

from dataclasses import replace

from archsim.ir.pim import PimMapping
from archsim.system.pim_attention import all_counts, pim_attention
from archsim.system.pim_product import (
    engine_of,
    finished,
    flows,
    least_pieces,
    pieces,
    step_of,
)
from archsim.system.place import Stage
from archsim.system.room import Room


def pim_stage(stage: Stage, room: Room) -> Stage:
    """The stage of one product, and of vector ops on its results, with its mapping.

    Raises:
        Unsupported: E302 for an element type that the units do not multiply.
        Unmappable: where the matrix does not fit the banks in its layout.
    """
    if stage.template:
        return pim_attention(stage, room)
    engine, op = engine_of(stage), stage.ops[0]
    step = step_of(stage, op, room)
    loads = flows(op.reads[:1] + op.reads[2:], room, "in")
    stores = flows(stage.ops[-1].writes, room, "out")
    passing = sum(room.graph.touched_bytes(a) for a in (op.reads[0], *op.writes))
    rows_whole = any(o.reduces for o in stage.ops[1:])  # what reduces needs all of a row
    mapping = PimMapping(
        name=stage.path,
        engine=engine.name,
        memory=engine.memory.name,
        steps=(step,),
        pieces=1 if rows_whole else pieces(engine, (step,), least_pieces(passing, room)),
        loads=loads,
        stores=stores,
    )
    mapping = replace(mapping, counts=all_counts(stage, mapping, engine, room.graph))
    return finished(stage, engine, mapping, room)
