"""Energy of a DRAM from what it did: activates, accesses, refreshes, and time by state.

Here live two models. From currents (IDD), as device makers and DRAMsim3 count: the core of the
devices, without I/O and termination. From energies per activate and bit, where only those are
published: with the way of a bit from the cell to the pins. Which a standard has is data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archsim.core.errors import InputError
from archsim.memory.requests import MemoryRun
from archsim.memory.tables import Tables

REFRESHES_OF_A_ROW_WINDOW = 8192
"""All-bank refreshes in which every row is refreshed once: JEDEC JESD79-4, JESD235."""

PER_BIT = "_pj_per_bit"


@dataclass(frozen=True, slots=True)
class DramCounts:
    """What a memory did, summed over channels and ranks."""

    activates: int
    reads: int
    writes: int
    refreshes: int
    """All-bank refreshes."""

    bank_refreshes: int
    active_ticks: int
    """Ticks with an open bank, summed over ranks."""

    idle_ticks: int
    """Ticks with every bank closed, summed over ranks."""

    @classmethod
    def of(cls, run: MemoryRun, tables: Tables, channels: int) -> DramCounts:
        """Counts of a drive; where it did not count states, every rank is active all the time."""
        issued = run.commands
        active, idle = run.active_ticks, run.idle_ticks
        if not active and not idle:
            ranks = tables.nodes(tables.levels.index("rank")) if "rank" in tables.levels else 1
            active = run.ticks * ranks * channels
        return cls(
            activates=run.activates,
            reads=issued.get("RD", 0) + issued.get("RDA", 0),
            writes=issued.get("WR", 0) + issued.get("WRA", 0),
            refreshes=issued.get("REFab", 0),
            bank_refreshes=issued.get("REFpb", 0),
            active_ticks=active,
            idle_ticks=idle,
        )


@dataclass(frozen=True, slots=True)
class Charge:
    """What one command, and one tick of one rank, takes, in mA V ticks."""

    activate: float
    read: float
    write: float
    refresh: float
    bank_refresh: float
    active: float
    idle: float

    def energy(self, counts: DramCounts, tick_ns: float) -> DramEnergy:
        """All counts together; a mA V ns is a pJ.

        Args:
            counts: What the memory did.
            tick_ns: Length of a tick. DRAMsim3 leaves this factor out, so 1 gives what it prints
                as pJ whatever its clock is.
        """
        refresh = self.refresh * counts.refreshes + self.bank_refresh * counts.bank_refreshes
        background = self.active * counts.active_ticks + self.idle * counts.idle_ticks
        return DramEnergy(
            activate_pj=self.activate * counts.activates * tick_ns,
            read_pj=self.read * counts.reads * tick_ns,
            write_pj=self.write * counts.writes * tick_ns,
            refresh_pj=refresh * tick_ns,
            background_pj=background * tick_ns,
            parts_pj={},
            missing=("io",),
        )


@dataclass(frozen=True, slots=True)
class DramEnergy:
    """Energy by cause, in pJ."""

    activate_pj: float
    read_pj: float
    write_pj: float
    refresh_pj: float
    background_pj: float
    parts_pj: Mapping[str, float]
    """`read_pj` and `write_pj` by the way of a bit: cell, data path, TSV, interposer."""

    missing: tuple[str, ...]
    """Causes of which the source of the standard's energies says nothing; they count as 0."""

    @property
    def total_pj(self) -> float:
        """All causes."""
        accesses = self.read_pj + self.write_pj
        return self.activate_pj + accesses + self.refresh_pj + self.background_pj


def charge(tables: Tables) -> Charge:
    """Charge of each command from the currents of a standard, all devices of a rank together.

    An activate and its precharge draw IDD0 for a row cycle, above what stands there anyway; an
    access draws IDD4 for its burst; a refresh IDD5 for its time. The pump rail (VPP) adds to that
    where its currents are known. Source: DRAMsim3 (umd-memsys/DRAMsim3, 2981759), which takes a
    bank refresh with its default of 5 mA, so that it counts below the background it covers.

    Raises:
        InputError: E102 when the standard has no currents.
    """
    current = tables.currents
    if not current:
        raise InputError(f"{tables.name} has no currents", code="E102")
    ras, rp = tables.timing("nRAS", "tRAS"), tables.timing("nRP", "tRP")
    rc = tables.timings.get("nRC", ras + rp)
    volt = current["VDD"] * current["devices"]
    standing = current["IDD3N"]
    pump = current.get("VPP", 0.0) * current["devices"]
    row, still = current.get("IPP0", 0.0), current.get("IPP3N", 0.0)
    refresh_ticks = tables.refresh_ticks
    bank_ticks = tables.timings.get("tRFCb", 0)
    return Charge(
        activate=volt * (current["IDD0"] * rc - standing * ras - current["IDD2N"] * rp)
        + pump * (row - still) * rc,
        read=volt * (current["IDD4R"] - standing) * tables.burst_ticks,
        write=volt * (current["IDD4W"] - standing) * tables.burst_ticks,
        refresh=volt * (current["IDD5AB"] - standing) * refresh_ticks
        + pump * (current.get("IPP5AB", still) - still) * refresh_ticks,
        bank_refresh=volt * (current.get("IDD5PB", standing) - standing) * bank_ticks,
        active=volt * standing + pump * still,
        idle=volt * current["IDD2N"] + pump * still,
    )


def dram_energy(tables: Tables, counts: DramCounts) -> DramEnergy:
    """Energy of what a memory did, in pJ, from its currents or from its energies per bit.

    Raises:
        InputError: E102 when the standard has neither.
    """
    if tables.currents:
        return charge(tables).energy(counts, tables.tick_ns)
    if not tables.energies:
        raise InputError(f"{tables.name} has neither currents nor energies", code="E102")
    energies = tables.energies
    access_bits = tables.access_bytes * 8
    accesses = counts.reads + counts.writes
    per_bit = {key: value for key, value in energies.items() if key.endswith(PER_BIT)}
    access_pj = sum(per_bit.values()) * access_bits
    activate_pj = energies.get("activate_pj", 0.0)
    return DramEnergy(
        activate_pj=activate_pj * counts.activates,
        read_pj=access_pj * counts.reads,
        write_pj=access_pj * counts.writes,
        refresh_pj=activate_pj * _rows_refreshed(tables, counts),
        background_pj=0.0,
        parts_pj={
            key.removesuffix(PER_BIT): value * access_bits * accesses
            for key, value in per_bit.items()
        },
        missing=("background",) if activate_pj else ("activate", "refresh", "background"),
    )


def _rows_refreshed(tables: Tables, counts: DramCounts) -> float:
    """Rows that refreshes opened; each costs an activate (assumed)."""
    rows = tables.rows / REFRESHES_OF_A_ROW_WINDOW
    banks = tables.banks_below(tables.refresh_level)
    return rows * (banks * counts.refreshes + counts.bank_refreshes)
