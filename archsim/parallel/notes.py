"""What a user should know of a partition: what is replicated, padded, dealt out, or assumed."""

from __future__ import annotations

from collections.abc import Sequence

from archsim.core.units import format_bytes
from archsim.ir.graph import OpGraph
from archsim.ir.parallel import AXES, ParallelPlan
from archsim.ir.partition import Share
from archsim.ir.tensor import Role
from archsim.parallel.expert import dropped
from archsim.parallel.overlap import overlaps
from archsim.parallel.shape import Shape

REPLICATED, PADDED, CHOSEN, IDLE, DROPPED = "W110", "W111", "W112", "W101", "W113"


def notes_of(
    plan: ParallelPlan, shape: Shape, graph: OpGraph, shares: Sequence[Share], *, given: bool
) -> tuple[tuple[str, str], ...]:
    """Codes and texts."""
    found: list[tuple[str, str]] = []
    if not given and plan.devices > 1:
        ways = " x ".join(f"{axis} {plan.ways(axis)}" for axis in AXES if plan.ways(axis) > 1)
        found.append((CHOSEN, f"no parallel plan was given: {ways} was chosen"))
    cache = graph.stored_bytes(Role.KV_CACHE)
    held = sum(
        len(s.devices) * (plan.microbatches or 1) * s.graph.stored_bytes(Role.KV_CACHE)
        for s in shares
    )
    times = held / max(cache, 1)
    if cache and held > cache and plan.tensor > 1:
        heads = "head is" if shape.kv_heads == 1 else "heads are"
        what = f"{shape.kv_heads} KV {heads} held {times:g} times"
        if plan.tensor <= shape.kv_heads:
            what = f"cached latents, which all heads share, are held {times:g} times"
        size = f"{format_bytes(held)} of KV cache, not {format_bytes(cache)}"
        text = f"{what} over tensor: {plan.tensor}: {size}"
        found.append((REPLICATED, text))
    if shape.vocab % plan.tensor:
        padded = -(-shape.vocab // plan.tensor) * plan.tensor
        text = f"the vocabulary of {shape.vocab} is padded to {padded}, for tensor: {plan.tensor}"
        found.append((PADDED, text))
    if plan.overlap_chunks > 1 and not any(overlaps(s.graph) for s in shares):
        why = "no product is followed by a collective of its own result"
        found.append((IDLE, f"parallel.overlap_chunks has no effect: {why}"))
    return (*found, *_of_experts(plan, shape, graph), *_idle(plan, shape))


def _idle(plan: ParallelPlan, shape: Shape) -> list[tuple[str, str]]:
    """Options of other axes that change nothing."""
    found = []
    given = plan.model_fields_set

    def idle(key: str, why: str) -> None:
        found.append((IDLE, f"parallel.{key} has no effect: {why}"))

    if plan.tensor == 1:
        for key in ("sequence", "attention", "layout", "experts"):
            if getattr(plan, key) != type(plan).model_fields[key].default:
                idle(key, "the tensor axis has one device")
    elif plan.experts != "shared" and not shape.experts:
        idle("experts", "the model is dense")
    elif plan.experts == "sliced" and plan.expert == 1:
        idle("experts", "no token travels along the expert axis")
    if plan.context == 1 and "context_kind" in given:
        idle("context_kind", "the context axis has one device")
    elif "context_kind" in given and shape.tokens == shape.batch:
        idle("context_kind", "in decode the cache is dealt out, and nothing travels")
    if plan.virtual_stages > 1 and not (
        plan.schedule == "interleaved" and shape.trains and plan.pipeline > 1
    ):
        idle("virtual_stages", "no pipeline of a training step is interleaved")
    if "schedule" in given and (plan.pipeline == 1 or not shape.trains):
        idle("schedule", "only a pipeline of a training step has several orders")
    return found


def _of_experts(plan: ParallelPlan, shape: Shape, graph: OpGraph) -> list[tuple[str, str]]:
    """Tokens without room, and options of experts that change nothing."""
    options = {"capacity_factor": plan.capacity_factor, "shadow_experts": plan.shadow_experts}
    if plan.expert == 1:
        return [
            (IDLE, f"parallel.{key} has no effect: experts are not dealt out over devices")
            for key, value in options.items() if value
        ]  # fmt: skip
    if plan.capacity_factor is None:
        return []
    lost, total = dropped(graph, plan, shape.experts)
    if not lost:
        text = f"parallel.capacity_factor {plan.capacity_factor:g} has no effect: all tokens fit"
        return [(IDLE, text)]
    text = f"capacity_factor {plan.capacity_factor:g} drops {lost} of {total} tokens of experts"
    return [(DROPPED, text)]
