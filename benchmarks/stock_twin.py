"""The same programs on SimPy's own resources: what the time core is measured against.

A channel is a `Container` of slots and a `Store` of tokens, a timeline is a `Resource`, a step asks
for each in turn, as the SimPy documentation would write it. Ties go by order of creation here, so
the last picosecond may differ where units meet at a shared timeline.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from simpy import Container, Environment, Event, Resource, Store

from archsim.sim.program import Leaf, Loop, Program


@dataclass(frozen=True)
class Outcome:
    """End of the run and events it took."""

    makespan_ps: int
    events: int


def run_stock(program: Program) -> Outcome:
    """Run a program on stock resources."""
    env = Environment()
    slots = [Container(env, c.depth, c.depth) for c in program.channels]
    tokens = [Store(env) for _ in program.channels]
    shared: dict[str, Resource] = {}
    end = [0] * len(program.units)

    def unit_process(unit: int, line: Resource) -> Generator[Event, object, None]:
        for row_id in rows_of(program.tree, program, unit):
            row = program.rows[row_id]
            for c in row.take:
                ready = yield tokens[c].get()
                if ready > env.now:  # type: ignore[operator]
                    yield env.timeout(ready - env.now)  # type: ignore[operator]
            for c in row.reserve:
                yield slots[c].get(1)
            with line.request() as request:
                yield request
                yield env.timeout(row.dur_ps)
            for c in row.free:
                yield slots[c].put(1)
            for c in row.put:
                yield tokens[c].put(env.now + row.lag_ps)
            end[unit] = int(env.now)

    for index, unit in enumerate(program.units):
        name = unit.timeline or f"unit {unit.name}"
        line = shared.setdefault(name, Resource(env, 1))
        env.process(unit_process(index, line))
    env.run()
    return Outcome(max(end), next(env._eid))


def rows_of(nodes: tuple[Loop | Leaf, ...], program: Program, unit: int) -> Iterator[int]:
    """Row ids of one unit in order, all repetitions."""
    for node in nodes:
        if isinstance(node, Loop):
            for _ in range(node.n):
                yield from rows_of(node.body, program, unit)
        else:
            for row in node.rows:
                if program.rows[row].unit == unit:
                    for _ in range(program.rows[row].run):
                        yield row
