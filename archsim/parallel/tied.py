"""A token table that is the head's matrix too: its first and its last holder add up gradients.

Source: Shoeybi et al., Megatron-LM (2019), section 3, where stages share a tied embedding. Each of
both stages sends its gradient to the other, once a step.
"""

from __future__ import annotations

from dataclasses import replace

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Kind, Op, dims
from archsim.ir.tensor import Role
from archsim.parallel.held import exchange

TABLE = "embed.table.grad"


def ties(graph: OpGraph) -> bool:
    """Whether a training step's head is its token table."""
    heads = {a.tensor for _, op in graph.ops() if op.op_class == "lm_head" for a in op.reads}
    return TABLE in graph.tensors and TABLE.removesuffix(".grad") in heads


def tied(graph: OpGraph, stage: int, stages: int) -> OpGraph:
    """A stage's graph with the exchange, where it has the table's gradient and is not alone."""
    if stages == 1 or stage not in (0, stages - 1):
        return graph
    name = next((n for n in graph.tensors if n.endswith(TABLE)), None)
    if name is None:
        return graph
    grad = graph.tensors[name]
    peer = -1 if stage == 0 else 1  # the pipeline is a ring: beyond its first stage is the last
    other = replace(grad, name=f"{name}.other", role=Role.ACTIVATION)
    out = replace(grad, name=f"{name}.sent", role=Role.ACTIVATION)
    into = replace(grad, name=f"{name}.other.sent", role=Role.ACTIVATION)
    size = grad.shape[0], grad.elements // grad.shape[0]
    send = exchange("tied.send", "send", (name, out.name), size, "pipeline", 2, grad.bytes,
                    peer=peer)  # fmt: skip
    get = exchange("tied.receive", "receive", (into.name, other.name), size, "pipeline", 2,
                   grad.bytes, peer=peer)  # fmt: skip
    both = tuple(Access(n, dims("M", "N")) for n in (name, other.name))
    add = Op("tied.sum", Kind.VECTOR, "residual_backward", {"M": size[0], "N": size[1]}, both,
             both[:1], primitives={"add": 1})  # fmt: skip
    blocks = [b for b in graph.blocks if not b.name.endswith(".update")]
    last = [b for b in graph.blocks if b.name.endswith(".update")]
    found = (*blocks, Block("tied.gradients", 1, (send, get, add)), *last)
    made = {t.name: t for t in (other, out, into)}
    return replace(graph, blocks=found, tensors={**graph.tensors, **made})
