"""Several parts of a model on each stage of a pipeline, in turns: smaller bubbles, more messages.

Source: Narayanan et al., Efficient Large-Scale Language Model Training on GPU Clusters (2021),
section 2.2. Microbatches go in groups of as many as there are stages: all of a group through one
part, then through the next. Names of a part's blocks and tensors say which part it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.parallel import ParallelPlan
from archsim.ir.partition import Turn
from archsim.parallel.held import with_facts
from archsim.parallel.pipeline import BACKWARD, FORWARD, UPDATE, Stage, dealt, part_of, stage_of
from archsim.parallel.shape import Shape
from archsim.parallel.tied import tied, ties


def interleaved(graph: OpGraph, plan: ParallelPlan, shape: Shape) -> list[Stage]:
    """The stages of a device's graph of one microbatch of a training step."""
    ways, parts, micro = plan.pipeline, plan.virtual_stages, plan.microbatches or 1
    counts = dealt(graph, shape, ways * parts)
    found = []
    for s in range(ways):
        pieces = [
            _named(stage_of(graph, counts[c * ways + s], c * ways + s, ways * parts), c)
            for c in range(parts)
        ]
        if ties(graph):
            ends = {0: 0, ways - 1: parts - 1}
            if s in ends:
                pieces[ends[s]] = tied(pieces[ends[s]], s, ways)
        whole, names = _merged(graph, pieces)
        ahead = min((ways - s - 1) * 2 + (parts - 1) * ways, micro * parts)
        turns = _turns(ways, parts, micro, ahead)
        if UPDATE in names:
            turns = (*turns, Turn(1, (UPDATE,)))
        held = min(-(-(ahead + 1) // parts), micro)
        found.append(Stage(whole, names, turns, held))
    return found


def _named(graph: OpGraph, part: int) -> OpGraph:
    """The graph of one part, under names of its own."""
    if part == 0:
        return graph

    def tensor(name: str) -> str:
        return f"part{part}.{name}"

    def access(a: Access) -> Access:
        return replace(a, tensor=tensor(a.tensor))

    def op(o: Op) -> Op:
        picks = replace(o.picks, of=tensor(o.picks.of), by=tensor(o.picks.by)) if o.picks else None
        return replace(o, reads=tuple(map(access, o.reads)), writes=tuple(map(access, o.writes)),
                       picks=picks)  # fmt: skip

    blocks = tuple(
        Block(
            f"part{part}.{b.name}", b.count, tuple(map(op, b.ops)),
            tuple((tensor(read), tensor(made)) for read, made in b.carry), b.network,
        )
        for b in graph.blocks
    )  # fmt: skip
    tensors = {tensor(n): replace(t, name=tensor(n)) for n, t in graph.tensors.items()}
    return replace(graph, blocks=blocks, tensors=tensors)


def _merged(
    graph: OpGraph, pieces: Sequence[OpGraph]
) -> tuple[OpGraph, dict[str, tuple[str, ...]]]:
    """One graph of all parts, and names of blocks by what a turn runs."""
    blocks: dict[str, list[Block]] = {}
    for c, piece in enumerate(pieces):
        for block in piece.blocks:
            part = part_of(block.name)
            blocks.setdefault(part if part == UPDATE else f"{part}{c}", []).append(block)
    order = [f"{FORWARD}{c}" for c in range(len(pieces))]
    order += [f"{BACKWARD}{c}" for c in reversed(range(len(pieces)))]
    order += [UPDATE] if UPDATE in blocks else []
    tensors = {name: t for piece in pieces for name, t in piece.tensors.items()}
    found = tuple(block for name in order for block in blocks[name])
    names = {name: tuple(b.name for b in blocks[name]) for name in order}
    return with_facts(replace(graph, blocks=found, tensors=tensors)), names


def _turns(ways: int, parts: int, micro: int, ahead: int) -> tuple[Turn, ...]:
    """Forward steps ahead, then one forward and one backward at a time, then what is left."""
    steps = micro * parts

    def forward(k: int) -> str:
        return f"{FORWARD}{k // ways % parts}"

    def backward(k: int) -> str:
        return f"{BACKWARD}{parts - 1 - k // ways % parts}"

    order = [(forward(k),) for k in range(ahead)]
    pairs = [(forward(k), backward(k - ahead)) for k in range(ahead, steps)]
    rest = [(backward(k),) for k in range(steps - ahead, steps)]
    return tuple(Turn(len(list(run)), names) for names, run in groupby([*order, *pairs, *rest]))
