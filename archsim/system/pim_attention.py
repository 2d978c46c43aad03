"""The plan of an attention whose products run inside a memory: scores, softmax, values, one stage.

Keys lie with a token's elements along a row of a bank and tokens dealt over banks, values with the
tokens along it and elements dealt over banks, so that either product finds what it reduces in open
rows. Where one tensor is both, as latents are, it lies as keys do: each unit then sums the tokens
of its own bank, and the parts are added behind.
"""

from __future__ import annotations

from dataclasses import replace

from archsim.components._pim import PimEngine
from archsim.ir.graph import OpGraph
from archsim.ir.pim import PimMapping
from archsim.system.pim_product import (
    counts,
    engine_of,
    finished,
    flows,
    least_pieces,
    pieces,
    step_of,
)
from archsim.system.place import Stage
from archsim.system.room import Room


def pim_attention(stage: Stage, room: Room) -> Stage:
    """The stage with its mapping.

    Raises:
        Unsupported: E302 for an element type that the units do not multiply.
        Unmappable: where keys or values do not fit the banks in their layout.
    """
    engine, score, value = engine_of(stage), stage.ops[0], stage.ops[-1]
    steps = tuple(step_of(stage, op, room) for op in (score, value))
    loads = flows(score.reads[:1], room, "in")
    stores = flows(value.writes, room, "out")
    rows = sum(e.b * e.m for e in steps[0].product.cases)  # a softmax is of a whole row of scores
    passing = sum(room.graph.touched_bytes(op.writes[0]) for op in stage.ops[:-1])
    mapping = PimMapping(
        name=stage.path,
        engine=engine.name,
        memory=engine.memory.name,
        steps=steps,
        pieces=min(rows, pieces(engine, steps, least_pieces(passing, room))),
        loads=loads,
        stores=stores,
        dataflow=stage.template,
    )
    mapping = replace(mapping, counts=all_counts(stage, mapping, engine, room.graph))
    return finished(stage, engine, mapping, room)


def all_counts(
    stage: Stage, mapping: PimMapping, engine: PimEngine, graph: OpGraph
) -> dict[str, int]:
    """What all products of a stage count together."""
    products = [op for op in stage.ops if op.is_mac]
    found: dict[str, int] = {}
    for op, step in zip(products, mapping.steps, strict=True):
        for key, n in counts(op, step, engine, graph).items():
            found[key] = found.get(key, 0) + n
    return found
