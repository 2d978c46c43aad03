"""A machine whose devices are of unlike kinds: each kind's own machine, and who runs what.

How kinds are written is in `kinds_rule`, what a machine may have of them in `kinds_check`; how
graphs are cut over them, in `parallel.kinds`.
"""

from __future__ import annotations

from dataclasses import replace

from archsim.core.errors import InputError
from archsim.ir.graph import OpGraph
from archsim.ir.parallel import ParallelPlan, PlanOfKinds
from archsim.ir.partition import Partition, Share
from archsim.parallel.kinds import over_kinds
from archsim.parallel.partition import partition
from archsim.parallel.shape import Shape
from archsim.system.build import Machine, build
from archsim.system.dispatch import dispatched
from archsim.system.dispatch_rule import AUTO
from archsim.system.kinds_rule import DeviceKind


def divided_over(graph: OpGraph, machine: Machine, plan: ParallelPlan | None) -> Partition:
    """What each device of a machine of several kinds runs; `plan` is of the devices of one kind.

    Raises:
        InputError: E203 for a plan or a graph that they cannot share.
    """
    kinds: tuple[DeviceKind, ...] = machine.spec.devices
    count = kinds[0].count
    if isinstance(plan, PlanOfKinds):
        plan = plan.of_one_kind()
    _check_plan(graph, plan, count)
    divided = partition(graph, plan, count)
    return over_kinds(divided, [kind.name for kind in kinds], lambda g: homes(g, machine))


def _check_plan(graph: OpGraph, plan: ParallelPlan | None, count: int) -> None:
    """Refuse plans and graphs whose ops do not follow each other on one set of devices.

    Raises:
        InputError: E203.
    """

    def refused(message: str, instead: str, key: str = "") -> InputError:
        path = f"parallel.{key}" if key else "parallel"
        return InputError(message, code="E203", help=instead, details={"path": path})

    if any(op.collective for _, op in graph.ops()):
        raise refused(
            "a graph with exchanges of its own is of devices that are all alike",
            "a machine without devices",
        )
    if Shape.of(graph).trains:
        raise refused(
            "training is of devices that are all alike", "a phase of inference, such as decode"
        )
    if plan is None:
        return
    if plan.devices != count:
        raise refused(
            f"the parallel plan takes {plan.devices} devices, and each kind has {count}",
            f"ways whose product is {count}: devices of all kinds share a device's work",
        )
    for key in ("pipeline", "context"):
        if plan.ways(key) > 1:
            raise refused(
                f"{key}: {plan.ways(key)} is of devices that are all alike",
                f"{key}: 1 on devices of several kinds",
                key,
            )
    if (plan.microbatches or 1) > 1:
        raise refused("microbatches are of devices that are all alike", "microbatches: 1",
                      "microbatches")  # fmt: skip


def homes(graph: OpGraph, machine: Machine) -> dict[str, int]:
    """The kind of device that runs each op but exchanges: the first that has its engine."""
    kinds: tuple[DeviceKind, ...] = machine.spec.devices
    first = {name: i for i, kind in reversed([*enumerate(kinds)]) for name in kind.engines}
    dispatcher = dispatched(machine, graph).dispatcher
    assert dispatcher is not None
    paths = ((f"{block.name}/{op.name}", op) for block, op in graph.ops() if not op.collective)
    return {path: first[dispatcher.of(path, op).engine] for path, op in paths}


def machines_of(machine: Machine, divided: Partition) -> dict[str, Machine]:
    """The machine of the devices of each share, by name; of one kind, the whole."""
    kinds: tuple[DeviceKind, ...] = machine.spec.devices
    if not kinds:
        return {share.name: machine for share in divided.shares}
    own = [_machine_of(machine, kind) for kind in kinds]
    return {share.name: own[_kind_of(share, kinds)] for share in divided.shares}


def _kind_of(share: Share, kinds: tuple[DeviceKind, ...]) -> int:
    return share.devices[0] // kinds[0].count


def _machine_of(machine: Machine, kind: DeviceKind) -> Machine:
    """The machine with the engines of one kind; rules for others stay in place and cover no op."""
    spec = machine.spec
    has = set(kind.engines)
    dispatch = tuple(
        rule if {name for _, name in rule.engines()} <= has
        else rule.model_copy(update={"ops": (), "run_on": AUTO, "among": (), "split": None})
        for rule in spec.dispatch
    )  # fmt: skip
    mapping = tuple(
        rule if rule.on is None or rule.on in has
        else rule.model_copy(update={"ops": (), "on": None})
        for rule in spec.mapping
    )  # fmt: skip
    own = spec.model_copy(
        update={
            "devices": (),
            "engines": {name: part for name, part in spec.engines.items() if name in has},
            "dispatch": dispatch,
            "mapping": mapping,
        }
    )
    return replace(build(own), port=machine.port)


def devices_with(machine: Machine, part: str) -> int:
    """Devices of a machine that have an engine or a memory."""
    kinds: tuple[DeviceKind, ...] = machine.spec.devices
    if part not in machine.engines or not kinds:
        return machine.devices
    return sum(kind.count for kind in kinds if part in kind.engines)
