"""Sub-batches: a decode step in parts that run through the same layers side by side.

The parts are networks to the sequencer: none waits for another but where both need one engine or
one memory, so that one's attention inside the memory overlaps the other's products on the chip.
They share weights, which each reads for itself; caches and activations are their own.
"""

from __future__ import annotations

from dataclasses import replace

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.partition import Share
from archsim.ir.tensor import Role
from archsim.parallel.batch import share_batch
from archsim.parallel.held import with_facts
from archsim.parallel.shape import Shape
from archsim.system.build import Machine
from archsim.system.place import Plan
from archsim.system.split_rule import Interleave


def sub_batches(graph: OpGraph, machine: Machine) -> OpGraph:
    """The graph as its machine interleaves it; whole where it does not, or cannot."""
    rule = machine.spec.interleave
    if rule is None or _whole_because(graph, rule):
        return graph
    batch = _sequences(graph)
    shape = replace(Shape.of(graph), batch=batch, tokens=batch)
    ways = range(rule.sub_batches)
    parts = [_named(share_batch(graph, len(ways), i, shape)[0], f"sub{i + 1}") for i in ways]
    tensors = {name: tensor for part in parts for name, tensor in part.tensors.items()}
    blocks = tuple(block for part in parts for block in part.blocks)
    return with_facts(replace(graph, blocks=blocks, tensors=tensors))


def _whole_because(graph: OpGraph, rule: Interleave) -> str:
    """Why a graph is not interleaved; empty where it is."""
    phase = dict(graph.facts.get("phase") or {}).get("kind")
    batch, ways = _sequences(graph), rule.sub_batches
    if phase != "decode":
        return "it is of decode steps"
    if len(graph.networks) > 1:
        return "several networks run at once"
    if batch < rule.min_batch:
        return f"{batch} sequences are fewer than min_batch {rule.min_batch}"
    return "" if batch and not batch % ways else f"{batch} sequences are no {ways} alike parts"


def whole_because(plan: Plan) -> str:
    """Why the graph of a plan is not interleaved, although its machine says so."""
    rule = plan.machine.spec.interleave
    assert rule is not None
    return _whole_because(plan.graph, rule) or "the turns of a pipeline overlap already"


def with_sub_batches(share: Share, machine: Machine) -> Share:
    """What alike devices run, their graph interleaved; parts of a pipeline's turns stay whole."""
    if share.turns:
        return share
    return replace(share, graph=sub_batches(share.graph, machine))


def _sequences(graph: OpGraph) -> int:
    """Sequences of a decode step on one device: each appends a token to its cache."""
    appends = (
        op.rows() for _, op in graph.ops()
        if op.op_class == "kv_append" and graph.tensors[op.writes[0].tensor].role is Role.KV_CACHE
    )  # fmt: skip
    return next(appends, 0)


def _named(graph: OpGraph, part: str) -> OpGraph:
    """The graph of one part: blocks and all tensors but weights bear its name in front."""

    def name(tensor: str) -> str:
        return tensor if graph.tensors[tensor].role is Role.WEIGHT else f"{part}.{tensor}"

    def named(accesses: tuple[Access, ...]) -> tuple[Access, ...]:
        return tuple(replace(a, tensor=name(a.tensor)) for a in accesses)

    def op(o: Op) -> Op:
        picks = replace(o.picks, by=name(o.picks.by)) if o.picks else None
        return replace(o, reads=named(o.reads), writes=named(o.writes), picks=picks)

    blocks = tuple(
        Block(
            f"{part}.{b.name}", b.count, tuple(map(op, b.ops)),
            tuple((name(read), name(made)) for read, made in b.carry), part,
        )
        for b in graph.blocks
    )  # fmt: skip
    tensors = {name(n): replace(t, name=name(n)) for n, t in graph.tensors.items()}
    return replace(graph, blocks=blocks, tensors=tensors)
