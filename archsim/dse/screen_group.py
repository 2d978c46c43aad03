"""Designs that share a plan: what each takes at least, and which of them fit their memories."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim import api
from archsim.core.errors import ArchsimError
from archsim.core.units import PS_PER_S
from archsim.dse.combine import combined
from archsim.dse.point import Task
from archsim.dse.screen_floor import FLOOR, least_energy_j
from archsim.dse.screen_parts import Family, Floats, OfMany
from archsim.dse.screen_settings import held, rates_among
from archsim.system.bound_demand import demands
from archsim.system.bound_rates import EXACT, least_times
from archsim.system.build import Machine, build
from archsim.system.place import Plan

Columns = dict[str, Floats]
NUMBERS = frozenset({int, float, str})  # kinds of values of rates; a text is one with its unit


@dataclass
class Group:
    """Designs that differ in rates alone.

    Attributes:
        tasks: of all groups.
        at: which of them are of this one, [designs].
        family: whose designs they are.
        inside: their places there, [designs].
        described: whether the machine that they have in common is one.
        refused: a design of each amount of room that does not fit, where all are refused alike.
    """

    tasks: Sequence[Task]
    at: NDArray[np.intp]
    family: Family
    inside: NDArray[np.intp]
    described: bool = True
    refused: dict[tuple[float, ...], int | None] = field(default_factory=dict)

    def __contains__(self, number: int) -> bool:
        return number in self._places

    @cached_property
    def _places(self) -> dict[int, int]:
        return {int(number): place for place, number in enumerate(self.at)}

    @cached_property
    def machine(self) -> Machine:
        """The machine of the designs without their settings of rates."""
        task = self.tasks[self.at[0]]
        own = {p: v for p, v in task.settings.items() if p not in self.family.touched}
        left = replace(task, settings=own).overrides
        set_ = [setting for setting in left if not setting.startswith("workload.")]
        return build(api.load_hardware(task.hardware, set_=set_))

    @cached_property
    def rates(self) -> OfMany:
        """Peak rates of all designs."""
        return OfMany(self.machine, self.family.forms(self.machine), self.inside)

    @cached_property
    def rooms(self) -> NDArray[np.float64]:
        """Capacities of the memories of each design, [designs, memories]."""
        sizes = self.rates.capacity_bytes()
        return np.column_stack([np.broadcast_to(s, len(self.at)) for _, s in sorted(sizes.items())])

    def refused_as(self, number: int) -> int:
        """The design that is refused in the same words as one that does not fit: often itself.

        Where a model is too large, the words say nothing but how large and for how much room.
        """
        if not self.described:
            return number
        place = self._places[number]
        room = tuple(self.rooms[place])
        if room not in self.refused:
            why = self._plans(place)
            alike = isinstance(why, ArchsimError) and "capacity_bytes" in why.details
            self.refused[room] = number if alike else None
        first = self.refused[room]
        return number if first is None else first

    def columns(self) -> Columns:
        """Metrics of each design by path, [designs]; not a number where one does not fit."""
        try:
            return self._columns()
        except ArchsimError:  # what they set beside rates is refused
            self.described = False
            return {"time_ps": np.full(len(self.at), np.nan)}

    def _columns(self) -> Columns:
        size = np.log(self.rooms).sum(axis=1)
        known = int(np.argmin(size))  # what fits the least room fits all: see `fitting`
        plans = self._plans(known)
        if isinstance(plans, ArchsimError):
            known = int(np.argmax(size))
            plans = self._plans(known)
        if isinstance(plans, ArchsimError):
            return {"time_ps": np.full(len(self.at), np.nan)}
        first = self.tasks[self.at[0]]
        found = combined([self._of_plan(plan) for plan in plans], first.weights)
        fits = fitting(self.rooms, lambda place: isinstance(self._plans(place), list), known)
        return {path: np.where(fits, values, np.nan) for path, values in found.items()}

    def _plans(self, place: int) -> list[Plan] | ArchsimError:
        """Plans of one design, by workload; or why it is refused."""
        task = self.tasks[self.at[place]]
        try:
            return [
                api.place_only(task.hardware, work, set_=task.overrides, seed=task.seed)
                for work in task.workloads
            ]
        except ArchsimError as error:
            return error

    def _of_plan(self, plan: Plan) -> Columns:
        """Metrics on one workload."""
        least, count = least_times(demands(plan), self.rates), len(self.at)
        bound = {"memory": least.memory_ps, "compute": least.compute_ps, "vector": least.vector_ps}
        if least.communication_ps is not None:
            bound["communication"] = least.communication_ps
        every = {name: np.broadcast_to(ps, count) for name, ps in bound.items()}
        time_ps = np.maximum.reduce(list(every.values()))
        if int(time_ps.max(initial=0)) >= EXACT:
            raise OverflowError(f"{int(time_ps.max())} ps are no exact float")
        time_s = time_ps / PS_PER_S
        found: Columns = {"time_ps": time_ps, "bound_ps": time_ps, "metrics.time_s": time_s}
        found["ratio_to_bound"] = np.where(time_ps > 0, 1.0, np.nan)
        found |= {f"bound.{name}_ps": ps for name, ps in every.items()}
        graph = plan.pod.partition.whole if plan.pod else plan.graph
        for kind in ("prompt", "output"):
            if tokens := graph.facts.get(f"{kind}_tokens"):
                found[f"metrics.throughput.{kind}_tok_per_s"] = tokens / time_s
        area = self._areas(plan)
        found[FLOOR] = np.broadcast_to(least_energy_j(plan, self.rates, time_s), count)
        found |= {f"metrics.area_mm2.by_component.{name}": of for name, of in area.items()}
        rows = zip(*(of.tolist() for of in area.values()), strict=True)
        found["metrics.area_mm2.total"] = np.fromiter(map(fsum, rows), np.float64, count)
        return {path: np.asarray(values, dtype=np.float64) for path, values in found.items()}

    def _areas(self, plan: Plan) -> Columns:
        """Area of each component, of all devices."""
        machine, count = plan.machine, len(self.at)
        area = self.rates.area_mm2()
        if machine.noc is not None:
            area[machine.noc.name] = machine.noc.area_mm2(machine.table)
        area = self.rates.of_devices(area)
        return {name: np.broadcast_to(np.float64(of), count) for name, of in area.items()}


def grouped(tasks: Sequence[Task]) -> list[Group]:
    """Designs by what their plan depends on, in the order of the first of each.

    Raises:
        ArchsimError: for a description that is refused as it is, without settings.
    """
    bases: dict[Any, list[int]] = {}
    for number, task in enumerate(tasks):
        bases.setdefault((task.base_sha256, task.seed, tuple(task.settings)), []).append(number)
    return [group for at in bases.values() for group in _of_family(tasks, at)]


def _of_family(tasks: Sequence[Task], at: Sequence[int]) -> Iterator[Group]:
    """Groups of designs that set the same paths of one description."""
    machine = build(api.load_hardware(tasks[at[0]].hardware))
    said = {path: [tasks[i].settings[path] for i in at] for path in tasks[at[0]].settings}
    family = _family(said, machine)
    planned = [map(repr, values) for path, values in said.items() if path not in family.columns]
    own: dict[tuple[str, ...], list[int]] = {}
    for place, rest in enumerate(zip(*planned, strict=True) if planned else [()] * len(at)):
        own.setdefault(rest, []).append(place)
    every = np.array(at, np.intp)
    for places in own.values():
        inside = np.array(places, np.intp)
        yield Group(tasks, every[inside], family, inside)


def _family(said: Mapping[str, Sequence[Any]], machine: Machine) -> Family:
    """What designs have in common; settings that a part refuses are planned, and refused there."""
    touched, columns = rates_among(said, machine), dict[str, Sequence[Any]]()
    for path in list(touched):
        if not NUMBERS.issuperset(map(type, said[path])):  # no rate, or none that can be looked up
            del touched[path]
            continue
        try:
            distinct = list(dict.fromkeys(said[path]))
            known = dict(zip(distinct, held(path, distinct, machine), strict=True))
            columns[path] = [known[value] for value in said[path]]
        except (ValueError, ArchsimError):
            del touched[path]
    family = Family(touched, columns)
    while refused := family.refused(machine):
        columns = {path: values for path, values in columns.items() if path not in refused}
        family = Family({path: touched[path] for path in columns}, columns)
    return family


def fitting(
    rooms: NDArray[np.float64], fits: Callable[[int], bool], known: int
) -> NDArray[np.bool_]:
    """Which designs fit, where more room never harms.

    Args:
        rooms: of each design, [designs, memories].
        fits: whether the design at a place does; asked as seldom as may be.
        known: place of one that does.
    """
    distinct, first, of = np.unique(rooms, axis=0, return_index=True, return_inverse=True)
    state = np.full(len(distinct), -1)  # unknown
    state[(distinct >= rooms[known]).all(axis=1)] = 1
    left = np.flatnonzero(state < 0)
    least = True
    while left.size:
        order = left[np.argsort(np.log(distinct[left]).sum(axis=1), kind="stable")]
        pick = order[0] if least else order[len(order) // 2]
        least = False
        if fits(int(first[pick])):
            state[(distinct >= distinct[pick]).all(axis=1) & (state < 0)] = 1
        else:
            state[(distinct <= distinct[pick]).all(axis=1) & (state < 0)] = 0
        left = np.flatnonzero(state < 0)
    return np.asarray(state[of.reshape(-1)] == 1)
