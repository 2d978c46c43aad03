"""Chains of ops that a stage takes as one: a whole attention, vector ops that take outputs on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archsim.components._pim import PimEngine
from archsim.components.base import Engine, VectorEngine
from archsim.core.errors import InputError
from archsim.ir.graph import Block
from archsim.ir.op import Kind, Op
from archsim.system.build import Machine
from archsim.system.rules import engine_of, rule_option

INSIDE = "attention_pim"  # template of a whole attention whose products run inside a memory


def attention_chain(
    block: Block, at: int, readers: dict[str, list[int]], outside: set[str]
) -> list[int]:
    """Places of scores, softmax and values that begin at an op; empty where they are no chain."""
    if block.ops[at].op_class != "attention_score":
        return []
    chain = [at]
    while block.ops[chain[-1]].op_class != "attention_value":
        result = block.ops[chain[-1]].writes[0].tensor  # beside it, what a backward pass is kept
        nexts = set(readers.get(result, ()))
        if len(nexts) != 1 or result in outside:
            return []
        chain += nexts
    same = block.ops[at].ranks["B"] == block.ops[chain[-1]].ranks["B"]
    return chain if same else []  # scores of all heads in one product are no problem of a head


def _scores(block: Block, chain: Sequence[int]) -> bool:
    """True for a chain of a forward pass."""
    return block.ops[chain[0]].op_class == "attention_score"


def softmax_lanes(
    machine: Machine, block: Block, chain: Sequence[int], used: set[str]
) -> VectorEngine:
    """The engine of the softmax of an attention that is one stage.

    Raises:
        InputError: E201 where it is no vector unit.
    """
    op = block.ops[chain[1]]
    unit = engine_of(machine, f"{block.name}/{op.name}", op, used)
    if not isinstance(unit, VectorEngine):
        path = f"{block.name}/{block.ops[chain[0]].name}"
        raise InputError(f"{path}: its softmax needs a vector unit", code="E201")
    return unit


def lanes_beside(
    machine: Machine, block: Block, chain: Sequence[int], engine: Engine, used: set[str]
) -> VectorEngine | None:
    """The engine of the softmax where both products of an attention run inside one memory."""
    if not isinstance(engine, PimEngine) or not chain or not _scores(block, chain):
        return None
    value = block.ops[chain[-1]]
    if engine_of(machine, f"{block.name}/{value.name}", value, used) is not engine:
        return None
    return softmax_lanes(machine, block, chain, used)


def outputs(op: Op) -> int:
    """Output elements of a MAC op, ragged extents counted."""
    reduced = {"K"} if op.kind is Kind.GEMM else {"IC", "FH", "FW"}
    total = 0
    for count, ranks in op.cases():
        size = count
        for rank, extent in ranks.items():
            size *= 1 if rank in reduced else extent
        total += size
    return total


def tail_of(
    machine: Machine,
    block: Block,
    at: int,
    flow: tuple[Mapping[str, list[int]], Mapping[str, int], set[str]],
    used: set[str],
) -> tuple[list[int], VectorEngine | None]:
    """Places of the vector ops that take the tiles of a MAC op on, and the engine that runs them.

    `flow` says who reads and who writes each tensor of the block, and which ones others read.
    """
    readers, writer, outside = flow
    op, last, found = block.ops[at], block.ops[at], list[int]()
    vector: VectorEngine | None = None
    how = rule_option(machine, f"{block.name}/{op.name}", op, "fuse", used) or "elementwise"
    while how != "none":
        tail = last.writes[0].tensor
        nexts = set(readers.get(tail, []))
        if len(nexts) != 1 or tail in outside or len(last.writes) != 1:
            break
        if last.writes[0].touched is not None:
            break  # others write the rest of it
        (place,) = nexts
        last = block.ops[place]
        ready = all(writer.get(a.tensor, -1) <= at or a.tensor == tail for a in last.reads)
        alike = last.kind is Kind.VECTOR and last.points() == outputs(op)
        if not (ready and alike) or (last.reduces and how != "reductions"):
            break
        unit = engine_of(machine, f"{block.name}/{last.name}", last, used)
        if not isinstance(unit, VectorEngine):
            break
        vector = unit
        found.append(place)
    return found, vector
