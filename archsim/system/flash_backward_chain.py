"""Which backward passes of attention stay on chip, and what their forward passes keep for them.

The ops are there one by one: seven from the scores that are made again to the gradient of the keys.
Where `flash_attention` is asked for they become one stage, shares are made of scores with one
number a row, and the softmax of the forward pass writes that number. Otherwise nothing changes.
"""

from __future__ import annotations

from dataclasses import replace

from archsim.components.base import KernelEngine, MacEngine, VectorEngine
from archsim.components.systolic_array import SystolicArray
from archsim.dataflows.base import covers_attention
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Kind, Op
from archsim.ir.tensor import DTYPES, Role, Tensor
from archsim.system.build import Machine
from archsim.system.mapper_rule import AUTO
from archsim.system.rules import engine_of, rule_of

FLASH = "flash_attention"  # the template that takes a whole attention as one stage
CLASS = "attention_backward"
FORWARD = "attention_score"  # class of the op whose rules hold for its gradients too
CHAIN = (
    Kind.GEMM, Kind.VECTOR, Kind.GEMM, Kind.GEMM, Kind.VECTOR, Kind.GEMM, Kind.GEMM
)  # fmt: skip
# a row's logarithm of its sum, log(sum) + max; a logarithm costs what an exponential does (assumed)
STATISTIC = {"add": 1, "exp": 1}
# exp(x s - statistic): without the maximum, the sum, and the product with 1 / sum
FOUND_AGAIN = {"max": 1, "add": 1, "mul": 1}


def backward_chain(block: Block, at: int) -> list[int]:
    """Places of the seven ops that begin at one; empty where they are none."""
    if block.ops[at].op_class != CLASS:
        return []
    ops = block.ops[at : at + len(CHAIN)]
    if [(op.op_class, op.kind) for op in ops] != [(CLASS, kind) for kind in CHAIN]:
        return []
    scores, shares, d_shares, d_scores = (ops[i].writes[0].tensor for i in (0, 1, 3, 4))
    first = [op.reads[0].tensor for op in ops]
    if (first[1], first[2], first[4], first[5], first[6]) != (
        scores, shares, shares, d_scores, d_scores
    ) or d_shares not in (a.tensor for a in ops[4].reads):  # fmt: skip
        return []
    inner = {scores, shares, d_shares, d_scores}
    others = (*block.ops[:at], *block.ops[at + len(CHAIN) :])
    if any(a.tensor in inner for op in others for a in op.reads):
        return []
    return list(range(at, at + len(CHAIN)))


def kept_chain(graph: OpGraph, block: Block, at: int) -> list[int]:
    """The chain that begins at an op, where its forward pass keeps what it needs on chip."""
    found = backward_chain(block, at)
    return found if found and _statistic(graph, block.ops[found[1]]) else []


def leaves_of(ops: tuple[Op, ...]) -> tuple[str, ...]:
    """What leaves an attention stage, where that is more than its last op writes; else nothing.

    The statistic of a forward pass beside its result, or three gradients.
    """
    if ops[0].op_class == CLASS:
        return tuple(ops[i].writes[0].tensor for i in (2, 5, 6))
    beside = tuple(a.tensor for op in ops for a in op.writes[1:])
    return (*beside, ops[-1].writes[0].tensor) if beside else ()


