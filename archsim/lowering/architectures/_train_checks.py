"""Which Transformers have a backward pass here, and what a training step holds."""

from __future__ import annotations

from collections.abc import Iterator

from archsim.ir.graph import OpGraph
from archsim.ir.tensor import Role
from archsim.lowering.architectures._description import Transformer
from archsim.lowering.architectures.base import Objection


def trains(m: Transformer) -> bool:
    """True for dense decoders: gradients of experts, latents, sinks and biases are not known."""
    odd = m.moe or m.mla or m.attention_sinks or m.position == "relative"
    return m.lm_head and not (odd or m.encoder)


def train_objections(m: Transformer) -> Iterator[Objection]:
    """What a workload asks for that has no backward pass."""
    if m.block_sparse:
        message = "no backward pass is known of a mask of blocks"
        yield Objection("kind", "E202", message, "without attention.block_sparse")


def trained(graph: OpGraph) -> dict[str, int]:
    """Bytes that a training step holds beside the weights, over all layers."""
    return {
        "saved_activation_bytes": graph.stored_bytes(Role.SAVED),
        "gradient_bytes": graph.stored_bytes(Role.GRADIENT),
        "optimizer_bytes": graph.stored_bytes(Role.OPTIMIZER),
    }
