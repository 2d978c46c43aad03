"""Rows of DRAM simulators: one request list on one standard, as that simulator's controller works.

Here a row becomes a `memory.controller` description, an address map and a named trace. Which rules
a structure follows is in `memory`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from archsim.core.errors import Unsupported
from archsim.memory.address import AddressMap
from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers.devices import device
from archsim.memory.dram_energy import DramCounts, charge
from archsim.memory.requests import MemoryRun, Pacing, Requests
from archsim.memory.standard import find_preset, load_standard
from archsim.memory.tables import Tables
from archsim.memory.traces import Place, checksum, trace
from archsim.validation.base import Adapter, Row

T = TypeVar("T")

SIMULATORS = {"Ramulator2.1": "unified", "DRAMsim3": "command_queues"}
SCHEDULERS = {
    "unified": {
        "FRFCFS": {"scheduler": "frfcfs"},
        "FRFCFS-RowHit": {"scheduler": "frfcfs_row_hit"},
    },
    "command_queues": {
        "FRFCFS-PER_BANK-RRqueues": {"queue_per": "bank"},
        "FRFCFS-PER_RANK-RRqueues": {"queue_per": "rank"},
    },
}
REFRESHES = {
    "unified": {"AllBank": "all_bank", "PerBank": "per_bank",
                "HBM34PerBankRefresh": "per_bank_interleaved", "NoRefresh": "none"},
    "command_queues": {"RANK_LEVEL_STAGGERED": "rank_staggered",
                       "BANK_LEVEL_STAGGERED": "bank_staggered"},
}  # fmt: skip
POLICIES = {
    "unified": {"Open": "open"},
    "command_queues": {"OPEN_PAGE": "open", "CLOSE_PAGE": "closed"},
}
CAPPED = re.compile(r"ClosedCAP(\d+)")
QUEUES = re.compile(r"(\d+)\+cmdq(\d+)")
LATENCY_DECIMALS, ENERGY_DECIMALS = 4, 1  # as many as the table prints


class Dram(Adapter):
    """Ticks, commands, latency and energy of DRAM against Ramulator 2.1 and DRAMsim3."""

    kind = "dram"
    ID = "ref_id"
    NEEDS = ("ref_id", "sim", "org_preset", "timing_preset", "channels", "addr_mapper", "scheduler",
             "row_policy", "refresh", "read_q", "write_q", "mlp", "inject_per_tick", "gap_ticks",
             "trace", "N", "access_bytes", "region_bytes", "SROW", "SPAGE",
             "trace_checksum")  # fmt: skip

    def run(self, row: Row) -> dict[str, float]:
        """One drive of one controller; energy only where the simulator prints one."""
        structure = _one_of(row, "sim", SIMULATORS)
        standard = find_preset(row["sim"], row["org_preset"], row["timing_preset"])
        tables = load_standard(standard).tables()
        channels = _count(row, "channels")
        addresses = AddressMap(tables, channels, row["addr_mapper"])
        pacing = Pacing(
            outstanding=_count(row, "mlp", 0),
            per_tick=_count(row, "inject_per_tick"),
            gap_ticks=_count(row, "gap_ticks", 0),
        )
        controller = device(tables, _controller(row, structure), addresses)
        run = controller.drive(_requests(row, tables), pacing)
        found: dict[str, float] = {
            "ticks": run.ticks,
            "n_act": run.activates,
            "n_ref": run.refreshes,
            "avg_read_lat_ticks": round(run.mean_read_latency_ticks, LATENCY_DECIMALS),
        }
        return found | (_energy(run, tables, channels) if structure == "command_queues" else {})


def _energy(run: MemoryRun, tables: Tables, channels: int) -> dict[str, float]:
    """Charge in mA V clocks, which DRAMsim3 prints as pJ."""
    spent = charge(tables).energy(DramCounts.of(run, tables, channels), tick_ns=1.0)
    return {"total_pJ": round(spent.total_pj, ENERGY_DECIMALS)}


def _requests(row: Row, tables: Tables) -> Requests:
    """The named list, which must be that of the table.

    Raises:
        Unsupported: when its checksum is another, or its accesses have another size.
    """
    place = Place(
        *(_count(row, column) for column in ("access_bytes", "SROW", "SPAGE", "region_bytes"))
    )
    if place.access_bytes != tables.access_bytes:
        raise Unsupported(
            f"an access of {tables.name} has {tables.access_bytes} bytes, not {place.access_bytes}"
        )
    requests = trace(row["trace"], _count(row, "N"), place)
    if checksum(requests) != _count(row, "trace_checksum", 0):
        raise Unsupported(f"trace {row['trace']} has another checksum than the row says")
    return requests


def _controller(row: Row, structure: str) -> ControllerSpec:
    """The row's controller in our words."""
    options: dict[str, Any] = {"structure": structure}
    options |= _one_of(row, "scheduler", SCHEDULERS[structure])
    options["refresh"] = _one_of(row, "refresh", REFRESHES[structure])
    capped = CAPPED.fullmatch(row["row_policy"])
    if capped and structure == "unified":
        options |= {"row_policy": "closed_after", "cap": int(capped[1])}
    else:
        options["row_policy"] = _one_of(row, "row_policy", POLICIES[structure])
    if structure == "command_queues":
        queues = QUEUES.fullmatch(row["read_q"])
        if queues is None:
            raise Unsupported(f'column read_q expects such as 32+cmdq8, got "{row["read_q"]}"')
        options |= {"read_queue": int(queues[1]), "command_queue": int(queues[2])}
    else:
        options["read_queue"] = _count(row, "read_q")
    options["write_queue"] = _count(row, "write_q")
    return ControllerSpec.model_validate(options)


def _count(row: Row, column: str, least: int = 1) -> int:
    """A whole number, also as a table with gaps may print it: 3.0.

    Raises:
        Unsupported: for anything else, or less than `least`.
    """
    text = row[column].removesuffix(".0")
    if not text.isdecimal() or int(text) < least:
        raise Unsupported(
            f'column {column} expects a whole number from {least}, got "{row[column]}"'
        )
    return int(text)


def _one_of(row: Row, column: str, known: Mapping[str, T]) -> T:
    """What a word of a column stands for.

    Raises:
        Unsupported: for a word that is not known.
    """
    if row[column] not in known:
        raise Unsupported(f'column {column} expects one of {", ".join(known)}, got "{row[column]}"')
    return known[row[column]]