def keep_statistics(graph: OpGraph, machine: Machine) -> OpGraph:
    """The graph as it is where backward passes stay on chip: forward passes keep what they need.

    The softmax of such an attention writes a number a row; shares are made again with it; delta is
    as wide as the number is. A graph without any is returned as it is.
    """
    changed: dict[str, Op] = {}
    tensors: dict[str, Tensor] = {}
    for block in graph.blocks:
        for i, op in enumerate(block.ops):
            chain = backward_chain(block, i)
            if not chain or len(block.ops[chain[1]].reads) > 1:
                continue  # shares of more than scores, as with a mask that is a tensor
            if not _asked(machine, block, [block.ops[j] for j in chain]):
                continue
            forward = _forward(graph, machine, op)
            if forward is None:
                continue
            where, softmax = forward
            again, d_scores = block.ops[chain[1]], block.ops[chain[4]]
            name = f"{softmax.writes[0].tensor}.statistic"
            tensors[name] = Tensor(name, (softmax.rows(),), DTYPES["fp32"], Role.SAVED)
            delta = graph.tensors[d_scores.reads[-1].tensor]
            tensors[delta.name] = replace(delta, dtype=DTYPES["fp32"])
            changed[f"{where}/{softmax.name}"] = _keeping(softmax, name)
            changed[f"{block.name}/{again.name}"] = _again(again, name)
    if not changed:
        return graph
    blocks = tuple(
        replace(b, ops=tuple(changed.get(f"{b.name}/{op.name}", op) for op in b.ops))
        for b in graph.blocks
    )
    return replace(graph, blocks=blocks, tensors={**graph.tensors, **tensors})


def _statistic(graph: OpGraph, again: Op) -> bool:
    """True for an op that makes shares of scores with what the forward pass has kept."""
    beside = again.reads[1:]
    return len(beside) == 1 and graph.tensors[beside[0].tensor].role is Role.SAVED


def _asked(machine: Machine, block: Block, ops: list[Op]) -> bool:
    """True where a rule asks for it, be it the one of attention, and one engine runs it.

    `auto` asks for it where it does of an attention, see `place`.
    """
    engines = [engine_of(machine, f"{block.name}/{op.name}", op, set()) for op in ops]
    arrays = {e.name for e, op in zip(engines, ops, strict=True) if op.is_mac}
    lanes = {e.name for e, op in zip(engines, ops, strict=True) if not op.is_mac}
    one = len(arrays) == len(lanes) == 1 and isinstance(engines[1], VectorEngine)
    if not one or not isinstance(engines[0], MacEngine):
        return False
    asked = _dataflow(machine, block, ops[0])
    return asked == FLASH or (
        asked == AUTO and isinstance(engines[0], SystolicArray | KernelEngine)
    )


def template_rule(machine: Machine, path: str, op: Op) -> int | None:
    """Number of the rule that gives an op its template: of a gradient also that of its attention.

    It is the first that names the op, or the attention whose gradient it is.
    """
    alike = (op, replace(op, op_class=FORWARD)) if op.op_class == CLASS else (op,)
    found = [rule_of(machine, path, one, "dataflow", set()) for one in alike]
    return min((i for i in found if i is not None), default=None)


def _dataflow(machine: Machine, block: Block, op: Op) -> str | None:
    first = template_rule(machine, f"{block.name}/{op.name}", op)
    return None if first is None else machine.spec.mapping[first].dataflow


def _forward(graph: OpGraph, machine: Machine, again: Op) -> tuple[str, Op] | None:
    """Block and softmax of the attention whose scores are made again; None if none can keep."""
    reads = [a.tensor for a in again.reads]
    for block in graph.blocks:
        for op in block.ops:
            if op.op_class == FORWARD and [a.tensor for a in op.reads] == reads:
                asked = _dataflow(machine, block, op)
                if covers_attention(asked) and asked != FLASH:
                    return None  # a cascade
                name = op.writes[0].tensor
                return block.name, next(
                    one for one in block.ops if name in (a.tensor for a in one.reads)
                )
    return None


def _keeping(softmax: Op, name: str) -> Op:
    rows = dict(softmax.row_primitives)
    for word, n in STATISTIC.items():
        rows[word] = rows.get(word, 0) + n
    writes = (*softmax.writes, Access(name))
    return replace(softmax, writes=writes, row_primitives=rows)


def _again(op: Op, name: str) -> Op:
    points = {word: n - FOUND_AGAIN.get(word, 0) for word, n in op.primitives.items()}
    return replace(
        op,
        reads=(*op.reads, Access(name)),
        primitives={word: n for word, n in points.items() if n > 0},
        row_primitives={},
        reduces=False,
    )
