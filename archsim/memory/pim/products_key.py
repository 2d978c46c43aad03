"""Something by identity: a key of a cache for what is too large to compare, such as command sets.

Here also live the sets that differ from another only in how far MACs are apart.
"""

from __future__ import annotations

from functools import lru_cache

from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.set_form import Spacing

SPACING = "mac_spacing"
"""Group of rules that keeps MACs apart."""


class Same:
    """A key that keeps what it stands for, and equals another only of the very same."""

    __slots__ = ("it",)

    def __init__(self, it: object) -> None:
        self.it = it

    def __hash__(self) -> int:
        return id(self.it)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.it is other.it


@lru_cache(maxsize=64)
def apart(commands: Same, ticks: int, *, results: bool = False) -> CommandSet:
    """A set whose MACs, and results behind them, are further apart, as units or vias ask."""
    found = commands.it
    assert isinstance(found, CommandSet)
    assert found.product is not None
    mac, result = (found.product.mac,), found.product.result
    waits = (*mac, result) if results and result is not None else mac
    rule = Spacing(level="channel", previous=mac, next=waits, ticks=ticks)
    own = found.rules.get(SPACING, ())
    return found.model_copy(update={"rules": {**found.rules, SPACING: (*own, rule)}})
