"""The parts of many machines at once: each form that settings give a part is made once.

Numbers of a part are asked of each of its forms and gathered for the machines that have it. So the
rates of many machines are arrays, for the closed forms of `system.bound_rates`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.components.base import VectorEngine
from archsim.core.document import parse_path
from archsim.core.errors import ArchsimError
from archsim.core.spec import BandwidthRate
from archsim.core.yamlio import canonical_json
from archsim.dse.screen_settings import Part, clock_of, part_of, parts_of
from archsim.ir.op import Op
from archsim.ir.tensor import DType
from archsim.system.bound_rates import Rate, live_macs_per_s, runs_per_s
from archsim.system.build import Machine
from archsim.system.network_port import NetworkPort

Floats = NDArray[np.float64]
MANY = 64  # forms, from which on formulas are tried on arrays
PROBES = 5  # forms that are checked where they are many, and answer as the arrays do


@dataclass
class Forms:
    """A part in every form that the settings of some designs give it.

    Attributes:
        make: the component of one form, by its place.
        count: of forms.
        of: form of each design of the family, [designs]; None where there is one form.
        whole: one component whose fields are arrays, [forms]; None where it cannot be made.
        answers: numbers asked so far, [forms].
    """

    make: Callable[[int], Any]
    count: int
    of: NDArray[np.intp] | None
    whole: Any = None
    answers: dict[Hashable, Floats] = field(default_factory=dict)

    def ask(self, question: Hashable, answer: Callable[[Any], Any], at: NDArray[np.intp]) -> Rate:
        """A number of the part of some designs: an array, or a float where all are alike."""
        if question not in self.answers:
            found = self._at_once(answer)
            if found is None:
                each = (answer(self.make(i)) for i in range(self.count))
                found = np.fromiter(each, np.float64, self.count)
            self.answers[question] = found
        found = self.answers[question]
        return float(found[0]) if self.of is None else found[self.of[at]]

    def check(self) -> None:
        """Check the description of every form; of very many, some.

        Raises:
            ValueError: for a form whose fields do not go together, or a clock of less than 1 Hz.
            ArchsimError: for a part that refuses them.
        """
        several = range(self.count) if self.count < MANY else _probes(self.count)
        for i in several if self.of is not None else ():
            made = self.make(i)
            type(made.spec).model_validate_json(canonical_json(made.spec.to_data()))
            if getattr(made, "clock_hz", 1) < 1:
                raise ValueError(f"{made.name}: {made.clock_hz} Hz")

    def _at_once(self, answer: Callable[[Any], Any]) -> Floats | None:
        """The answer of all forms by arrays; None where that is not the answer of each."""
        if self.whole is None:
            return None
        try:
            found = np.asarray(answer(self.whole), dtype=np.float64)
        except (TypeError, ValueError):
            return None  # the formula asks for one number: a comparison, a whole number, a key
        if found.shape not in ((), (self.count,)):
            return None
        found = np.broadcast_to(found, self.count)
        same = all(answer(self.make(i)) == found[i] for i in _probes(self.count))
        return found if same else None


def forms_of(part: Part, machine: Machine, columns: Mapping[str, Sequence[Any]]) -> Forms:
    """The forms of a part.

    Args:
        part: which.
        machine: that has it as it is without settings.
        columns: held values by path of the settings that touch it, [designs] each.
    """
    base = part_of(part, machine)
    keys, of = _distinct(list(columns.values()))
    clock = f"clocks.{clock_of(part, machine)}"
    fields = ["" if path == clock else str(parse_path(path)[-1]) for path in columns]
    own = getattr(base, "clock_hz", None)

    def make(values: Sequence[Any]) -> Any:
        update = dict(zip(fields, values, strict=True))
        hertz = update.pop("", own)
        spec = base.spec.model_copy(update=update)
        return type(base)(base.name, spec, *([] if own is None else [hertz]))

    whole = None
    if len(keys) >= MANY:
        arrays = [_array(values) for values in zip(*keys, strict=True)]
        with suppress(TypeError, ValueError):  # a part that looks at its numbers as it is made
            whole = make(arrays) if all(a is not None for a in arrays) else None
    return Forms(cache(lambda i: make(keys[i])), len(keys), of, whole)


def _probes(count: int) -> list[int]:
    """Places of a few forms, the first and the last among them."""
    return [(count - 1) * i // (PROBES - 1) for i in range(PROBES)]


def _array(values: Sequence[Any]) -> Any:
    """Values of one field as an array in the form of a value; None where they have none."""
    first = values[0]
    if isinstance(first, BandwidthRate):
        alike = all(v.per == first.per for v in values)
        return BandwidthRate(np.array([v.value for v in values]), first.per) if alike else None  # type: ignore[arg-type]
    return np.array(values) if isinstance(first, int | float) else None


def _distinct(columns: Sequence[Sequence[Any]]) -> tuple[list[tuple[Any, ...]], NDArray[np.intp]]:
    """Distinct rows of some columns, and which of them each row is."""
    seen: dict[tuple[Any, ...], int] = {}
    of = [seen.setdefault(row, len(seen)) for row in zip(*columns, strict=True)]
    return list(seen), np.array(of, dtype=np.intp)


def _one_form(part: Any) -> Forms:
    return Forms(lambda _: part, 1, None)


def _room_bytes(memory: Any) -> Any:
    """Capacity of a memory, as a number or as an array."""
    said = memory.spec.capacity
    return memory.capacity_bytes if said is None else said


@dataclass
class Family:
    """Designs of one description that set the same rates: what they have in common is made once.

    Attributes:
        touched: settings of rates, with the parts that each touches.
        columns: held values of each, [designs].
        made: forms of parts, by the part as it is without these settings.
    """

    touched: Mapping[str, tuple[Part, ...]]
    columns: Mapping[str, Sequence[Any]]
    made: dict[Hashable, Forms] = field(default_factory=dict)

    def forms(self, machine: Machine) -> dict[Part, Forms]:
        """Forms of all parts of a machine."""
        energy = machine.spec.energy.model_dump_json()
        found = {}
        for part in parts_of(machine):
            own = {path: c for path, c in self.columns.items() if part in self.touched[path]}
            base = part_of(part, machine)
            alike = (part, energy, base.spec.model_dump_json(), getattr(base, "clock_hz", None))
            if not own:  # it may depend on others, as what is inside a memory does
                found[part] = _one_form(base)
                continue
            if alike not in self.made:
                self.made[alike] = forms_of(part, machine, own)
            found[part] = self.made[alike]
        return found

    def refused(self, machine: Machine) -> list[str]:
        """Settings of the first part that does not take them together; none where all do."""
        for part, forms in self.forms(machine).items():
            try:
                forms.check()
            except (ValueError, ArchsimError):
                return [path for path in self.columns if part in self.touched[path]]
        return []


@dataclass(frozen=True)
class OfMany:
    """Peak rates of designs of a family that share a plan: see `system.bound_rates.Rates`.

    Attributes:
        machine: of one of them.
        forms: of its parts.
        at: places of the designs in their family, [designs].
    """

    machine: Machine
    forms: Mapping[Part, Forms]
    at: NDArray[np.intp]

    def bytes_per_s(self, memory: str) -> Rate:
        """Of a memory's port."""
        return self.forms["memory", memory].ask("peak", lambda one: one.peak_bytes_per_s, self.at)

    def sent_bytes_per_s(self, network: str) -> Rate:
        """Most that any one device sends over the network between devices."""
        table = self.machine.table
        return self.forms["interconnect", network].ask(
            "sent", lambda one: NetworkPort(one, table).bytes_per_s, self.at
        )

    def clock_hz(self, engine: str) -> Rate:
        """Of an engine."""
        return self.forms["engines", engine].ask("clock", lambda one: one.clock_hz, self.at)

    def macs_per_s(self, engine: str, weight: DType, zeros: Fraction) -> Rate:
        """MACs that matter, by weights of a form, on inputs of which a share is zero."""
        return self.forms["engines", engine].ask(
            ("macs", weight, zeros), lambda one: live_macs_per_s(one, weight, zeros), self.at
        )

    def vector_per_s(self, op: Op) -> list[Rate]:
        """Runs of an op a second, of each unit that can run it."""
        work = (tuple(sorted(n.items())) for n in (op.primitives, op.row_primitives))
        alike = ("runs", op.kind, op.op_class, *work, op.live_points(), op.rows())
        return [
            self.forms["engines", name].ask(alike, lambda one: runs_per_s(one, op), self.at)
            for name, unit in self.machine.engines.items()
            if isinstance(unit, VectorEngine) and unit.can_run(op)
        ]

    def area_mm2(self) -> dict[str, Rate]:
        """By memory, engine and link, each alone."""
        table = self.machine.table
        return {
            name: forms.ask("area", lambda one: one.area_mm2(table), self.at)
            for (_, name), forms in self.forms.items()
        }

    def leakage_w(self) -> dict[str, Rate]:
        """The same of static power."""
        table = self.machine.table
        return {
            name: forms.ask("leakage", lambda one: one.leakage_w(table), self.at)
            for (_, name), forms in self.forms.items()
        }

    def of_devices(self, alone: Mapping[str, Rate]) -> dict[str, Rate]:
        """What parts have in all devices together; of the network between them there is one."""
        shared = self.machine.port.name if self.machine.port else ""
        return {n: of if n == shared else self.machine.devices * of for n, of in alone.items()}

    def least_pj_per_byte(self, memory: str) -> Rate:
        """The cheaper of reading and writing a memory."""
        table = self.machine.table
        return self.forms["memory", memory].ask(
            "least_pj",
            lambda one: min(table.of(one.energy_class(), way).pj for way in ("read", "write")),
            self.at,
        )

    def capacity_bytes(self) -> dict[str, Rate]:
        """By memory."""
        return {
            name: forms.ask("capacity", _room_bytes, self.at)
            for (kind, name), forms in self.forms.items() if kind == "memory"
        }  # fmt: skip
