"""The chain of waits behind a deadlock: a cycle, or one that ends at a unit that has finished."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.sim.code import Code
from archsim.sim.errors import Deadlock, Wait


@dataclass(frozen=True, slots=True)
class Blocked:
    """Where one unit stopped: at which ring, since when, in which row."""

    ring: int
    since_ps: int | None
    row: int


def deadlock(code: Code, blocked: dict[int, Blocked]) -> Deadlock:
    """The error for units blocked as given; followed from the first in canonical order."""
    order = sorted(blocked, key=code.rank.__getitem__)
    unit = order[0]
    path: list[int] = []
    everyone = tuple(_wait(code, u, blocked[u]) for u in order)
    while unit in blocked and unit not in path:
        path.append(unit)
        unit = code.ring_writer[blocked[unit].ring]
    if unit not in blocked:
        waits = tuple(_wait(code, u, blocked[u]) for u in path)
        return Deadlock(waits, finished=code.program.units[unit].name, everyone=everyone)
    cycle = path[path.index(unit) :]
    first = cycle.index(min(cycle, key=code.rank.__getitem__))
    chain = tuple(_wait(code, u, blocked[u]) for u in cycle[first:] + cycle[:first])
    return Deadlock(chain, everyone=everyone)


def _wait(code: Code, unit: int, at: Blocked) -> Wait:
    program = code.program
    return Wait(
        unit=program.units[unit].name,
        verb="reserve" if at.ring % 2 else "take",
        channel=program.channels[at.ring // 2].name,
        since_ps=at.since_ps,
        other_unit=program.units[code.ring_writer[at.ring]].name,
        op=program.rows[at.row].op,
    )
