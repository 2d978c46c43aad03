"""Occupancy: how full each memory is over time, from the rows that take room and give it back.

What lies somewhere for the whole run is the floor of its curve; pages of staging areas and of the
chip come and go with the steps of a log. Who made the log, and drawing the curve, is not here.
"""

from __future__ import annotations

from collections.abc import Iterable

from archsim.ir.record import RunRecord

Curve = list[tuple[int, int]]  # (ps, bytes from then on), in order of time


def occupancy(run: RunRecord, steps: Iterable[tuple[int, int]]) -> dict[str, Curve]:
    """Bytes held by memory over time.

    Args:
        run: what the run left behind.
        steps: (ps at which it ended, place in `run.rows`) of every step, in any order; steps of
            rows that hold nothing may be left out.

    Returns:
        By memory, one point for each moment at which its bytes change, the first one at 0 ps.
    """
    held = {tier.name: sum(tier.held_bytes.values()) for tier in run.memory.tiers}
    held[run.machine.sram] = run.memory.resident_bytes
    curves: dict[str, Curve] = {name: [(0, size)] for name, size in held.items()}
    for ps, place in sorted(steps, key=lambda step: (step[0], _takes(run, step[1]))):
        for memory, change in run.rows[place].holds.items():
            held[memory] += change
            curve = curves[memory]
            if curve[-1][0] == ps:
                curve[-1] = (ps, held[memory])
            else:
                curve.append((ps, held[memory]))
    return curves


def _takes(run: RunRecord, place: int) -> bool:
    """True for a row that takes: at one moment, room is given back before it is taken."""
    return any(change > 0 for change in run.rows[place].holds.values())
