"""A graph on all devices of a machine: divided by the plan, each share placed on a device."""

from __future__ import annotations

from dataclasses import replace

from archsim.core.errors import Infeasible, InputError
from archsim.ir.graph import OpGraph
from archsim.ir.parallel import ParallelPlan
from archsim.ir.partition import Share
from archsim.system.build import Machine
from archsim.system.degraded import odd_plans, with_faults
from archsim.system.kinds import divided_over, machines_of
from archsim.system.place import Plan, Pod
from archsim.system.plan import place
from archsim.system.split_batch import sub_batches, with_sub_batches


def place_all(
    graph: OpGraph,
    machine: Machine,
    accumulator_bits: int = 32,
    parallel: ParallelPlan | None = None,
) -> Plan:
    """The plan of the first device, with those of all; of the only one on a machine of one.

    Raises:
        InputError: E203 for a parallel plan that does not fit the devices or the model.
        Infeasible: E401 naming the devices whose share does not fit.
    """
    from archsim.parallel.partition import partition

    if machine.port is None:
        with_faults(machine)  # has none: there are no others
        if parallel is not None and parallel.devices > 1:
            raise _lonely(machine, parallel)
        return place(sub_batches(graph, machine), machine, accumulator_bits)
    try:
        if machine.spec.devices:
            divided = divided_over(graph, machine, parallel)
        else:
            divided = partition(graph, parallel, machine.devices)
    except InputError as error:
        error.details.setdefault("path", "parallel")
        raise
    shares = tuple(with_sub_batches(share, machine) for share in divided.shares)
    divided = replace(divided, shares=shares)
    joined = with_faults(machine.joined(divided.plan))
    own = machines_of(joined, divided)
    try:
        plans = tuple(_placed(share, own[share.name], accumulator_bits) for share in divided.shares)
    except Infeasible as error:
        from archsim.parallel.roomier import with_roomier

        raise error if parallel is not None else with_roomier(error, divided) from None
    odd = odd_plans(divided, own, lambda share, one: _placed(share, one, accumulator_bits))
    unmatched = tuple(r for r in plans[0].unmatched if all(r in p.unmatched for p in plans))
    whole = joined if machine.spec.devices else plans[0].machine
    return replace(plans[0], machine=whole, unmatched=unmatched, pod=Pod(divided, plans, odd))


def _lonely(machine: Machine, parallel: ParallelPlan) -> InputError:
    return InputError(
        f"parallel divides the work over {parallel.devices} devices, "
        f"and {machine.spec.name} is one device",
        code="E203",
        help="add a network between chips under interconnect, such as "
        f"{{kind: switch, devices: {parallel.devices}, ...}}, or leave parallel out",
        details={"path": "parallel"},
    )


def _placed(share: Share, machine: Machine, accumulator_bits: int) -> Plan:
    """The plan of one device of a share."""
    assert machine.port is not None
    own = replace(machine, port=machine.port.sending(share.devices))
    try:
        return place(share.graph, own, accumulator_bits, share.held)
    except Infeasible as error:
        raise Infeasible(
            f"{_who(share)}: {error.message}", code=error.code, help=error.help,
            details=error.details,
        ) from None  # fmt: skip


def _who(share: Share) -> str:
    """Devices of a share, in words."""
    numbers, count = share.devices, len(share.devices)
    name = f" ({share.name})" if share.name else ""
    if count == 1:
        return f"device {numbers[0]}{name}"
    if not share.name:
        return f"each of {count} devices"
    return f"each of the {count} devices from {numbers[0]} on{name}"
