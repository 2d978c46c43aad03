"""DRAM standards as data: one YAML a standard in `standards/`, shared rules in `families/`.

Here live the form of such a file and how it is found by name. What it may not contradict is in
`memory._standard_check`, how it becomes the `Tables` of a controller in `memory._standard_tables`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from archsim.core.errors import InputError, nearest
from archsim.core.spec import Bytes, BytesPerSecond, Fraction, PositiveInt, Seconds, Spec

if TYPE_CHECKING:
    from archsim.memory.tables import Tables

FOLDER = Path(__file__).parent / "standards"
TERM = re.compile(r"\s*([+-]?)\s*(\w+)\s*")
"""One term of a sum such as `nCL + nBL + 2 - nCWL`."""

Level = Literal["channel", "pseudo_channel", "rank", "sid", "bank_group", "bank"]


class Rule(Spec):
    """One timing rule: after a command at a node of a level, another is illegal for a time."""

    level: Level
    """Level at whose node the rule holds."""

    previous: tuple[str, ...]
    """Commands that start the time, each on its own."""

    next: tuple[str, ...]
    """Commands that must wait."""

    ticks: int | str
    """Ticks to wait: a number, or a sum of timings and numbers such as `nCL + nBL + 2 - nCWL`."""

    window: PositiveInt = 1
    """Counts from the n-th most recent `previous`; 4 in the rule of four activates."""

    sibling: bool = False
    """Holds at the other nodes of the same parent instead of the node itself."""


class InMemory(Spec):
    """What a processing-in-memory part adds to its standard."""

    commands: tuple[str, ...]
    """Its commands."""

    rules: tuple[Rule, ...]
    """Timing rules that name at least one of them."""


class Preset(Spec):
    """The preset of a published simulator whose numbers a standard holds."""

    simulator: str
    """Simulator, with its version where it has one."""

    organisation: str
    """Its organisation preset."""

    timing: str
    """Its timing preset."""


class Device(Spec):
    """One channel as a controller sees it: organisation, timings and rules. Times in ticks."""

    family: str
    """Standard that this is a speed grade of, such as `HBM3`."""

    levels: tuple[Level, ...]
    """Levels, outermost first."""

    counts: dict[str, PositiveInt]
    """Nodes of each level within one parent; a level that is not named has one."""

    rows: PositiveInt
    """Rows of a bank."""

    columns: PositiveInt
    """Columns of a row, each as wide as the data bus."""

    prefetch: PositiveInt
    """Columns of one access."""

    access_bytes: Bytes
    """Bytes of one access."""

    tick: Seconds
    """Time step of the command bus."""

    slots: Literal["single", "dual", "half_clock"] = "single"
    """Commands a tick: one; a column and a row command; or those on the edges of half clocks."""

    refresh_level: Level
    """Level whose node one all-bank refresh covers."""

    commands: tuple[str, ...]
    """Commands, in the order of their numbers."""

    read_latency: int | str
    """From RD to the end of its data: ticks or a sum of timings."""

    burst_ticks: int | str
    """Time that an access holds the data bus: ticks or a sum of timings."""

    timings: dict[str, int]
    """Timing parameters, under the names of their source."""

    rules: dict[str, tuple[Rule, ...]]
    """Timing rules, in groups that a speed grade may replace or remove by name."""

    pim: InMemory | None = None
    """Commands and rules of processing in memory; not part of the tables of a plain controller."""

    currents: dict[str, float] = {}
    """IDD in mA, VDD in V, `devices` of a rank."""

    energies: dict[str, float] = {}
    """Energies of its own, where no currents are known: `activate_pj` and `..._pj_per_bit`."""

    contradicts: tuple[str, ...] = ()
    """Timings that contradict others in the source itself and are kept as they are."""

    source: dict[str, str]
    """Where organisation, timings, rules, currents and energies come from."""

    def ticks_of(self, amount: int | str) -> int:
        """Ticks of a number or of a sum of timings.

        Raises:
            KeyError: a timing that the device does not have.
        """
        if isinstance(amount, int):
            return amount
        return sum(
            sign * (int(name) if name.isdecimal() else self.timings[name])
            for sign, name in sum_of(amount)
        )


class Standard(Spec):
    """What one stack, device channel or module of a standard offers."""

    schema_: Literal["archsim.dram-standard/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str
    """Name that `standard:` takes."""

    bytes_per_s: BytesPerSecond
    """Peak bandwidth of one stack, every pin at its rate."""

    capacity_bytes: Bytes
    """Bytes of one stack."""

    latency_s: Seconds
    """Unloaded random read, row opened and data returned."""

    streaming_efficiency: Fraction
    """Share of the peak that a sequential read gets, refresh included."""

    energy: str
    """Class of its rows in the energy table."""

    channels: PositiveInt = 1
    """Independent channels of one stack or module."""

    preset: Preset | None = None
    """The published preset that these are the numbers of."""

    device: Device | None = None
    """One channel, for the tick-accurate controllers."""

    source: dict[str, str]
    """Where each number comes from."""

    def tables(self) -> Tables:
        """The timing of one channel, evaluated.

        Raises:
            InputError: E102 when the file describes no channel.
        """
        from archsim.memory._standard_tables import evaluate

        return evaluate(self)


def sum_of(text: str) -> list[tuple[int, str]]:
    """Signed terms of a sum; empty when the text is not one.

    Example:
        >>> sum_of("nCL + 2 - nCWL")
        [(1, 'nCL'), (1, '2'), (-1, 'nCWL')]
    """
    terms, at = [], 0
    while match := TERM.match(text, at):
        if at and not match[1]:
            return []
        terms.append((-1 if match[1] == "-" else 1, match[2]))
        at = match.end()
    return terms if at == len(text) else []


def standard_names() -> tuple[str, ...]:
    """Names of the standards that ship."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@cache
def load_standard(name: str) -> Standard:
    """The standard of a name, or of a file whose name ends in `.yaml`.

    Raises:
        InputError: E108 when there is no such standard; every mistake of its file, at its place.
    """
    path = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    if not path.is_file():
        close = nearest(name, standard_names())
        raise InputError(
            f"standard {name!r} is not one of {', '.join(standard_names())}",
            code="E108",
            help=f'did you mean "{close}"?' if close else None,
        )
    from archsim.core.yamlio import load_spec
    from archsim.memory._standard_check import check

    standard, document = load_spec(path, Standard)
    if standard.device is not None:
        check(standard.device, document)
    return standard


def find_preset(simulator: str, organisation: str, timing: str) -> str:
    """Name of the standard that holds a preset of Ramulator or DRAMsim3: that of its timing.

    Raises:
        InputError: E108 when none does.
    """
    wanted = Preset(simulator=simulator, organisation=organisation, timing=timing)
    if timing in standard_names() and load_standard(timing).preset == wanted:
        return timing
    raise InputError(f"no standard holds {simulator} {organisation} {timing}", code="E108")
