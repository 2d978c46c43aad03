"""From the description to live objects: memories, engines and movers, wired by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from archsim.components.base import Engine, MacEngine, engines
from archsim.core.errors import InputError, nearest
from archsim.energy.table import EnergyTable, load_table
from archsim.interconnect.base import Link, links
from archsim.interconnect.dma import Dma
from archsim.memory.base import Memory, memories

# classes that a selector may name for several op classes at once
FAMILIES = {
    "attention": ("attention_score", "softmax", "attention_value"),
    "linear": ("qkv_proj", "out_proj", "ffn", "lm_head"),
    "elementwise": ("residual", "activation", "rotary", "elementwise"),
}


@dataclass(frozen=True)
class Machine:
    """A machine ready to be mapped on: components by name, the energy table, the spec."""

    spec: Any
    memories: dict[str, Memory]
    engines: dict[str, Engine]
    links: dict[str, Link]
    table: EnergyTable

    @property
    def sram(self) -> Memory:
        """The on-chip memory that operands lie in."""
        return next(m for _, m in sorted(self.memories.items()) if not m.off_chip)

    @property
    def dram(self) -> Memory:
        """The off-chip memory that holds the model."""
        return next(m for _, m in sorted(self.memories.items()) if m.off_chip)

    @property
    def dma(self) -> Dma:
        """The mover between them."""
        return next(x for _, x in sorted(self.links.items()) if isinstance(x, Dma))

    @property
    def mac_engines(self) -> tuple[MacEngine, ...]:
        """The engines that multiply and accumulate, by name."""
        return tuple(e for _, e in sorted(self.engines.items()) if isinstance(e, MacEngine))

    def area_mm2(self) -> dict[str, float]:
        """Silicon area by component."""
        parts: dict[str, Engine | Memory] = {**self.engines, **self.memories}
        return {name: part.area_mm2(self.table) for name, part in sorted(parts.items())}

    def leakage_w(self) -> dict[str, float]:
        """Static power by component."""
        parts: dict[str, Engine | Memory] = {**self.engines, **self.memories}
        return {name: part.leakage_w(self.table) for name, part in sorted(parts.items())}


def selects(ops: str | Sequence[str], path: str, op_class: str) -> bool:
    """True when a selector (class, family or glob on the path) covers an op."""
    for word in [ops] if isinstance(ops, str) else ops:
        if word in ("*", op_class) or op_class in FAMILIES.get(word, ()):
            return True
        if fnmatchcase(path, word):
            return True
    return False


def build(spec: Any) -> Machine:
    """Live components of a description.

    Raises:
        InputError: E201 for a name that does not exist, E202 where parts are missing.
    """
    clocks = spec.clocks

    def hertz(owner: str, clock: str) -> float:
        if clock not in clocks:
            raise _dangling(f"{owner}.clock", "clock", clock, clocks)
        if clocks[clock] < 1:
            raise InputError(
                f"clocks.{clock} is slower than 1 Hz",
                code="E107",
                help="MHz is mega, mHz is milli",
                details={"path": f"clocks.{clock}"},
            )
        return float(clocks[clock])

    first = min(clocks, default="")
    mems = {
        name: memories.get(s.kind)(name, s, hertz(f"memory.{name}", getattr(s, "clock", first)))
        for name, s in spec.memory.items()
    }
    units = {
        name: engines.get(s.kind)(name, s, hertz(f"engines.{name}", s.clock))
        for name, s in spec.engines.items()
    }
    movers = {name: links.get(s.kind)(name, s) for name, s in spec.interconnect.items()}
    _need(mems)
    if not any(isinstance(m, Dma) for m in movers.values()):
        off = min(n for n, m in mems.items() if m.off_chip)
        on = min(n for n, m in mems.items() if not m.off_chip)
        movers["dma"] = Dma("dma", Dma.Spec.model_validate({"from": off, "to": on}))
    _names_exist(spec, mems, units, movers)
    table = load_table(spec.energy.table).with_overrides(spec.energy.overrides)
    return Machine(spec, mems, units, movers, table)


def _need(mems: dict[str, Memory]) -> None:
    """Exactly one memory that holds the model and one on chip: operands lie in these two."""
    for off, what in ((True, "dram"), (False, "sram")):
        found = sorted(name for name, m in mems.items() if m.off_chip is off)
        if len(found) != 1:
            having = f"has {len(found)} {what}s ({', '.join(found)})" if found else f"has no {what}"
            raise InputError(
                f"memory {having}: a machine has one that holds the model and one on chip",
                code="E202",
                details={"path": "memory"},
            )


def _names_exist(
    spec: Any, mems: dict[str, Memory], units: dict[str, Engine], movers: dict[str, Link]
) -> None:
    for i, rule in enumerate(spec.dispatch):
        if rule.run_on not in units:
            raise _dangling(f"dispatch[{i}].run_on", "engine", rule.run_on, units)
    for role in ("weights", "kv_cache", "activations"):
        for name in getattr(spec.placement, role):
            if name not in mems:
                raise _dangling(f"placement.{role}", "memory", name, mems)
            if role != "activations" and not mems[name].off_chip:
                raise InputError(
                    f"placement.{role} names {name}, but {role} lie in a dram",
                    code="E202",
                    help=f"{role}: [{min(n for n, m in mems.items() if m.off_chip)}]",
                    details={"path": f"placement.{role}"},
                )
    for name, unit in units.items():
        memory = unit.spec.memory
        if memory is not None and memory not in mems:
            raise _dangling(f"engines.{name}.memory", "memory", memory, mems)
    for name, link in movers.items():
        if isinstance(link, Dma):
            for end in (link.spec.from_, link.spec.to):
                if end not in mems:
                    raise _dangling(f"interconnect.{name}", "memory", end, mems)


def _dangling(path: str, what: str, name: str, known: Any) -> InputError:
    close = nearest(name, known)
    return InputError(
        f'{path} names {what} "{name}", which does not exist',
        code="E201",
        help=f"names: {', '.join(known)}" + (f'; did you mean "{close}"?' if close else ""),
        details={"path": path},
    )
