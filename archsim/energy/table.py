"""The energy table: what one action of a component class costs, and who says so.

Components only name their actions. An unknown (class, action) is refused when it is named: it is
never free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from archsim.core.errors import InputError, nearest
from archsim.core.spec import Joules, Mm2, Spec, Watts
from archsim.core.yamlio import load_spec
from archsim.energy.scaling import area_factor, energy_factor
from archsim.energy.sram import macro, sizes

FOLDER = Path(__file__).parent / "tables"
Accuracy = Literal["read from code", "exact from text", "derived", "assumed"]


class _Sourced(Spec):
    """What every row carries beside its value."""

    component: str = Field(alias="class")
    """Component class, such as `mac` or `dram.hbm2`."""

    source: str
    """Who says so."""

    accuracy: Accuracy
    """How firm it is."""


class EnergyRow(_Sourced):
    """Energy of one action."""

    action: str
    """Action, such as `bf16` or `read`; per byte where bytes are counted."""

    value: Joules
    """Energy of one."""


class AreaSpec(_Sourced):
    """Area of one item."""

    item: str
    """What one is."""

    value: Mm2
    """Its area."""


class LeakageSpec(_Sourced):
    """Static power of one item."""

    item: str
    """What one is."""

    value: Watts
    """Its static power."""


class TableSpec(Spec):
    """A table file."""

    schema_: Literal["archsim.energy/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str
    """Name that `energy.table` takes."""

    node_nm: int
    """Technology node."""

    energy: tuple[EnergyRow, ...]
    """Energy rows."""

    area: tuple[AreaSpec, ...]
    """Area rows."""

    leakage: tuple[LeakageSpec, ...]
    """Leakage rows."""


@dataclass(frozen=True, slots=True)
class Row:
    """Energy of one action in pJ, with its source and how firm it is."""

    pj: float
    source: str
    accuracy: str


@dataclass(frozen=True, slots=True)
class AreaRow:
    """Area of one item in mm2."""

    mm2: float
    source: str
    accuracy: str


@dataclass(frozen=True, slots=True)
class LeakageRow:
    """Static power of one item in W."""

    w: float
    source: str
    accuracy: str


@dataclass(frozen=True, slots=True)
class SramRows:
    """An SRAM of several macros: energy per byte of an access, area and leakage of all."""

    read: Row
    write: Row
    area_mm2: float
    leakage_w: float


@dataclass(frozen=True)
class EnergyTable:
    """Rows by (class, action), as one file gives them."""

    name: str
    node_nm: int
    rows: dict[tuple[str, str], Row]
    areas: dict[tuple[str, str], AreaRow]
    leakages: dict[tuple[str, str], LeakageRow]

    def of(self, component: str, action: str) -> Row:
        """Energy of an action.

        Raises:
            InputError: E108 for a pair without a row.
        """
        row = self.rows.get((component, action))
        if row is None:
            raise self._unknown("energy", component, action, self.rows)
        return row

    def area(self, component: str, item: str) -> AreaRow:
        """Area of an item.

        Raises:
            InputError: E108 for a pair without a row.
        """
        row = self.areas.get((component, item))
        if row is None:
            raise self._unknown("area", component, item, self.areas)
        return row

    def cell_mm2(self, formats: Iterable[str]) -> float:
        """Area of a MAC cell that multiplies these formats: that of the largest of them.

        The item `cell` is one of fp16 and of bf16, and stands for formats without a row.
        """
        cell = self.area("mac", "cell").mm2
        found = [self.areas.get(("mac", name)) for name in formats]
        return max((row.mm2 if row else cell for row in found), default=cell)

    def leakage(self, component: str, item: str) -> LeakageRow:
        """Static power of an item.

        Raises:
            InputError: E108 for a pair without a row.
        """
        row = self.leakages.get((component, item))
        if row is None:
            raise self._unknown("leakage", component, item, self.leakages)
        return row

    def sram(
        self, capacity_bytes: int, width_bits: int, banks: int, rows: str | None = None
    ) -> SramRows:
        """An SRAM of so many macros that share the capacity, or one that the table's rows give.

        Raises:
            InputError: E108 where `rows` is a class without rows.
        """
        area_mm2, leakage_w = self.sram_size(capacity_bytes, width_bits, banks, rows)
        if rows is not None:
            return SramRows(self.of(rows, "read"), self.of(rows, "write"), area_mm2, leakage_w)
        one = macro(capacity_bytes / banks, width_bits, self.node_nm)
        per_byte = 8 / width_bits
        return SramRows(
            Row(one.read_pj * per_byte, one.source, one.accuracy),
            Row(one.write_pj * per_byte, one.source, one.accuracy),
            area_mm2,
            leakage_w,
        )

    def sram_size(
        self, capacity_bytes: Any, width_bits: int, banks: int, rows: str | None = None
    ) -> tuple[Any, Any]:
        """Area in mm2 and static power in W of `sram`; arrays, where the capacity is one."""
        if rows is not None:
            area, leaks = self.area(rows, "byte").mm2, self.leakage(rows, "byte").w
            return area * capacity_bytes, leaks * capacity_bytes
        return sizes(capacity_bytes, width_bits, banks, self.node_nm)

    def with_overrides(
        self,
        overrides: Sequence[EnergyRow],
        areas: Sequence[AreaSpec] = (),
        leakages: Sequence[LeakageSpec] = (),
    ) -> EnergyTable:
        """The table with some of its rows replaced, each by one with its own source.

        Raises:
            InputError: E108 for a pair without a row: nothing would count it.
        """
        rows, items = dict(self.rows), dict(self.areas)
        for new in overrides:
            self.of(new.component, new.action)
            rows[new.component, new.action] = Row(new.value * 1e12, new.source, new.accuracy)
        for area in areas:
            self.area(area.component, area.item)
            items[area.component, area.item] = AreaRow(area.value, area.source, area.accuracy)
        static = dict(self.leakages)
        for one in leakages:
            self.leakage(one.component, one.item)
            static[one.component, one.item] = LeakageRow(one.value, one.source, one.accuracy)
        return replace(self, rows=rows, areas=items, leakages=static)

    def at(self, node_nm: int) -> EnergyTable:
        """The table at another node: logic scaled, SRAM read there; what leaves the chip stays.

        Static power scales with energy (assumed), and a mm2 holds more of it as things shrink.
        """
        energy, area = energy_factor(self.node_nm, node_nm), area_factor(self.node_nm, node_nm)
        note = f", scaled from {self.node_nm} to {node_nm} nm (Stillmaker and Baas 2017)"
        return replace(
            self,
            node_nm=node_nm,
            rows={
                key: row
                if key[0].startswith(("dram", "link"))
                else Row(row.pj * energy, row.source + note, row.accuracy)
                for key, row in self.rows.items()
            },
            areas={
                key: row
                if key[0].startswith(("phy", "dram"))
                else AreaRow(row.mm2 * area, row.source + note, row.accuracy)
                for key, row in self.areas.items()
            },
            leakages={
                key: LeakageRow(row.w * energy / area, row.source + note, row.accuracy)
                for key, row in self.leakages.items()
            },
        )

    def _unknown(
        self, what: str, component: str, action: str, known: Mapping[tuple[str, str], object]
    ) -> InputError:
        words = [f"{c}.{a}" for c, a in known]
        close = nearest(f"{component}.{action}", words)
        return InputError(
            f"table {self.name} has no {what} row for {component}.{action}",
            code="E108",
            help=f'did you mean "{close}"?' if close else f"rows: {', '.join(sorted(words))}",
        )


def table_names() -> tuple[str, ...]:
    """Names of the tables that ship."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@cache
def load_table(name: str) -> EnergyTable:
    """The table of a name.

    Raises:
        InputError: E108 when there is no such table.
    """
    if name not in table_names():
        close = nearest(name, table_names())
        raise InputError(
            f"energy table {name!r} is not one of {', '.join(table_names())}",
            code="E108",
            help=f'did you mean "{close}"?' if close else None,
        )
    spec, _ = load_spec(FOLDER / f"{name}.yaml", TableSpec)
    return EnergyTable(
        spec.name,
        spec.node_nm,
        {(r.component, r.action): Row(r.value * 1e12, r.source, r.accuracy) for r in spec.energy},
        {(r.component, r.item): AreaRow(r.value, r.source, r.accuracy) for r in spec.area},
        {(r.component, r.item): LeakageRow(r.value, r.source, r.accuracy) for r in spec.leakage},
    )
