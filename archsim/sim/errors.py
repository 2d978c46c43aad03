"""Why time cannot go on: who waits for whom, since when.

The refusals of a program that is not even well formed live in `check`; broken laws of a finished
run are `LawViolation` of `archsim.core.errors`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from archsim.core.errors import LawViolation, SimulationStopped

Verb = Literal["take", "reserve"]


@dataclass(frozen=True, slots=True)
class Wait:
    """One blocked unit.

    Attributes:
        unit: Name of the unit that waits.
        verb: `take` when it needs a token, `reserve` when it needs a slot.
        channel: Name of the channel it waits at.
        since_ps: Time it began to wait; None when the program was checked without time.
        other_unit: Name of the unit at the other end of the channel.
        op: The caller's label of the row that waits.
    """

    unit: str
    verb: Verb
    channel: str
    since_ps: int | None
    other_unit: str
    op: int

    def __str__(self) -> str:
        need = "token" if self.verb == "take" else "slot"
        when = f"at op {self.op}" if self.since_ps is None else f"since {self.since_ps} ps"
        return f"{self.unit} (needs a {need} of {self.channel} {when})"


class Deadlock(SimulationStopped):
    """Units wait for each other, or for one that has finished.

    `waits` is the chain; `everyone` are all units that wait, those outside the chain too.
    """

    def __init__(
        self,
        waits: tuple[Wait, ...],
        *,
        finished: str | None = None,
        everyone: tuple[Wait, ...] = (),
    ) -> None:
        last = waits[0].unit if finished is None else f"{finished} (has finished)"
        chain = " -> ".join([*map(str, waits), last])
        super().__init__(
            f"deadlock: {chain}",
            help="give the named channels more slots, or reorder the rows that hold them",
            details={"waits": [asdict(wait) for wait in waits], "finished": finished},
        )
        self.waits = waits
        self.finished = finished
        self.everyone = everyone or waits


class Watchdog(SimulationStopped):
    """Time went past the sum of all durations and lags: a behaviour invents time."""

    def __init__(self, limit_ps: int, units: tuple[str, ...]) -> None:
        names = ", ".join(units)
        super().__init__(
            f"watchdog: time passed {limit_ps} ps, the sum of all durations and lags; "
            f"still at work: {names}",
            help="a unit with its own behaviour waits or works longer than its rows say",
            details={"limit_ps": limit_ps, "units": list(units)},
        )
        self.limit_ps = limit_ps
        self.units = units


class MalformedProgram(LawViolation):
    """A program that breaks a rule every program keeps: a fault of whoever built it."""
