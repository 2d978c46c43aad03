"""What a machine has more or less of: every quantity and every count that its description sets.

Found in the resolved description alone, by unit and name, so that a newcomer's settings are
resources without a word said here. What a change of one does is asked elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import floor, log10
from typing import Any, Final

from archsim.core.document import dotted
from archsim.core.units import QuantityError, canonical, parse_quantity

ROOMS: Final = ("clocks", "memory", "engines", "interconnect")
QUANTITIES: Final = ("bytes", "bytes/s", "bytes/cycle", "hertz", "seconds", "flop/s")
CHOICES: Final = frozenset({
    "arity", "block_scaled", "cache_results", "cap", "chunk", "coordinates", "devices", "dims",
    "edges", "group", "interleave", "k_step", "key_tile", "max_bits", "overlap_norm",
    "oversubscription", "pieces", "provenance", "query_tile", "seed", "split_k", "split_tokens",
    "sustained", "timeout", "two_pass_tokens", "uplinks", "width_bits", "write_high", "write_low",
})  # fmt: skip
"""Settings, and all below them, that say how work is divided, and how well: no resources."""
DIGITS: Final = 4  # of a quantity that a change proposes
GRAIN: Final = 64  # least steps into which a size in bytes divides; a power of two each

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that a machine could have more or less of.

    Attributes:
        name: dotted path of the setting; with `*` for the engine where alike ones are one.
        paths: of every setting that is changed together.
        now: its value, as the description writes it.
        amount: the same in the base unit of its dimension.
        dimension: key of `core.dimensions.DIMENSIONS`, or `count`.
    """

    name: str
    paths: tuple[str, ...]
    now: Value
    amount: float
    dimension: str

    @property
    def holds(self) -> bool:
        """Whether it is room: what a little more of may not show."""
        return self.dimension == "bytes"

    @property
    def shared(self) -> bool:
        """Whether several components run by it."""
        return self.name.startswith("clocks.")

    @property
    def better(self) -> int:
        """1 where more of it should help, -1 where less should: times and cycles."""
        cycles = "cycles" in self.name.rpartition(".")[2] or ".cycles_per_" in self.name
        return -1 if self.dimension == "seconds" or cycles or self.name.endswith("delay") else 1

    def times(self, factor: float) -> tuple[Value, float] | None:
        """Value and amount nearest to a factor of it that a description can hold.

        Counts move by a step at least; None where there is no such step, or it is what it was.
        """
        wanted = self.amount * factor
        if self.dimension == "count" and isinstance(self.now, int):
            step = max(1, abs(round(wanted) - self.now)) * (1 if factor > 1 else -1)
            count = self.now + step
            return (count, float(count)) if count > 0 else None
        if self.dimension == "bytes":
            grain = 2 ** max(0, floor(self.amount / GRAIN).bit_length() - 1)
            size = max(grain, round(wanted / grain) * grain)
            return (canonical(size, "bytes"), float(size)) if size != self.amount else None
        rounded = _digits(wanted)
        if self.dimension == "count":
            return rounded, rounded
        return canonical(rounded, self.dimension), rounded

    def settings(self, value: Value) -> dict[str, Value]:
        """Path and value of a change, as a task takes them."""
        return dict.fromkeys(self.paths, value)


def resources(hardware: Mapping[str, Any]) -> tuple[Resource, ...]:
    """Every resource of a machine, in the order of its description.

    Args:
        hardware: its resolved description.
    """
    found: dict[str, Resource] = {}
    for room in ROOMS:
        for path, now in _leaves(hardware.get(room, {}), (room,)):
            read = _amount(now)
            if read is None or read[0] == 0:
                continue
            whole = dotted(path)
            launch = room == "engines" and path[2:] == ("launch",)
            name = "engines.*.launch" if launch else whole
            alike = found.get(name)
            if alike and alike.now != now:  # a host that launches some kernels more slowly
                name, alike = whole, None
            paths = (*(alike.paths if alike else ()), whole)
            found[name] = Resource(name, paths, now, *read)
    return tuple(_own_name(one) for one in found.values())


def _own_name(one: Resource) -> Resource:
    """A resource of a single setting under the path of this one."""
    if len(one.paths) > 1:
        return one
    return Resource(one.paths[0], one.paths, one.now, one.amount, one.dimension)


def _leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Settings below a path that are no choices."""
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        yield path, value
    for key, inner in items:
        choice = key in CHOICES or str(key).endswith("efficiency")
        if not choice or len(path) < 2:  # a component may have any name
            yield from _leaves(inner, (*path, key))


def _amount(value: Any) -> tuple[float, str] | None:
    """Amount and dimension of a value; None for what is neither a quantity nor a count."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value), "count"
    if isinstance(value, str) and value[:1].isdigit():
        for dimension in QUANTITIES:
            try:
                return float(parse_quantity(value, dimension)), dimension
            except QuantityError:
                continue
    return None


def _digits(value: float) -> float:
    """A number with few digits."""
    return round(value, DIGITS - 1 - floor(log10(abs(value))))
