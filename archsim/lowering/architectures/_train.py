"""A training step of a Transformer: forward, loss, the backward pass of every block, optimizer.

Backward blocks repeat as the forward ones do, in the opposite order. What they read of the forward
pass is saved, once a layer. Gradients of each kind of op are in `_backward`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from archsim.ir.graph import Block
from archsim.ir.op import Op
from archsim.ir.tensor import DTYPES, Role, Tensor
from archsim.lowering.architectures._backward import BEHIND, Backward, gradient_of, with_form
from archsim.lowering.architectures._train_forms import LOSS, OPTIMIZERS, STATES
from archsim.lowering.parts import Parts

if TYPE_CHECKING:
    from archsim.lowering.architectures._description import Transformer


def training(
    p: Parts, m: Transformer, tokens: int, forward: Sequence[Block], optimizer: str
) -> Iterator[Block]:
    """What follows the forward blocks of a step.

    Args:
        p: where tensors go.
        m: the model.
        tokens: of all sequences.
        forward: the blocks, from the embedding to the logits.
        optimizer: none, sgd or adam.
    """
    yield Block("loss", 1, (_loss(p, m, tokens),))
    backward = [_reversed(p, block) for block in reversed(forward)]
    yield from backward
    _save(p, forward, backward)
    if optimizer != "none":
        seen: set[str] = set()
        for block in forward:
            ops = tuple(_updates(p, block, optimizer, seen))
            if ops:
                yield Block(f"{block.name}.update", block.count, ops)


def _loss(p: Parts, m: Transformer, tokens: int) -> Op:
    """Cross entropy of the logits with the next tokens, and its gradient at once."""
    size = (tokens, m.vocab)
    logits, targets = p.tensor("logits", size), p.tensor("targets", (tokens,), Role.INDEX)
    writes = [p.tensor(gradient_of("logits"), size), p.tensor("losses", (tokens,))]
    return with_form(p.vector("loss", "loss", [logits, targets], writes, size), LOSS)


def _reversed(p: Parts, block: Block) -> Block:
    """The backward block of a forward one."""
    written = {a.tensor for op in block.ops for a in op.writes}
    results = [block.ops[-1].writes[0].tensor]
    given = {
        a.tensor
        for op in block.ops
        for a in op.reads
        if a.tensor not in written and p.tensors[a.tensor].role is Role.ACTIVATION
    }
    ops = tuple(Backward(p, block.ops).ops(results, sorted(given)))
    carry = tuple((gradient_of(after), gradient_of(before)) for before, after in block.carry)
    return Block(block.name + BEHIND, block.count, ops, carry)


def _save(p: Parts, forward: Sequence[Block], backward: Sequence[Block]) -> None:
    """Let activations that the backward pass reads be kept for it, once an iteration."""
    made = {a.tensor for block in forward for op in block.ops for a in op.writes}
    read = {a.tensor for block in backward for op in block.ops for a in op.reads}
    for name in made & read:
        if p.tensors[name].role is Role.ACTIVATION:
            p.tensors[name] = replace(p.tensors[name], role=Role.SAVED)


def _updates(p: Parts, block: Block, optimizer: str, seen: set[str]) -> Iterator[Op]:
    """One op for each weight of a block that no earlier block has."""
    for op in block.ops:
        for access in op.reads:
            weight = p.tensors[access.tensor]
            if weight.role is not Role.WEIGHT or weight.name in seen:
                continue
            seen.add(weight.name)
            states = [
                Tensor(f"{weight.name}.{state}", weight.shape, DTYPES["fp32"], Role.OPTIMIZER)
                for state in STATES[optimizer]
            ]
            p.tensors |= {state.name: state for state in states}
            width = weight.shape[-1]
            size = (weight.elements // width, width)
            held = [p.whole(name) for name in (weight.name, *(s.name for s in states))]
            reads = [p.whole(f"{weight.name}.grad"), *held]
            update = p.vector(f"{weight.name}.{optimizer}", "optimizer", reads, held, size)
            yield with_form(update, OPTIMIZERS[optimizer])
