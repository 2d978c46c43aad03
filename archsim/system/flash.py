"""The plan of an attention stage whose scores stay on chip: what its tiles may use, and cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from archsim.components.base import MacEngine, VectorEngine
from archsim.dataflows.flash_attention import FlashAttention
from archsim.ir.attention_problem import AttentionTarget, attention_problem
from archsim.ir.graph import OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.problem import problem
from archsim.ir.target import Cost, Ints, Tiles
from archsim.ir.tensor import Role
from archsim.system.array_cost import array_cost
from archsim.system.place import Stage
from archsim.system.room import Room, no_rate

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
        whole: what no tiling avoids, over all scores and rows.
        ops: vector ops that the stage holds.
    """

    points: Op
    join: Op
    finish: Op
    whole: Op
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
        whole=replace(tail[0], primitives=points, row_primitives=rows),
        ops=len(tail),
    )


def flash_stage(stage: Stage, room: Room, split: int | None = None) -> Stage:
    """The stage with its tiles; `split` are the parts of its contexts, default as is fastest.

    Raises:
        Unsupported: E302 for an element type without a rate.
        Unmappable: when the ops are no attention, or no tile fits.
    """
    engine, vector = stage.engine, stage.vector
    assert isinstance(engine, MacEngine)
    assert isinstance(vector, VectorEngine)
    graph, machine = room.graph, room.machine
    found = attention_problem(stage.ops, graph.tensors, room.accumulator_bits)
    for word in "kv":
        if not engine.takes(found.dtypes[word]):
            form = found.dtypes[word]
            raise no_rate(stage.path, form.computes_as, engine, form)
    parameters, per_score = _extra(stage, room)
    found = replace(found, extra_bits=per_score)
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
        dram_bytes_per_s=machine.dram_bytes_per_s,
        dram_latency_s=machine.dram.latency_ps / 1e12,
        depth=machine.dma.spec.depth,
        resident=_resident(stage, room),
        score=_product(stage.ops[0], engine, room),
        value=_product(stage.ops[-1], engine, room),
        softmax=cycles(softmax.points),
        join=cycles(softmax.join),
        finish=cycles(softmax.finish),
    )
    mapping = FlashAttention().map_attention(found, target, split)
    return replace(stage, mapping=mapping, room_bytes=mapping.room_bytes() + parameters)


def operands(stage: Stage) -> dict[str, str]:
    """Tensors of queries, keys, values and result; and what is kept of rows, where it is."""
    score, value = stage.ops[0], stage.ops[-1]
    beside = [a.tensor for op in stage.ops[1:-1] for a in op.writes[1:]]
    return {
        "q": score.reads[0].tensor,
        "k": score.reads[1].tensor,
        "v": value.reads[1].tensor,
        "out": value.writes[0].tensor,
    } | ({"stats": beside[0]} if beside else {})


def extras(stage: Stage) -> list[tuple[Op, Access]]:
    """What the softmax reads beside the scores, such as a mask or a table of positions."""
    inner = {a.tensor for op in stage.ops for a in op.writes}
    found: dict[str, tuple[Op, Access]] = {}
    for op in stage.ops[1:-1]:
        for access in op.reads:
            if access.tensor not in inner:
                found.setdefault(access.tensor, (op, access))
    return list(found.values())


def is_whole(graph: OpGraph, tensor: str) -> bool:
    """True for an operand beside the scores that is brought in once and stays: a parameter."""
    return graph.tensors[tensor].role is Role.WEIGHT


def _extra(stage: Stage, room: Room) -> tuple[int, int]:
    """Bytes of parameters, and bits of other operands for each score."""
    graph, parameters, per_score = room.graph, 0, 0
    for op, access in extras(stage):
        if access.tensor not in room.resident:
            size = graph.touched_bytes(access)
            if is_whole(graph, access.tensor):
                parameters += size
            else:
                per_score += -(-size * 8 // op.points())
    return parameters, per_score


def _resident(stage: Stage, room: Room) -> frozenset[str]:
    return frozenset(word for word, name in operands(stage).items() if name in room.resident)


def _product(op: Op, engine: MacEngine, room: Room) -> Callable[[Tiles], Cost]:
    """Cost of tiles of one of the two products."""
    view = problem(op, room.graph.tensors, room.accumulator_bits)
    dtype = room.graph.tensors[op.reads[1].tensor].dtype.computes_as
    return array_cost(engine, view, room.machine, dtype)
