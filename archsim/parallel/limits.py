"""What divides what along the tensor, expert and context axes: heads, widths, tokens, experts.

The batch and the layers are the business of `resolve`.
"""

from __future__ import annotations

from math import gcd

from archsim.ir.graph import OpGraph
from archsim.ir.parallel import ParallelPlan
from archsim.parallel.refusal import divisors, listed, refused
from archsim.parallel.shape import Shape

LATENT = ("kv_up", "k_up", "k_raise", "kv_down")  # products that raise a cached latent


def legal(shape: Shape) -> list[int]:
    """Tensor ways that divide heads and widths of a graph."""
    return [
        n for n in divisors(shape.heads) if all(width % n == 0 for width in shape.ffn)
        and (shape.kv_heads % n == 0 or n % shape.kv_heads == 0)
    ]  # fmt: skip


def check_tensor(plan: ParallelPlan, shape: Shape) -> None:
    """Heads, feed-forward widths, tokens."""
    n = plan.tensor
    if n == 1 or plan.layout == "columns":  # the last share is padded
        return
    known = [v for v in legal(shape) if plan.devices % v == 0]
    if not shape.heads:
        raise refused(
            f"tensor: {n} is of layers with attention and its projections, and there are none",
            "data: divides the batch of any model",
        )
    if shape.heads % n:
        raise refused(f"tensor: {n} does not divide {shape.heads} heads",
                      f"tensor: {listed(known)}")  # fmt: skip
    if shape.kv_heads % n and n % shape.kv_heads:
        raise refused(
            f"tensor: {n} neither divides {shape.kv_heads} heads of keys nor is a multiple of them",
            f"tensor: {listed(known)}",
        )
    if shape.trains and shape.kv_heads % n:
        known = [v for v in known if shape.kv_heads % v == 0]
        raise refused(f"tensor: {n} does not divide {shape.kv_heads} heads of keys, of which each "
                      "has one gradient", f"tensor: {listed(known)}")  # fmt: skip
    if shape.trains and plan.attention == "batch":
        raise refused("attention: batch is of inference", "attention: heads")
    for width in shape.ffn:
        if width % n:
            raise refused(f"tensor: {n} does not divide a feed-forward width of {width}",
                          f"tensor: {listed(known)}")  # fmt: skip
    shares = plan.data * plan.expert * (plan.microbatches or 1)
    local = shape.tokens // shares
    if shape.tokens > shape.batch:  # in decode the context axis divides no tokens
        local //= plan.context
    if plan.sequence and local % n:
        raise refused(f"sequence: tensor: {n} does not divide {local} tokens",
                      f"tensor: {listed(v for v in known if local % v == 0)}")  # fmt: skip
    batch = shape.batch // shares
    if plan.attention == "batch" and batch % n:
        raise refused(f"attention: batch: tensor: {n} does not divide {batch} sequences",
                      f"tensor: {listed(v for v in known if batch % v == 0)}")  # fmt: skip


def check_experts(plan: ParallelPlan, shape: Shape) -> None:
    """Experts, whole."""
    _check_dealt(plan, shape)
    _check_sliced(plan, shape)
    n = plan.expert
    if n == 1:
        return
    if not shape.experts:
        raise refused(f"expert: {n} is of a model with experts, and this one is dense",
                      "tensor, data or pipeline")  # fmt: skip
    if shape.experts % n:
        raise refused(f"expert: {n} does not divide {shape.experts} experts",
                      f"expert: {listed(divisors(shape.experts))}")  # fmt: skip
    if plan.shadow_experts > shape.experts:
        raise refused(f"shadow_experts: {plan.shadow_experts} of {shape.experts} experts",
                      f"shadow_experts: 0 to {shape.experts}")  # fmt: skip


def _check_sliced(plan: ParallelPlan, shape: Shape) -> None:
    """Features of tokens, dealt over the tensor axis on their way."""
    if plan.experts != "sliced" or plan.tensor == 1 or plan.expert == 1:
        return
    if shape.trains or plan.layout != "1d":
        raise refused("experts: sliced is of inference with layout: 1d", "experts: shared")
    if shape.width % plan.tensor:
        known = [n for n in legal(shape) if shape.width % n == 0]
        raise refused(
            f"experts: sliced: tensor: {plan.tensor} does not divide {shape.width} features",
            f"tensor: {listed(known)}",
        )


def _check_dealt(plan: ParallelPlan, shape: Shape) -> None:
    """Whole experts over the tensor axis, or devices of the axis over experts."""
    if plan.experts != "dealt" or plan.tensor == 1 or not shape.experts:
        return
    if plan.shadow_experts:
        raise refused("shadow_experts: are held by every device, and experts: dealt gives each "
                      "device its own", "shadow_experts: 0, or experts: shared")  # fmt: skip
    if shape.experts % plan.expert:
        return  # refused behind this
    here = shape.experts // plan.expert
    if here % plan.tensor and plan.tensor % here:
        known = [n for n in legal(shape) if here % n == 0 or n % here == 0]
        raise refused(
            f"experts: dealt: tensor: {plan.tensor} neither divides {here} experts nor is a "
            "multiple of them", f"tensor: {listed(known)}",
        )  # fmt: skip


def check_context(plan: ParallelPlan, shape: Shape, graph: OpGraph) -> None:
    """Tokens of a sequence, or of its cache."""
    n = plan.context
    if n == 1:
        return
    scores = [op for _, op in graph.ops() if op.op_class == "attention_score"]
    if not scores or shape.trains or shape.parts > 1:
        raise refused(f"context: {n} is of attention in prefill, decode or encode", "context: 1")
    if any(op.op_class == "kv_select" or op.name.endswith("attn.join") for _, op in graph.ops()):
        raise refused("context: tokens are neither chosen nor shared in parts", "context: 1")
    decodes = shape.tokens == shape.batch
    tokens = shape.tokens // shape.batch
    if decodes:
        lengths = {dict(g.extents)["N"] for op in scores for g in op.groups}
        lengths |= {op.ranks["N"] for op in scores if not op.groups}
        odd = sorted(length for length in lengths if length % n)
        if odd:
            raise refused(f"context: {n} does not divide a context of {odd[0]} tokens",
                          f"context: {listed(divisors(gcd(*lengths)))}")  # fmt: skip
        return
    if tokens % n:
        raise refused(f"context: {n} does not divide {tokens} tokens",
                      f"context: {listed(divisors(tokens))}")  # fmt: skip
    if any(op.op_class == "qkv_proj" and op.name.endswith(LATENT) for _, op in graph.ops()):
        raise refused("context: prompts of models with latent keys are not divided", "context: 1")
    whole = all(op.ranks["N"] == tokens and op.reach is None for op in scores)
    if plan.context_kind != "all_gather" and not whole:
        raise refused(f"context_kind: {plan.context_kind} is of prompts without tokens before them "
                      "and without a window", "context_kind: all_gather")  # fmt: skip
