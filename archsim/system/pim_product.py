"""What stages inside a memory are made of: an op becomes a product, with its pieces and its counts.

Matrices stay where they lie. What a product takes of the banks the engine knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from archsim.components._pim import PimEngine
from archsim.core.errors import Unmappable, Unsupported
from archsim.ir.graph import OpGraph
from archsim.ir.kernel import Flow
from archsim.ir.op import Access, Op
from archsim.ir.pim import STORED, PimMapping, PimStep
from archsim.ir.tensor import Role
from archsim.system.pim_ask import product_of
from archsim.system.pim_link import crossed, crossing
from archsim.system.place import Stage
from archsim.system.room import Room, no_rate

SWITCHES = 40  # a memory that changes over gives back no more often than costs it a twentieth
DEPTH = 2  # pieces of an operand on chip at once
SPARE = 8  # where all of them fit this part of the chip's room, they need not wait for one another


def engine_of(stage: Stage) -> PimEngine:
    """The engine of a stage that runs inside a memory."""
    assert isinstance(stage.engine, PimEngine)
    return stage.engine


def finished(stage: Stage, engine: PimEngine, mapping: PimMapping, room: Room) -> Stage:
    """The stage with its mapping and the room that its pieces take on chip.

    Inputs and results lie in buffers of the engine's own, but for those that pass through memory.
    """
    moved = sum(f.size_bytes for f in (*mapping.loads, *mapping.stores))
    each = -(-moved // mapping.pieces)
    held = max(DEPTH, min(mapping.pieces, room.budget_bytes // (SPARE * max(each, 1)))) * each
    alone = stage.exclusive or engine.spec.alone
    return replace(stage, mapping=mapping, exclusive=alone, room_bytes=min(held, room.budget_bytes))


def depth_of(stage: Stage, mapping: PimMapping) -> int:
    """Pieces of inputs and results that its room on chip holds."""
    moved = sum(f.size_bytes for f in (*mapping.loads, *mapping.stores))
    each = -(-moved // mapping.pieces)
    return max(DEPTH, stage.room_bytes // each) if each else DEPTH


def step_of(stage: Stage, op: Op, room: Room) -> PimStep:
    """A product of an op of a stage, and what it takes.

    Raises:
        Unsupported: E302 for an element type that the units do not multiply, or a matrix that is
            made during the run.
        Unmappable: where the matrix does not fit the banks in its layout.
    """
    engine, path = engine_of(stage), f"{stage.block}/{op.name}"
    matrix = room.graph.tensors[op.reads[1].tensor]
    if matrix.role not in STORED:
        raise refuse_unheld(matrix.role, path)
    if not engine.takes(matrix.dtype):
        raise no_rate(path, matrix.dtype.computes_as, engine, matrix.dtype)
    over = crossing(room.machine, engine, room.graph, op, stage.vector)
    try:
        product = product_of(room.machine, room.graph, op, engine, room.accumulator_bits)
        return PimStep(op.name, product, crossed(engine.product(product), over), over)
    except Unmappable as error:
        raise does_not_lie(error, room, op, path, engine) from None


def flows(accesses: Iterable[Access], room: Room, operand: str) -> tuple[Flow, ...]:
    """Operands that pass through memory on their way, each once; beside the input, weights."""
    found: dict[str, Flow] = {}
    for i, access in enumerate(accesses):
        if access.tensor not in room.resident and access.tensor not in found:
            size = room.graph.touched_bytes(access)
            found[access.tensor] = Flow(access.tensor, "weight" if i and operand == "in"
                                        else operand, size)  # fmt: skip
    return tuple(found.values())


def least_pieces(moved_bytes: int, room: Room) -> int:
    """Pieces of which several are on chip at once, of so many bytes that pass it."""
    return max(1, -(-DEPTH * moved_bytes // room.budget_bytes))


def pieces(engine: PimEngine, steps: tuple[PimStep, ...], least: int = 1) -> int:
    """Pieces of a stage: no more than outputs, nor than changing over between them is worth."""
    outputs = min(sum(e.b * e.m * e.n for e in s.product.cases) for s in steps)
    most = engine.spec.pieces
    if engine.spec.sharing == "mode_switch" and engine.switch_ps and not engine.spec.alone:
        banks_ps = min(s.work.banks_ps for s in steps)
        most = min(most, banks_ps // (SWITCHES * engine.switch_ps))
    return max(1, min(max(most, least), outputs))


def counts(op: Op, step: PimStep, engine: PimEngine, graph: OpGraph) -> dict[str, int]:
    """What a product counts: actions of the banks, and bytes read inside, by their role.

    Where a sum is dealt over banks, its parts are added up as they arrive, by adders that keep up
    with the bus (assumed): they cost energy.
    """
    own, work, matrix = f"pim.{engine.name}", step.work, op.reads[1]
    role = graph.tensors[matrix.tensor].role
    found = {f"{own}.{action}": n for action, n in work.actions(step.product).items()} | {
        f"inside.{engine.memory.name}.{role.value}": graph.touched_bytes(matrix),
        "sram.read": graph.touched_bytes(op.reads[0]),
        "sram.write": sum(graph.touched_bytes(a) for a in op.writes),
    }
    if step.product.layout == "column":
        outs = sum(e.b * e.m * e.n for e in step.product.cases)
        found["vector.add"] = max(0, int(work.result_bytes * 8 / step.product.out_bits) - outs)
    if step.over is not None:
        for mover in step.over.movers:
            found[f"hop.{mover}.taken"] = found[f"hop.{mover}.given"] = step.over.size_bytes
    return {key: n for key, n in found.items() if n}


def does_not_lie(error: Unmappable, room: Room, op: Op, path: str, engine: PimEngine) -> Unmappable:
    """The refusal of a matrix that banks do not take, with whose it is and where that is said."""
    weight = room.graph.tensors[op.reads[1].tensor].role is Role.WEIGHT
    key = "weights" if weight else "values" if op.op_class == "attention_value" else "keys"
    said = getattr(room.machine.spec.layout.inside, key)
    other = f"layout: {{inside: {{{key}: ...}}}} other than {said}, " if said else ""
    return Unmappable(
        f"{path} on {engine.name}: {error.message}",
        help=f"{error.help or f'{other}a smaller batch'}, or dispatch it to another engine",
        details={"path": f"layout.inside.{key}"} if said else {},
    )


def refuse_unheld(role: Role, path: str) -> Unsupported:
    """The refusal of a product whose matrix is made during the run."""
    return Unsupported(
        f"{path} multiplies by a tensor that the run makes ({role.value}), and an engine inside a "
        "memory only by what lies there",
        code="E302",
        help="dispatch it to another engine",
    )
