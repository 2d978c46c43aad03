"""What a user may say of collectives on a network: overheads, protocols, algorithms by pattern."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from archsim.core.spec import Fraction, Seconds, Spec, problem
from archsim.ir.collective import Pattern

IN_NETWORK = "switched"  # algorithm by which switches add up


class Protocol(Spec):
    """One way to put messages on the links."""

    efficiency: Fraction = 1.0
    """Share of the links' bandwidth that payload gets."""

    setup: Seconds = 0.0
    """Time it costs once a collective."""


class Overheads(Spec):
    """What a collective costs beside the time of its messages on idle links."""

    launch: Seconds = 0.0
    """Once a collective."""

    step: Seconds = 0.0
    """For each message that a device sends after another: n - 1 for an all-gather."""

    low: Protocol = Protocol()
    """The protocol for short messages."""

    high: Protocol | None = None
    """Another one for long messages: whichever of the two is faster is taken."""

    switched: Protocol | None = None
    """The one for sums that switches add up. Default: the other two."""

    def of(self, algorithm: str) -> tuple[Protocol, ...]:
        """Protocols that an algorithm may use."""
        if algorithm == IN_NETWORK and self.switched is not None:
            return (self.switched,)
        return (self.low,) if self.high is None else (self.low, self.high)


class CollectiveOptions(Overheads):
    """How collectives run on a network: the same for all, and what differs by pattern."""

    protocols: dict[Pattern, Overheads] = {}
    """Overheads of single patterns, in place of those for all."""

    algorithms: dict[Pattern, str | tuple[str, ...]] = {}
    """Algorithms by pattern, one or several to choose from. Default: all that fit. The fastest is
    taken."""

    def allowed(self, pattern: Pattern) -> tuple[str, ...]:
        """Algorithms that a pattern may use; empty for any."""
        given = self.algorithms.get(pattern, ())
        return (given,) if isinstance(given, str) else given

    def overheads(self, pattern: Pattern) -> Overheads:
        """What a pattern costs; a receive is part of its send."""
        return self.protocols.get(pattern, self)

    @field_validator("algorithms")
    @classmethod
    def _known(cls, given: dict[Pattern, str | tuple[str, ...]]) -> Any:
        from archsim.interconnect.collectives.base import algorithms

        for pattern, names in given.items():
            able = [kind for kind, found in algorithms.items() if pattern in found.PATTERNS]
            for name in (names,) if isinstance(names, str) else names:
                if name not in able:
                    message = f'no algorithm "{name}" for {pattern}'
                    raise problem("E108", message, f"one of {', '.join(able) or 'none'}")
        return given
