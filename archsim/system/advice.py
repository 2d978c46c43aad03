"""What to change first: for each reason that takes time, the one setting that would relieve it.

Nothing is guessed: a change is a setting and its new value; the caller runs the machine with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from archsim.system.build import Machine

LEAST_SHARE = 0.05  # of the time: what takes less is not worth a change
REREAD = 0.5  # of the bytes: above it they are moved again, and room on chip is the cause
ROOM = 4  # times the on-chip capacity: tiles grow by two along either side

_NUMBER = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9]+)?([eE][-+]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Change:
    """One setting of a machine that would relieve what takes the time.

    Attributes:
        reason: what takes the time, as the critical path names it.
        share: of the makespan.
        settings: (path, value now, value tried); several where alike engines change together.
    """

    reason: str
    share: float
    settings: tuple[tuple[str, Any, Any], ...]

    @property
    def overrides(self) -> tuple[str, ...]:
        """As `--set` takes them."""
        return tuple(f"{path}={_plain(value)}" for path, _, value in self.settings)


def changes(
    machine: Machine, data: Mapping[str, Any], stalls: Mapping[str, float], reread: float
) -> Iterator[Change]:
    """Changes worth trying, that of the largest share first.

    Args:
        machine: as it was built.
        data: its description as data.
        stalls: share of the makespan by reason, largest first.
        reread: share of the bytes off chip that are not compulsory.
    """
    for reason, share in stalls.items():
        if share < LEAST_SHARE:
            return
        owner, _, what = reason.rpartition("_")
        if owner in machine.memories:
            if what == "bandwidth" and owner == machine.dram.name and reread > REREAD:
                name = machine.sram.name
                path = f"memory.{name}.capacity"
                now = data["memory"][name]["capacity"]
                yield Change(reason, share, ((path, now, scaled(now, ROOM)),))
            knobs = machine.memories[owner].KNOBS.get(what, {})
            found = _turned("memory", owner, knobs, data)
        elif reason == "kernel_launch":
            found = tuple(
                s for name in sorted(machine.engines)
                for s in _turned("engines", name, {"launch": 0.5}, data)
            )  # fmt: skip
        elif machine.port is not None and owner == machine.port.name:
            knobs = {"latency": 0.5} if what == "latency" else {"bandwidth": 2}
            found = _turned("interconnect", owner, knobs, data)
        elif machine.noc is not None and owner == machine.noc.name:
            found = _turned("interconnect", owner, {"bandwidth": 2}, data)
        elif (engine := owner.partition(".")[0]) in machine.engines:  # or a unit of one
            knobs = machine.engines[engine].KNOBS.get(what, {})
            found = _turned("engines", engine, knobs, data)[:1]
        else:
            continue
        if found:
            yield Change(reason, share, found)


def _turned(
    room: str, name: str, knobs: Mapping[str, float], data: Mapping[str, Any]
) -> tuple[tuple[str, Any, Any], ...]:
    """The first of a component's knobs that its description sets, turned by its factor."""
    described = data[room][name]
    for field, factor in knobs.items():
        now = described.get(field)
        if now is not None:
            return ((f"{room}.{name}.{field}", now, scaled(now, factor)),)
    return ()


def scaled(value: Any, factor: float) -> Any:
    """A quantity as users write it, times a factor: its unit stays.

    >>> scaled("1 TB/s", 2), scaled(8, 2), scaled("3.45 us", 0.5)
    ('2 TB/s', 16, '1.725 us')
    """
    if isinstance(value, str):
        found = _NUMBER.match(value)
        assert found is not None, "a quantity begins with a number"
        return f"{float(found[0]) * factor:.12g}{value[found.end() :]}"
    times = value * factor
    return round(times) if isinstance(value, int) else times


def _plain(value: Any) -> str:
    return str(value)
