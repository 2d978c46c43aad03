"""Which settings of a screening change how fast parts are, and which ask for a plan of their own.

A setting of a rate is a number of one part, or a clock: the plan stays as it is, and the part is
made anew. Everything else (workloads, rules, mappings, engines inside memories, networks, memories
of which there are several behind the chip) may change who runs what, so that each combination of
such settings is planned for itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Any, cast

from pydantic import TypeAdapter

from archsim.components._pim import PimEngine
from archsim.components.spatial_pipeline import SpatialPipeline
from archsim.core.document import parse_path
from archsim.core.spec import BandwidthRate, Spec
from archsim.core.yamlio import canonical_json
from archsim.core.yamlread import read_value
from archsim.system.build import Machine
from archsim.system.dispatch_rule import AUTO

Part = tuple[str, str]  # `memory`, `engines` or `interconnect`, and the name there


def rates_among(paths: Iterable[str], machine: Machine) -> dict[str, tuple[Part, ...]]:
    """Settings that change rates and areas alone, with the parts that each touches."""
    if _weighs(machine):
        return {}
    found = {}
    for path in paths:
        touched = _touched(path, machine)
        if touched and not any(_decides(part, machine) for part in touched):
            found[path] = touched
    return found


def _weighs(machine: Machine) -> bool:
    """Whether who runs what, or where, is weighed by rates."""
    spec: Any = machine.spec
    rules = any(rule.split is not None or rule.run_on == AUTO for rule in spec.dispatch)
    return rules or spec.interleave is not None or bool(spec.faults) or machine.noc is not None


def _touched(path: str, machine: Machine) -> tuple[Part, ...]:
    """Parts that a number belongs to; none where it is none of a part, or no number."""
    words = parse_path(path)
    if len(words) == 2 and words[0] == "clocks":
        return tuple(part for part in parts_of(machine) if clock_of(part, machine) == words[1])
    part = (str(words[0]), str(words[1])) if len(words) == 3 else ("", "")
    if part not in parts_of(machine):
        return ()
    found = getattr(part_of(part, machine).spec, str(words[2]), None)
    counts = isinstance(found, int) and part[0] != "interconnect"  # devices and links: who there is
    return (part,) if counts or isinstance(found, float | BandwidthRate) else ()


def _decides(part: Part, machine: Machine) -> bool:
    """Whether numbers of a part may change the plan: what is inside memories, streams, tiers."""
    kind, name = part
    if kind == "engines":
        return isinstance(machine.engines[name], PimEngine | SpatialPipeline)
    if kind == "interconnect":
        return False
    hosts = {e.memory.name for e in machine.engines.values() if isinstance(e, PimEngine)}
    return name in hosts or (machine.memories[name].off_chip and len(machine.tiers) > 1)


def parts_of(machine: Machine) -> list[Part]:
    """Memories, engines, and the network between devices."""
    between = [("interconnect", machine.port.name)] if machine.port else []
    return [
        *(("memory", name) for name in machine.memories),
        *(("engines", name) for name in machine.engines),
        *between,
    ]


def part_of(part: Part, machine: Machine) -> Any:
    """The memory, the engine or the link."""
    kind, name = part
    among: dict[str, Any] = {"memory": machine.memories, "engines": machine.engines}
    return among.get(kind, machine.links)[name]


def clock_of(part: Part, machine: Machine) -> str:
    """Name of the clock that numbers of a part follow; empty where they follow none."""
    spec = part_of(part, machine).spec
    rate = getattr(spec, "bandwidth", None)
    if part[0] == "memory" and isinstance(rate, BandwidthRate) and rate.per == "cycle":
        return str(getattr(spec, "clock", min(machine.spec.clocks)))  # as `system.build` has it
    return str(getattr(spec, "clock", ""))


def held(path: str, values: Sequence[Any], machine: Machine) -> list[Any]:
    """Values of a setting as its description would hold them.

    Raises:
        ValueError: for a value that the description refuses, and for a bandwidth a cycle in place
            of one a second, or the other way round: its memory would follow another clock.
    """
    words, now = parse_path(path), None
    if words[0] == "clocks":
        read = _reader(cast("Hashable", type(machine.spec)), "clocks")
    else:
        spec = part_of((str(words[0]), str(words[1])), machine).spec
        now = getattr(spec, str(words[2]))
        read = _reader(cast("Hashable", type(spec)), str(words[2]))
    typed = [_typed(value) for value in values]
    found: list[Any] = read.validate_json(canonical_json(typed), strict=True)
    if isinstance(now, BandwidthRate) and any(one.per != now.per for one in found):
        raise ValueError(f"{path} is not per {now.per}")
    return found


def _typed(value: Any) -> Any:
    """A value as a description would say it: a number without a unit, as a flag has it, is one."""
    number = isinstance(value, str) and value[-1:].isdigit()
    return read_value(value, value) if number else value


@lru_cache(maxsize=256)
def _reader(spec: Hashable, field: str) -> TypeAdapter[Any]:
    """The validator of values of one field; of `clocks`, of the values it maps names to."""
    about = cast("type[Spec]", spec).model_fields[field]
    kind: Any = about.annotation
    if field == "clocks":
        kind = kind.__args__[1]
    for extra in about.metadata:
        kind = Annotated[kind, extra]
    return TypeAdapter(list[kind])
