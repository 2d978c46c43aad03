"""How fast a machine serves what a plan asks, and the least times that follow, in closed form.

A rate is a number, or an array with one element a machine: the same forms give the bound of one
machine and of many at once, operation by operation the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from archsim.components.base import MacEngine, VectorEngine
from archsim.core.units import PS_PER_S
from archsim.ir.op import Op
from archsim.ir.tensor import DType
from archsim.system.bound_demand import Demand, StageDemand, lanes_for
from archsim.system.build import Machine

EXACT = 2**53  # whole numbers that a float holds
Rate = Any
"""A float, or an array of them with one element a machine, [machines]."""


class Rates(Protocol):
    """Peak rates by the names of a machine's parts."""

    def bytes_per_s(self, memory: str) -> Rate:
        """Of a memory's port."""

    def sent_bytes_per_s(self, network: str) -> Rate:
        """Most that any one device sends over the network between devices."""

    def clock_hz(self, engine: str) -> Rate:
        """Of an engine."""

    def macs_per_s(self, engine: str, weight: DType, zeros: Fraction) -> Rate:
        """MACs that matter, by weights of a form, on inputs of which a share is zero."""

    def vector_per_s(self, op: Op) -> list[Rate]:
        """Runs of an op a second, of each unit that can run it."""


@dataclass(frozen=True)
class OfMachine:
    """Peak rates of one machine."""

    machine: Machine

    def bytes_per_s(self, memory: str) -> float:
        """Of a memory's port."""
        return self.machine.memories[memory].peak_bytes_per_s

    def sent_bytes_per_s(self, network: str) -> float:
        """Most that any one device sends over the network between devices."""
        port = self.machine.port
        assert port is not None
        assert port.name == network
        return port.bytes_per_s

    def clock_hz(self, engine: str) -> float:
        """Of an engine."""
        return self.machine.engines[engine].clock_hz

    def macs_per_s(self, engine: str, weight: DType, zeros: Fraction) -> float:
        """MACs that matter, by weights of a form, on inputs of which a share is zero."""
        unit = self.machine.engines[engine]
        assert isinstance(unit, MacEngine)
        return live_macs_per_s(unit, weight, zeros)

    def vector_per_s(self, op: Op) -> list[float]:
        """Runs of an op a second, of each unit that can run it."""
        return [runs_per_s(unit, op) for unit in lanes_for(op, self.machine)]


def live_macs_per_s(unit: MacEngine, weight: DType, zeros: Fraction) -> float:
    """Peak rate of an engine over the share of MACs that it does."""
    return unit.peak(weight) / float(unit.live(weight, zeros))


def runs_per_s(unit: VectorEngine, op: Op) -> Rate:
    """Runs a second of one vector op on a unit; on each, where its lanes or its clock are many."""
    cycles = unit.cycles(*unit.lane_cycles(op), np.array([op.live_points()]), np.array([op.rows()]))
    found = unit.clock_hz / np.maximum(1, cycles - 1)  # less one: tiles round up
    return found if found.size > 1 else float(found[0])


@dataclass(frozen=True)
class Times:
    """Least picoseconds, whole ones, each a number or an array, [machines].

    `communication_ps` is None for one device.
    """

    memory_ps: Any
    compute_ps: Any
    vector_ps: Any
    communication_ps: Any = None


def least_times(demands: Sequence[Demand], rates: Rates) -> Times:
    """Of all shares of the devices: of each measure, that of the share which takes longest."""
    found = [_least(one, rates) for one in demands]
    if len(found) == 1 and not demands[0].network:
        return found[0]
    return Times(
        longest(t.memory_ps for t in found),
        longest(t.compute_ps for t in found),
        longest(t.vector_ps for t in found),
        longest(t.communication_ps for t in found),
    )


def _least(demand: Demand, rates: Rates) -> Times:
    """Of one device."""
    memory = [port_ps(demand.moved_bytes, rates.bytes_per_s(demand.nearest))]
    memory += [port_ps(n, rates.bytes_per_s(name)) for name, n in demand.tier_bytes.items()]
    memory += [ps for ps, _ in demand.inside_ps]
    compute = sum(count * compute_s(one, rates) for count, one in demand.stages)
    vector = sum(count * vector_s(one, rates) for count, one in demand.stages)
    # a node has one unit, so that a stream is no faster than its busiest; beside other stages
    busiest = [(n, busiest_s(one, rates)) for n, one in demand.stages]
    compute = longest([compute, *(n * mac for n, (mac, _) in busiest)])
    vector = longest([vector, *(n * other for n, (_, other) in busiest)])
    talk = _talk_ps(demand, rates) if demand.network else None
    return Times(
        longest(memory),
        longest([whole(compute * PS_PER_S), *(ps for _, ps in demand.inside_ps)]),
        whole(vector * PS_PER_S),
        talk,
    )


def _talk_ps(demand: Demand, rates: Rates) -> Any:
    """Least time of what devices exchange, each collective by itself."""
    total: Any = 0
    for count, one in demand.stages:
        if one.talk_bytes:
            total = total + count * port_ps(one.talk_bytes, rates.sent_bytes_per_s(demand.network))
    return total


def port_ps(size_bytes: int, bytes_per_s: Rate) -> Any:
    """Least time of bytes through a port, in ps."""
    return whole(float(size_bytes * PS_PER_S) / bytes_per_s)


def compute_s(stage: StageDemand, rates: Rates) -> Rate:
    """Seconds of the MACs that matter, on all engines that multiply and accumulate together."""
    total: Rate = 0.0
    for one in stage.products:
        peaks = (rates.macs_per_s(name, one.weight, one.zeros) for name in stage.mac_engines)
        total = total + _over(float(one.live), sum(peaks))
    return total


def busiest_s(stage: StageDemand, rates: Rates) -> tuple[Rate, Rate]:
    """Seconds that the busiest node of a stream works: of those that multiply, of the others."""
    if not (stage.mac_cycles or stage.other_cycles):
        return 0.0, 0.0
    clock_hz = rates.clock_hz(stage.engine)
    return stage.mac_cycles / clock_hz, stage.other_cycles / clock_hz


def vector_s(stage: StageDemand, rates: Rates) -> Rate:
    """Seconds of the vector work, on all vector engines together."""
    total: Rate = 0
    for op in stage.vectors:
        per_s: Rate = 0.0
        for rate in rates.vector_per_s(op):
            per_s = per_s + rate
        total = total + _over(1.0, per_s)
    return total


def whole(value: Rate) -> Any:
    """Whole picoseconds, rounded down.

    Raises:
        OverflowError: for an array with a time that its elements do not hold exactly.
    """
    if not isinstance(value, np.ndarray):
        return int(value)
    if value.max(initial=0.0) >= EXACT:
        raise OverflowError(f"{value.max():g} ps are no exact float")
    return value.astype(np.int64)


def longest(values: Iterable[Any]) -> Any:
    """The largest, machine by machine."""
    first, *others = values
    for one in others:
        many = isinstance(first, np.ndarray) or isinstance(one, np.ndarray)
        first = np.maximum(first, one) if many else max(first, one)
    return first


def _over(amount: float, rate: Rate) -> Rate:
    """Seconds that an amount takes; none where there is no rate."""
    if isinstance(rate, np.ndarray):
        return np.divide(amount, rate, out=np.zeros_like(rate), where=rate != 0)
    return amount / rate if rate else 0.0
