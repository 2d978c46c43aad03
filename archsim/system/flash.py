"""The plan of an attention stage whose scores stay on chip: what its tiles may use, and cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from archsim.components.base import MacEngine, VectorEngine
from archsim.core.errors import InputError, Unsupported
from archsim.dataflows.flash_attention import FlashAttention
from archsim.ir.attention_problem import AttentionProblem, AttentionTarget, attention_problem
from archsim.ir.op import Op
from archsim.ir.problem import problem
from archsim.ir.target import Ints
from archsim.system.place import Stage
from archsim.system.room import Room

# Of the running softmax, for one more tile of keys (Dao, FlashAttention-2, 2023, algorithm 1):
# m' = max(m, of the tile); c = exp(m - m'); sum' = c sum + of the tile
STEP_ROW = {"max": 1, "add": 2, "exp": 1, "mul": 1}
# out' = c out + shares v
STEP_OUTPUT = {"mul": 1, "add": 1}
# out = out' / sum, once at the end, where the op by itself would scale each share
LAST_OUTPUT = {"mul": 1}


@dataclass(frozen=True)
class Softmax:
    """The vector side of an attention in tiles, as pseudo-ops that an engine can price.

    Attributes:
        points: per score and, for the rows of a tile, what keeps the running sums.
        join: per output of a step that is not the first, or of a part that is joined.
        finish: per output and per row at the end.
        ops: vector ops that the stage holds.
    """

    points: Op
    join: Op
    finish: Op
    ops: int


def softmax_of(stage: Stage) -> Softmax:
    """What the vector ops of a stage become when a row of scores is never whole."""
    tail = stage.ops[1:-1]
    points: dict[str, int] = {}
    rows: dict[str, int] = {}
    for op in tail:
        for total, more in ((points, dict(op.primitives)), (rows, op.row_primitives)):
            if total is points and op.reduces and "div" in op.row_primitives and more.get("mul"):
                more["mul"] -= 1  # the product with 1 / sum waits for the end
            for name, n in more.items():
                total[name] = total.get(name, 0) + n
    points = {name: n for name, n in points.items() if n}
    return Softmax(
        points=replace(tail[0], primitives=points, row_primitives=STEP_ROW),
        join=replace(tail[0], primitives=STEP_OUTPUT, row_primitives={}),
        finish=replace(tail[0], primitives=LAST_OUTPUT, row_primitives=rows),
        ops=len(tail),
    )


def flash_stage(stage: Stage, room: Room) -> Stage:
    """The stage with its tiles.

    Raises:
        Unsupported: E302 for an element type without a rate.
        Unmappable: when the ops are no attention, or no tile fits.
    """
    engine, vector = stage.engine, stage.vector
    if not isinstance(engine, MacEngine) or not isinstance(vector, VectorEngine):
        raise InputError(f"{stage.path} needs a multiply-accumulate engine", code="E201")
    graph, machine = room.graph, room.machine
    found = attention_problem(stage.ops, dict(graph.tensors), room.accumulator_bits)
    for word in "kv":
        dtype = found.dtypes[word].computes_as
        if dtype not in engine.dtypes:
            raise Unsupported(
                f"{stage.path} computes in {dtype}, and engine {engine.name} has no rate for it",
                code="E302",
                help=f"--set engines.{engine.name}.rates.{dtype}=1, or one of: "
                f"{', '.join(engine.dtypes)}",
            )
    parameters = sum(size for _, size in parameter_bytes(stage, room))
    rows, cols, count = engine.grid
    softmax = softmax_of(stage)

    def cycles(op: Op) -> Any:
        point, row = vector.lane_cycles(op)

        def of(points: Ints, rows: Ints) -> Ints:
            return vector.cycles(point, row, points, rows)

        return of

    target = AttentionTarget(
        engine=engine.name,
        rows=rows,
        cols=cols,
        count=count,
        clock_hz=engine.clock_hz,
        vector_clock_hz=vector.clock_hz,
        buffer_bytes=room.budget_bytes - parameters,
        dram_bytes_per_s=machine.dram.bytes_per_s,
        dram_latency_s=machine.dram.latency_ps / 1e12,
        depth=machine.dma.spec.depth,
        resident=_resident(stage, room),
        score=product_cost(stage, room, found, 0),
        value=product_cost(stage, room, found, -1),
        softmax=cycles(softmax.points),
        join=cycles(softmax.join),
        finish=cycles(softmax.finish),
    )
    mapping = FlashAttention().map_attention(found, target)
    return replace(stage, mapping=mapping, room_bytes=mapping.room_bytes() + parameters)
