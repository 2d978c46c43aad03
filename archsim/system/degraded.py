"""A machine some of whose devices and links are not as described: its port, and odd devices.

How faults are written is in `faults`; devices with the same ones run the same plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from archsim.core.errors import Infeasible, InputError
from archsim.core.spec import BandwidthRate
from archsim.core.units import PS_PER_S
from archsim.interconnect.worn import Wear, worn
from archsim.ir.partition import Partition, Share
from archsim.memory.base import Memory
from archsim.memory.dram import Dram
from archsim.system.build import Machine, build
from archsim.system.faults import Fault
from archsim.system.network_port import NetworkPort
from archsim.system.place import Plan

Slow = tuple[float, float]  # shares of the clocks and of the bandwidth of drams that are left


def with_faults(machine: Machine) -> Machine:
    """The machine whose network has its faulty links.

    Raises:
        InputError: E201 for a device or link that does not exist, E202 on a machine of one.
        Infeasible: E401 when the job does not survive.
    """
    faults: tuple[Fault, ...] = machine.spec.faults
    if not faults:
        return machine
    port = machine.port
    if port is None:
        raise InputError(
            f"faults are of devices on a network, and {machine.spec.name} is one device",
            code="E202",
            help="add a network between chips under interconnect",
            details={"path": "faults"},
        )
    for i, fault in enumerate(faults):
        if fault.device is not None and fault.device >= port.devices:
            raise InputError(
                f"faults[{i}].device is {fault.device}, and {port.name} has {port.devices} devices",
                code="E201",
                help=f"devices are numbered from 0 to {port.devices - 1}",
                details={"path": f"faults[{i}].device"},
            )
    wear = [
        Wear(fault.link, 0.0 if fault.missing else fault.bandwidth or 1.0, f"faults[{i}].link")
        for i, fault in enumerate(faults)
        if fault.link is not None
    ]
    fabric = worn(port.fabric, wear, port.name)
    return replace(machine, port=NetworkPort(port.link, machine.table, port.plan, fabric))


def odd_plans(
    divided: Partition,
    machines: Mapping[str, Machine],
    placed: Callable[[Share, Machine], Plan],
) -> dict[int, Plan]:
    """Plans of the devices that are unlike the others, by number.

    Args:
        divided: what each device runs.
        machines: by share, as all its other devices are, with the port of all.
        placed: places a share on a device.

    Raises:
        Infeasible: E401 when a device is missing that the plan needs.
    """
    shares = {d: share for share in divided.shares for d in share.devices}
    slow: dict[int, Slow] = {}
    machine = machines[divided.shares[0].name]
    for i, fault in enumerate(machine.spec.faults):
        if fault.device is None:
            continue
        if fault.missing:
            raise Infeasible(
                f"the job does not survive: device {fault.device} is missing, and the "
                f"plan needs all {divided.plan.devices}",
                code="E401",
                help="a network of the devices that are left, and a plan for as many",
                details={"path": f"faults[{i}].missing", "missing": fault.device},
            )
        clock, memory = slow.get(fault.device, (1.0, 1.0))
        slow[fault.device] = (
            clock * (fault.clock or 1.0),
            memory * (fault.memory_bandwidth or 1.0),
        )
    found: dict[tuple[str, Slow], Plan] = {}
    plans: dict[int, Plan] = {}
    for device, how in sorted(slow.items()):
        key = (shares[device].name, how)
        if key not in found:
            found[key] = placed(shares[device], slowed(machines[shares[device].name], how))
        plans[device] = found[key]
    return plans


def slowed(machine: Machine, how: Slow) -> Machine:
    """The machine of one slow device: all its clocks, and the bandwidth of its drams."""
    clock, bandwidth = how
    spec = machine.spec
    drams = {
        name: _narrow(memory, bandwidth)
        for name, memory in machine.memories.items()
        if isinstance(memory, Dram) and bandwidth < 1
    }
    slow = spec.model_copy(
        update={
            "clocks": {name: hz * clock for name, hz in spec.clocks.items()},
            "memory": {**spec.memory, **drams},
        }
    )
    return replace(build(slow), port=machine.port)


def _narrow(memory: Memory, share: float) -> Any:
    """A dram with a share of its bandwidth: flat, whatever standard it had."""
    return memory.spec.model_copy(
        update={
            "standard": None,
            "stacks": 1,
            "controller": None,
            "mapping": None,
            "bandwidth": BandwidthRate(memory.peak_bytes_per_s * share, "s"),
            "efficiency": memory.bytes_per_s / memory.peak_bytes_per_s,
            "latency": memory.latency_ps / PS_PER_S,
            "capacity": memory.capacity_bytes,
            "energy": memory.energy_class().removeprefix("dram."),
        }
    )
