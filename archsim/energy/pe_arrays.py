"""Arrays of processing elements as they were synthesised: area of a cell, and the fastest clock.

Nothing here says what a cell spends on a MAC: the source tells area and delay alone.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from archsim.core.errors import InputError, nearest
from archsim.core.spec import problem
from archsim.energy.scaling import area_factor

TABLE = Path(__file__).parent / "tables" / "pe_arrays.csv"
NODE_NM = 32  # SAED32, an educational library
SOURCE = "synthesis for SAED32 of github.com/wqzustc/High-Performance-Tensor-Processing-Engines"


@dataclass(frozen=True, slots=True)
class Design:
    """One synthesised array.

    Attributes:
        name: design, style, size and clock, such as `opt1-os-systolic-16x16-250mhz`.
        style: how its cells are arranged, such as `3D cube`.
        cells: multipliers of the array.
        clock_hz: it was synthesised for.
        delay_s: of its longest path.
        cell_area_mm2, area_mm2: of its logic, and of that with its nets, at 32 nm.
    """

    name: str
    style: str
    cells: int
    clock_hz: float
    delay_s: float
    cell_area_mm2: float
    area_mm2: float

    @property
    def serial(self) -> bool:
        """Whether a cell takes a weight digit by digit, as a slice of its bits."""
        return self.style == "PE column"

    @property
    def fastest_hz(self) -> float:
        """The fastest clock that its longest path allows."""
        return 1 / self.delay_s

    def area_at(self, node_nm: int) -> float:
        """Area of a cell with its nets at a node, in mm2."""
        return self.area_mm2 / self.cells * area_factor(NODE_NM, node_nm)

    @property
    def macs_per_s_mm2(self) -> float:
        """MACs a second of each mm2 of the array with its nets, one a cell and cycle, at 32 nm.

        Of serial cells it is digits, not MACs.
        """
        return self.cells * min(self.clock_hz, self.fastest_hz) / self.area_mm2


@cache
def designs() -> dict[str, Design]:
    """Every design of the table, by name."""
    with TABLE.open(newline="") as text:
        rows = list(csv.DictReader(line for line in text if not line.startswith("#")))
    found = {}
    for row in rows:
        words = (row["design"], row["style"], row["dimension"], f"{row['freq_MHz']}MHz")
        name = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower())
        found[name] = Design(
            name,
            row["style"],
            prod(int(n) for n in re.findall(r"\d+", row["dimension"])),
            float(row["freq_MHz"]) * 1e6,
            float(row["delay_ns"]) * 1e-9,
            float(row["cell_area_um2"]) * 1e-6,
            float(row["area_with_net_um2"]) * 1e-6,
        )
    return found


def design(name: str, clock_hz: float, engine: str, *, serial: bool) -> Design:
    """The design of a name, for an engine at a clock.

    Args:
        name: of the design.
        clock_hz: of the engine.
        engine: its name, for messages.
        serial: whether it takes weights digit by digit, or whole.

    Raises:
        InputError: E108 for a name that is not in the table, E107 for a clock beyond its delay,
            E202 for cells of the other way.
    """
    try:
        return _design(name, clock_hz, serial=serial)
    except InputError as error:
        error.details["path"] = f"engines.{engine}.pe"
        raise


def known_design(name: str) -> Design:
    """The design of a name.

    Raises:
        InputError: E108 for a name that is not in the table.
    """
    known = designs()
    if name not in known:
        close = nearest(name, known)
        raise InputError(
            f'pe "{name}" is not one of {", ".join(known)}',
            code="E108",
            help=f'did you mean "{close}"?' if close else None,
        )
    return known[name]


def _known(name: str) -> str:
    try:
        return known_design(name).name
    except InputError as error:
        raise problem(error.code, error.message, error.help) from None


DesignName = Annotated[str, AfterValidator(_known)]
"""Name of a synthesised array; one that is not in the table is refused before all else."""


def _design(name: str, clock_hz: float, *, serial: bool) -> Design:
    found = known_design(name)
    if found.serial is not serial:
        way = "digit by digit" if found.serial else "whole"
        kind = "bit_serial_array" if found.serial else "systolic_array"
        raise InputError(
            f"cells of {name} take a weight {way}",
            code="E202",
            help=f"an engine of the kind {kind}",
        )
    if clock_hz > found.fastest_hz * 1.01:  # the table prints delays to the hundredth of a ns
        raise InputError(
            f"{name} has a path of {found.delay_s * 1e9:.2f} ns, too long for a clock of "
            f"{clock_hz / 1e6:.0f} MHz",
            code="E107",
            help=f"a clock of at most {found.fastest_hz / 1e6:.0f} MHz",
        )
    return found
