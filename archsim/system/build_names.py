"""Names in the description of a machine: every engine and memory that a rule or a part asks for."""

from __future__ import annotations

from typing import Any

from archsim.components.base import Engine
from archsim.core.errors import InputError, nearest
from archsim.interconnect.base import Link
from archsim.interconnect.dma import Dma
from archsim.memory.base import Memory


def names_exist(
    spec: Any, mems: dict[str, Memory], units: dict[str, Engine], movers: dict[str, Link]
) -> None:
    """Refuse a name of an engine or a memory that there is not.

    Raises:
        InputError: E201 with the path of the name; E202 for a role that lies in the wrong memory.
    """
    named = [(f"dispatch[{i}].{key}", name) for i, rule in enumerate(spec.dispatch)
             for key, name in rule.engines()]  # fmt: skip
    named += [(f"mapping[{i}].on", rule.on) for i, rule in enumerate(spec.mapping) if rule.on]
    for path, name in named:
        if name not in units:
            raise dangling(path, "engine", name, units)
    for role in ("weights", "kv_cache", "activations"):
        for name in getattr(spec.placement, role):
            _holds(f"placement.{role}", role, name, mems)
    for i, rule in enumerate(spec.placement.residency):
        for name in rule.memories:
            _holds(f"placement.residency[{i}].memories", rule.of, name, mems)
    for name, unit in units.items():
        memory = unit.spec.memory
        if memory is not None and memory not in mems:
            raise dangling(f"engines.{name}.memory", "memory", memory, mems)
    for name, link in movers.items():
        if isinstance(link, Dma):
            for end in (link.spec.from_, link.spec.to):
                if end not in mems:
                    raise dangling(f"interconnect.{name}", "memory", end, mems)


def _holds(path: str, what: str, name: str, mems: dict[str, Memory]) -> None:
    """Refuse a memory that there is not, or one on chip for what lies in a dram."""
    if name not in mems:
        raise dangling(path, "memory", name, mems)
    if what != "activations" and not mems[name].off_chip:
        raise InputError(
            f"{path} names {name}, but {what} lie in a dram",
            code="E202",
            help=f"{path.rpartition('.')[2]}: [{min(n for n, m in mems.items() if m.off_chip)}]",
            details={"path": path},
        )


def dangling(path: str, what: str, name: str, known: Any) -> InputError:
    """The error for a name that does not exist."""
    close = nearest(name, known)
    return InputError(
        f'{path} names {what} "{name}", which does not exist',
        code="E201",
        help=f"names: {', '.join(known)}" + (f'; did you mean "{close}"?' if close else ""),
        details={"path": path},
    )
