"""The plan of the backward pass of an attention that stays on chip: its tiles, and what they cost.

One stage of five products and what the vector unit does between them. Which ops it is made of is
in `flash_backward_chain`; kernels of GPUs have a form of their own in `flash_backward_kernel`.
"""

from __future__ import annotations

from dataclasses import replace

from archsim.components.base import MacEngine, VectorEngine
from archsim.core.errors import Unmappable
from archsim.dataflows._flash_backward import fastest
from archsim.ir.attention_problem import AttentionProblem, Heads
from archsim.ir.flash_backward_room import BackwardTarget
from archsim.ir.op import Op
from archsim.ir.problem import problem
from archsim.ir.target import Ints
from archsim.system.array_cost import array_cost
from archsim.system.flash_backward_chain import CLASS
from archsim.system.place import Stage
from archsim.system.room import Room, no_rate


def is_backward(stage: Stage) -> bool:
    """True for a stage that is the backward pass of a whole attention."""
    return bool(stage.template) and stage.ops[0].op_class == CLASS


def products(stage: Stage) -> tuple[Op, ...]:
    """The five products in the order of `PRODUCTS`."""
    score, _, d_v, d_shares, _, d_q, d_k = stage.ops
    return score, d_shares, d_v, d_q, d_k


def lane_ops(stage: Stage) -> tuple[Op, Op]:
    """The two vector ops: shares again, and gradients of scores."""
    return stage.ops[1], stage.ops[4]


def operands(stage: Stage) -> dict[str, str]:
    """Tensors by operand of the mapping; sums of queries lie where their gradient does."""
    score, d_shares, d_v, d_q, d_k = products(stage)
    again, d_scores = lane_ops(stage)
    beside = [a.tensor for a in d_scores.reads if a.tensor not in _inner(stage)]
    return {
        "q": score.reads[0].tensor,
        "k": score.reads[1].tensor,
        "v": d_shares.reads[1].tensor,
        "d_out": d_shares.reads[0].tensor,
        "stats": again.reads[1].tensor,
        "delta": beside[0],
        "d_q": d_q.writes[0].tensor,
        "d_k": d_k.writes[0].tensor,
        "d_v": d_v.writes[0].tensor,
    }


def _inner(stage: Stage) -> set[str]:
    return {a.tensor for op in stage.ops for a in op.writes}


def backward_problem(stage: Stage, room: Room) -> AttentionProblem:
    """The attention whose gradients the stage makes.

    Raises:
        Unmappable: where products do not fit each other.
    """
    score, d_shares, *_ = products(stage)
    cases = []
    for (_, one), (_, other) in zip(score.cases(), d_shares.cases(), strict=True):
        if (one["B"], one["M"], one["N"]) != (other["B"], other["M"], other["N"]):
            raise Unmappable(f"{score.name}: gradients and scores do not fit each other")
        cases.append(Heads(one["B"], one["M"], one["N"]))
    names, tensors = operands(stage), room.graph.tensors
    names["out"] = names["d_out"]
    names["shares"] = stage.ops[1].writes[0].tensor
    return AttentionProblem(
        name=score.name,
        cases=tuple(cases),
        queries=score.queries or score.ranks["M"],
        key_dim=score.ranks["K"],
        value_dim=d_shares.ranks["K"],
        causal=score.causal,
        reach=score.reach,
        dtypes={word: tensors[names[word]].dtype for word in ("q", "k", "v", "out", "shares")},
        partial_bits=room.accumulator_bits,
    )


def backward_stage(stage: Stage, room: Room) -> Stage:
    """The stage with its tiles.

    Raises:
        Unsupported: E302 for an element type without a rate.
        Unmappable: when no tile fits.
    """
    engine, vector, machine = stage.engine, stage.vector, room.machine
    assert isinstance(engine, MacEngine)
    assert isinstance(vector, VectorEngine)
    found = backward_problem(stage, room)
    for op in products(stage):
        form = room.graph.tensors[op.reads[1].tensor].dtype
        if not engine.takes(form):
            raise no_rate(stage.path, form.computes_as, engine, form)
    rows, cols, count = engine.grid
    per = [vector.lane_cycles(op) for op in lane_ops(stage)]

    def cycles(points: Ints, high: Ints) -> Ints:
        return sum((vector.cycles(point, row, points, high) for point, row in per), 0 * points)

    target = BackwardTarget(
        engine=engine.name,
        rows=rows,
        cols=cols,
        count=count,
        clock_hz=engine.clock_hz,
        vector_clock_hz=vector.clock_hz,
        buffer_bytes=room.budget_bytes,
        dram_bytes_per_s=machine.dram_bytes_per_s,
        dram_latency_s=machine.dram.latency_ps / 1e12,
        depth=machine.dma.spec.depth,
        resident=frozenset(w for w, name in operands(stage).items() if name in room.resident),
        products=tuple(
            array_cost(
                engine,
                problem(op, room.graph.tensors, room.accumulator_bits),
                machine,
                room.graph.tensors[op.reads[1].tensor].dtype.computes_as,
            )
            for op in products(stage)
        ),
        points=cycles,
    )
    mapping = fastest(found, target)
    return replace(stage, mapping=mapping, room_bytes=mapping.room_bytes())
