"""Executes the graphs of all devices of a partition with numpy, collectives included.

Proves that a partition computes what the undivided graph does: each device holds its slices of the
weights and of the cache, and its tokens; it runs its ops one by one and waits at a collective for
the rest of its group. Where tokens go among experts, and what an op yields, is in
`functional_devices`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.parallel import ParallelPlan
from archsim.ir.partition import Partition
from archsim.parallel.partition import partition
from archsim.testing.functional_attention import Floats
from archsim.testing.functional_devices import Device
from archsim.testing.functional_slices import Model, Place
from archsim.testing.functional_weights import weight_of

Waiting = tuple[Op, Any]


class DeadlockError(Exception):
    """Devices that wait for each other for ever."""


def whole(graph: OpGraph, plan: ParallelPlan, seed: int = 0) -> Floats:
    """What the undivided graph yields: logits, or the last hidden state of an encoder.

    Args:
        graph: of a Transformer whose keys are of heads.
        plan: under which tokens are dealt among experts.
        seed: of weights, tokens and cache.
    """
    alone = partition(graph, None, 1)
    found: Floats = run(alone, Model(graph, plan, seed))[0]
    return found


def divided(found: Partition, seed: int = 0) -> list[tuple[Floats, Floats]]:
    """What each device of the last stage has in the end, and what it should have.

    Args:
        found: the partition.
        seed: of weights, tokens and cache.
    """
    model = Model(found.whole, found.plan, seed)
    want = whole(found.whole, found.plan, seed)
    got = run(found, model)
    pairs = []
    for device, value in enumerate(got):
        place = Place(found.plan, device, model)
        if value is not None and place.has_last:
            pairs.append((value, want[model.rows(place)]))
    return pairs


def run(found: Partition, model: Model) -> list[Any]:
    """The result of each device; None for those of other stages than the last."""
    return [device.result() for device in execute(found, model)]


def execute(found: Partition, model: Model) -> list[Device]:
    """The devices of a partition after they have run."""
    graphs = {device: share for share in found.shares for device in share.devices}
    devices = [
        Device(model, found.plan, graphs[d].graph, d, _before(found, d))
        for d in sorted(graphs)
    ]  # fmt: skip
    _together(found.plan, devices)
    return devices


def wrong_gradients(found: Partition, seed: int = 0) -> Iterator[str]:
    """Gradients of weights that are not those of the undivided training step.

    Yields:
        A line for each gradient of each device that differs.
    """
    model = Model(found.whole, found.plan, seed)
    (alone,) = execute(partition(found.whole, None, 1), model)
    devices = execute(found, model)
    model.given = _stacked(alone)
    for device in devices:
        for (name, at), got in device.gradients.items():
            weight = name.removesuffix(".grad")
            device.at = at
            reader = next(
                op for _, op in device.graph.ops()
                if any(a.tensor == weight for a in op.reads) and "backward" not in op.op_class
            )  # fmt: skip
            want = weight_of(device, reader, weight)
            if got.shape != want.shape or not np.allclose(got, want, rtol=1e-6, atol=1e-8):
                yield f"device {device.number}: {name} of iteration {at} differs"


def _stacked(device: Device) -> dict[str, Floats]:
    """Gradients by weight, iterations one below the other."""
    names = {name for name, _ in device.gradients}
    return {
        name.removesuffix(".grad"): np.array(
            [device.gradients[name, i] for i in range(sum(n == name for n, _ in device.gradients))]
        )
        for name in names
    }


def _before(found: Partition, device: int) -> dict[str, int]:
    """Iterations of each block on earlier stages."""
    group = next(g for g in found.plan.groups("pipeline") if device in g)
    counts: dict[str, int] = {}
    for other in group[: group.index(device)]:
        share = next(s for s in found.shares if other in s.devices)
        for block in share.graph.blocks:
            counts[block.name] = counts.get(block.name, 0) + block.count
    return counts


def _together(plan: ParallelPlan, devices: list[Device]) -> None:
    """Let devices run, and exchange what they wait for."""
    running: dict[int, Generator[Waiting, Any, None]] = {}
    waiting: dict[int, Waiting] = {}
    for device in devices:
        running[device.number] = device.steps()
        _advance(running, waiting, device.number, None)
    posted: dict[tuple[int, int], list[Any]] = {}
    while waiting:
        moved = False
        for number in list(waiting):
            if number not in waiting:
                continue
            op, value = waiting[number]
            collective = op.collective
            assert collective is not None
            if collective.pattern in ("send", "receive"):
                moved |= _message(plan, running, waiting, number, posted)
                continue
            group = next(g for g in plan.groups(collective.axis) if number in g)
            if all(d in waiting and waiting[d][0].name == op.name for d in group):
                values = [waiting[d][1] for d in group]
                for i, d in enumerate(group):
                    _advance(running, waiting, d, devices[d].exchanged(waiting[d][0], values, i))
                moved = True
            del value
        if not moved:
            at = {number: op.name for number, (op, _) in waiting.items()}
            raise DeadlockError(f"devices wait for each other: {at}")


def _advance(
    running: dict[int, Generator[Waiting, Any, None]],
    waiting: dict[int, Waiting],
    number: int,
    value: Any,
) -> None:
    """Let a device go on to the next collective, or to its end."""
    waiting.pop(number, None)
    try:
        waiting[number] = running[number].send(value)
    except StopIteration:
        del running[number]


def _message(
    plan: ParallelPlan,
    running: dict[int, Generator[Waiting, Any, None]],
    waiting: dict[int, Waiting],
    number: int,
    posted: dict[tuple[int, int], list[Any]],
) -> bool:
    """A message between stages, or kinds: sent at once, received when it is there."""
    op, value = waiting[number]
    collective = op.collective
    assert collective is not None
    group = next(g for g in plan.groups(collective.axis) if number in g)
    other = group[(group.index(number) + collective.peer) % len(group)]
    if collective.pattern == "send":
        posted.setdefault((number, other), []).append(value)
        _advance(running, waiting, number, None)
        return True
    letters = posted.get((other, number))
    if not letters:
        return False
    _advance(running, waiting, number, letters.pop(0))
    return True


def mistakes(found: Partition, seed: int = 0) -> Iterator[str]:
    """What is wrong with a partition, if anything.

    Yields:
        A line for each device whose result is not that of the undivided graph.
    """
    try:
        pairs = divided(found, seed)
    except (DeadlockError, ValueError, KeyError, IndexError) as error:
        yield f"{type(error).__name__}: {error}"
        return
    for i, (got, want) in enumerate(pairs):
        if got.shape != want.shape or not np.allclose(got, want, rtol=1e-7, atol=1e-9):
            yield f"device {i} of the last stage computes something else"
