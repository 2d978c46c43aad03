"""Pipeline parallelism: stages of consecutive layers, and what they send each other.

Layers are dealt by number; what stands before them goes with the first stage, what stands behind
with the last. Sources of the orders: Huang et al., GPipe (2019); Narayanan et al., PipeDream-Flush
(2021, section 2.2), known as 1F1B. Which device runs what else is in `partition`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Op
from archsim.ir.parallel import ParallelPlan
from archsim.ir.partition import Turn
from archsim.parallel.held import exchange, passing, with_facts
from archsim.parallel.shape import Shape
from archsim.parallel.tied import tied, ties

FORWARD, BACKWARD, UPDATE = "forward", "backward", "update"


@dataclass(frozen=True)
class Stage:
    """What a stage runs: its graph, names of blocks by part, and the order of the parts."""

    graph: OpGraph
    parts: dict[str, tuple[str, ...]]
    turns: tuple[Turn, ...]
    held: int


def stages(graph: OpGraph, plan: ParallelPlan, shape: Shape) -> list[Stage]:
    """The stages of a device's graph of one microbatch, in their order."""
    micro = plan.microbatches or 1
    if plan.pipeline == 1:
        parts = _parts(graph.blocks) if shape.trains or micro > 1 else {}
        turns, held = _turns(plan.schedule, 0, 1, micro, tuple(parts)) if micro > 1 else ((), 1)
        return [Stage(graph, parts, turns, held)]
    counts = dealt(graph, shape, plan.pipeline)
    found = []
    for s, mine in enumerate(counts):
        cut = stage_of(graph, mine, s, plan.pipeline)
        if ties(graph):
            cut = tied(cut, s, plan.pipeline)
        parts = _parts(cut.blocks)
        turns, held = _turns(plan.schedule, s, plan.pipeline, micro, tuple(parts))
        found.append(Stage(cut, parts, turns, held))
    return found


def part_of(block: str) -> str:
    """The part of a training step that a block belongs to."""
    if block.endswith((".update", ".gradients")):
        return UPDATE
    return BACKWARD if block.endswith((".backward", "loss")) else FORWARD


def _parts(blocks: Sequence[Block]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for block in blocks:
        part = part_of(block.name)
        found[part] = (*found.get(part, ()), block.name)
    return found


def _turns(
    schedule: str, stage: int, stages: int, micro: int, parts: tuple[str, ...]
) -> tuple[tuple[Turn, ...], int]:
    """The order of a stage's parts, and microbatches that it holds at once."""
    if BACKWARD not in parts:  # a step of inference keeps the cache of every microbatch
        return (Turn(micro, (FORWARD,)),), micro
    last = (Turn(1, (UPDATE,)),) if UPDATE in parts else ()
    if schedule == "gpipe":
        return (Turn(micro, (FORWARD,)), Turn(micro, (BACKWARD,)), *last), micro
    ahead = min(stages - 1 - stage, micro)
    body = [Turn(ahead, (FORWARD,)), Turn(micro - ahead, (FORWARD, BACKWARD)),
            Turn(ahead, (BACKWARD,))]  # fmt: skip
    return (*(turn for turn in body if turn.times), *last), min(ahead + 1, micro)


def dealt(graph: OpGraph, shape: Shape, stages: int) -> list[dict[str, int]]:
    """Repetitions of each block of layers by stage; stages in the middle get what is over."""
    layers = dict(shape.layers)
    units = [
        b.name for b in graph.blocks if b.name in layers for _ in range(b.count)
    ]  # fmt: skip
    base, over = divmod(len(units), stages)
    order = [*range(1, stages - 1), 0, stages - 1]
    sizes = [base + (s in order[:over]) for s in range(stages)]
    found, at = [], 0
    for size in sizes:
        mine: dict[str, int] = {}
        for name in units[at : at + size]:
            mine[name] = mine.get(name, 0) + 1
        found.append(mine)
        at += size
    return found


def stage_of(graph: OpGraph, mine: dict[str, int], stage: int, stages: int) -> OpGraph:
    """The blocks of one stage, with its messages."""
    first, last = stage == 0, stage == stages - 1
    layered = set(_layered(graph))
    blocks: list[Block] = []
    ends = _ends(graph, mine)
    for block in graph.blocks:
        base = block.name.removesuffix(".backward").removesuffix(".update")
        base = base.removesuffix(".gradients")
        if base in layered:
            if base in mine:
                blocks.append(replace(block, count=mine[base]))
        elif (_early(graph, base) and first) or (not _early(graph, base) and last):
            blocks.append(block)
    return _with_messages(graph, blocks, ends, (first, last))


def _layered(graph: OpGraph) -> set[str]:
    return {
        b.name for b in graph.blocks
        if any(op.op_class == "out_proj" and op.name.endswith("attn.out") for op in b.ops)
    }  # fmt: skip


def _early(graph: OpGraph, name: str) -> bool:
    """Whether a block stands before all layers."""
    names = [b.name for b in graph.blocks]
    return names.index(name) < min(names.index(n) for n in _layered(graph))


def _ends(graph: OpGraph, mine: dict[str, int]) -> tuple[str, str]:
    """The residual stream as a stage's layers find it and leave it."""
    blocks = [b for b in graph.blocks if b.name in mine]
    return _input(blocks[0]), blocks[-1].ops[-1].writes[0].tensor


def _input(block: Block) -> str:
    """The residual stream that a block of layers is given."""
    if block.carry:
        return block.carry[0][0]
    return block.ops[0].reads[0].tensor


def _with_messages(
    graph: OpGraph, blocks: list[Block], ends: tuple[str, str], edge: tuple[bool, bool]
) -> OpGraph:
    """The blocks of a stage between what it receives and what it sends, forward and back."""
    tensors = dict(graph.tensors)

    def message(pattern: str, name: str, peer: int, back: str = "") -> Block:
        tensor = tensors[name]
        given = f"{name}.sent"
        tensors[given] = passing(tensor, given)
        pair = (given, name) if pattern == "receive" else (name, given)
        width = tensor.shape[-1]
        op: Op = exchange(
            pattern, "receive" if pattern == "receive" else "send", pair,
            (tensor.elements // width, width), "pipeline", 2, tensor.bytes, peer=peer,
        )  # fmt: skip
        return Block(pattern + back, 1, (op,))

    first, last = edge
    forward = [b for b in blocks if part_of(b.name) == FORWARD]
    backward = [b for b in blocks if part_of(b.name) == BACKWARD]
    rest = [b for b in blocks if part_of(b.name) == UPDATE]
    made = forward
    if not first:
        made = [message("receive", ends[0], -1), *made]
    if not last:
        made = [*made, message("send", ends[1], 1)]
    if backward:
        if not last:
            backward = [message("receive", f"d.{ends[1]}", 1, ".backward"), *backward]
        if not first:
            backward = [*backward, message("send", f"d.{ends[0]}", -1, ".backward")]
    found = (*made, *backward, *rest)
    names = {a.tensor for b in found for op in b.ops for a in (*op.reads, *op.writes)}
    names |= {name for b in found for pair in b.carry for name in pair}
    kept = {name: t for name, t in tensors.items() if name in names}
    return with_facts(replace(graph, blocks=tuple(found), tensors=kept))
