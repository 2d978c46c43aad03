"""A graph divided over devices: the passes in their order, and which devices are alike.

Each pass is a function from a graph to a graph, in a file of its own.
"""

from __future__ import annotations

from dataclasses import replace

from archsim.ir.graph import OpGraph
from archsim.ir.parallel import ParallelPlan
from archsim.ir.partition import Partition, Share
from archsim.parallel.batch import alike, share_batch
from archsim.parallel.context import context_parallel
from archsim.parallel.dealt import deals, dealt_experts
from archsim.parallel.expert import Routes, expert_parallel
from archsim.parallel.gradients import sum_gradients
from archsim.parallel.interleaved import interleaved
from archsim.parallel.notes import notes_of
from archsim.parallel.overlap import overlap
from archsim.parallel.pipeline import Stage, stages
from archsim.parallel.resolve import resolve
from archsim.parallel.shape import Shape
from archsim.parallel.tensor import tensor_parallel
from archsim.parallel.tensor_columns import leads
from archsim.parallel.written import written


def partition(graph: OpGraph, plan: ParallelPlan | None, devices: int) -> Partition:
    """What each device of a machine runs of a graph.

    Args:
        graph: of the whole model.
        plan: the user's; None leaves it to `resolve`.
        devices: of the machine.

    Raises:
        InputError: E203 for a plan that does not divide the graph.
    """
    ready = written(graph, plan, devices)
    if ready:
        return ready
    found = resolve(plan, graph, devices)
    shape = Shape.of(graph)
    shares = tuple(_shares(graph, found, shape))
    for share in shares:
        share.graph.check()
    notes = notes_of(found, shape, graph, shares, given=plan is not None)
    return Partition(found, shares, graph, notes)


def _shares(graph: OpGraph, plan: ParallelPlan, shape: Shape) -> list[Share]:
    """Classes of alike devices, in the order of the pipeline."""
    alike_ones: dict[int, list[tuple[int, list[int], Stage]]] = {}  # by what they compute
    routes: dict[int, dict[tuple[str, str], Routes]] = {}  # of each share of the batch
    for at, devices in _coordinates(graph, plan, shape).items():
        for i, stage in enumerate(_device(graph, plan, shape, dict(at), routes)):
            mine = [d for d, step in devices if step == i]
            some = alike_ones.setdefault(_sizes(stage), [])
            known = next((k for k in some if k[0] == i and k[2] == stage), None)
            if known:
                known[1].extend(mine)
            else:
                some.append((i, mine, stage))
    found = [kind for some in alike_ones.values() for kind in some]
    kinds = sorted(((i, sorted(mine), stage) for i, mine, stage in found), key=lambda k: k[:2])
    names = _names(plan, [kind[0] for kind in kinds])
    return [
        Share(name, tuple(mine), stage.graph, stage.parts, stage.turns, stage.held)
        for name, (_, mine, stage) in zip(names, kinds, strict=True)
    ]


def _sizes(stage: Stage) -> int:
    """A number that alike stages share."""
    return hash(tuple((op.name, tuple(op.ranks.items()), op.groups) for _, op in stage.graph.ops()))


def _coordinates(
    graph: OpGraph, plan: ParallelPlan, shape: Shape
) -> dict[tuple[tuple[str, int], ...], list[tuple[int, int]]]:
    """Devices, with their stages, by what tells their work apart."""
    tells = [axis for axis in ("expert", "context") if plan.ways(axis) > 1]
    if deals(plan, shape) or leads(plan):
        tells.append("tensor")
    if not alike(graph, plan.data * (plan.microbatches or 1), shape.batch):
        tells.append("data")
    found: dict[tuple[tuple[str, int], ...], list[tuple[int, int]]] = {}
    for device in range(plan.devices):
        left, at = device, {}
        for axis in plan.order:
            left, at[str(axis)] = divmod(left, plan.ways(axis))
        key = tuple((axis, at[axis]) for axis in tells)
        found.setdefault(key, []).append((device, at["pipeline"]))
    return found


def _device(
    graph: OpGraph,
    plan: ParallelPlan,
    shape: Shape,
    at: dict[str, int],
    routes: dict[int, dict[tuple[str, str], Routes]],
) -> list[Stage]:
    """The stages of one device's work."""
    ways = plan.data * (plan.microbatches or 1)
    known = routes.setdefault(at.get("data", 0), {})
    graph, shape = share_batch(graph, ways, at.get("data", 0), shape)
    graph, shape = context_parallel(graph, plan, shape, at.get("context", 0))
    graph, shape = expert_parallel(graph, plan, shape, at.get("expert", 0), known)
    place = at.get("expert", 0), at.get("tensor", 0)
    graph = dealt_experts(graph, plan, shape, place, known)
    graph = sum_gradients(tensor_parallel(graph, plan, shape, place[1]), plan)
    weaves = shape.trains and plan.schedule == "interleaved" and plan.pipeline > 1
    found = (interleaved if weaves else stages)(graph, plan, shape)
    return [replace(s, graph=overlap(s.graph, plan.overlap_chunks)) for s in found]


def _names(plan: ParallelPlan, kinds: list[int]) -> list[str]:
    """Names of classes: by stage, and by number where a stage has several."""
    found = []
    for i, stage in enumerate(kinds):
        name = f"stage{stage}" if plan.pipeline > 1 else ""
        same = kinds.count(stage)
        part = f"part{kinds[:i].count(stage)}" if same > 1 else ""
        found.append(".".join(word for word in (name, part) if word))
    return found
