"""One memory under one request list: bandwidth, latencies, row statistics, energy, a load curve.

A `Setup` says which; `measure` runs it and gives plain data under the names that reports use. How
the controller works is in `unified` and `command_queues`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from archsim.core.errors import InputError
from archsim.memory.address import AddressMap
from archsim.memory.controller import ControllerSpec
from archsim.memory.controllers.devices import device
from archsim.memory.dram_energy import DramCounts, dram_energy
from archsim.memory.requests import MemoryRun, Pacing, Requests
from archsim.memory.standard import load_standard
from archsim.memory.tables import NEXT, PREVIOUS, TICKS, Tables
from archsim.memory.trace_file import read_trace
from archsim.memory.traces import REGION_BYTES, TRACES, Place, trace

DEFAULT_REQUESTS = 32768
PERCENTILES = (50, 90, 99)
LOADS = (0.01, 0.02, *(i / 20 for i in range(1, 21)))
"""Shares of the peak bandwidth that a load curve offers, until the memory cannot follow."""

FEWEST = 100
"""Requests of a load curve: with fewer, its ends count more than its load."""

FOLLOWS = 0.9
"""Share of what is offered below which a memory no longer follows."""


@dataclass(frozen=True)
class Setup:
    """What is measured.

    Attributes:
        standard: Name of a standard, or of its file.
        trace: Name of a request list, or a trace file.
        requests: How many; of a file, all that it has where it has fewer.
        channels: Channels, a power of two.
        mapping: Address mapping, in any form that `memory.address` reads.
        controller: Options of the controller.
        outstanding: Requests in flight at most; 0 for no cap.
    """

    standard: str
    trace: str = "stream_rd"
    requests: int = DEFAULT_REQUESTS
    channels: int = 1
    mapping: str = "MOP4CLXOR"
    controller: ControllerSpec = field(default_factory=ControllerSpec)
    outstanding: int = 0


def measure(setup: Setup) -> dict[str, Any]:
    """Run a setup; times in seconds, sizes in bytes, energies in joules.

    Raises:
        InputError: an unknown standard, trace or mapping, a trace file that does not parse, an
            address outside the capacity.
    """
    tables = load_standard(setup.standard).tables()
    addresses = AddressMap(tables, setup.channels, setup.mapping)
    requests, at = _requests(setup, addresses)
    pacing = Pacing(outstanding=setup.outstanding, per_tick=setup.channels, at=at)
    run = device(tables, setup.controller, addresses).drive(requests, pacing)
    return _head(setup, tables, len(requests)) | _results(run, tables, setup.channels)


def sweep_load(setup: Setup, loads: tuple[float, ...] = LOADS) -> list[dict[str, Any]]:
    """Latency against load: requests come at even distances, whatever the controller does.

    Args:
        setup: what is measured.
        loads: offered shares of the peak bandwidth.

    Returns:
        For each load, what was offered, what was reached, and read latencies; up to the second
        load that the memory cannot follow.

    Raises:
        InputError: E202 for what a load curve cannot have: too few requests or none that reads, a
            trace with ticks of its own, a cap on requests in flight.
    """
    tables = load_standard(setup.standard).tables()
    addresses = AddressMap(tables, setup.channels, setup.mapping)
    requests, given = _requests(setup, addresses)
    for wrong, text in (
        (given is not None, "the trace says when its requests come, and so does a load curve"),
        (setup.outstanding, "a cap on requests in flight would set the load, not the curve"),
        (len(requests) < FEWEST, f"a load curve needs {FEWEST} requests, got {len(requests)}"),
        (bool(requests.write.all()), "a load curve shows read latencies, and nothing is read"),
    ):
        if wrong:
            raise InputError(text, code="E202")
    controller = device(tables, setup.controller, addresses)
    apart = tables.access_bytes / (tables.peak_bytes_per_s * setup.channels * tables.tick_ns * 1e-9)
    rows = []
    for load in loads:
        at = np.floor(np.arange(len(requests)) * (apart / load)).astype(np.int64)
        run = controller.drive(requests, Pacing(per_tick=setup.channels, at=at))
        found = _results(run, tables, setup.channels)
        latency = {f"latency_{k}": v for k, v in found["read_latency"].items()}
        rows.append({"offered": load, "reached": found["of_peak"],
                     "bytes_per_s": found["bytes_per_s"], **latency})  # fmt: skip
        if sum(row["reached"] < FOLLOWS * row["offered"] for row in rows) > 1:
            break
    return rows


def closed_form(setup: Setup) -> dict[str, float | None]:
    """What arithmetic says of one channel: peak, latency of a lone read, share lost to refresh.

    That share is known of a refresh that stops all banks at once, and None of others.
    """
    tables = load_standard(setup.standard).tables()
    share: float | None = None
    if setup.controller.refresh == "all_bank":
        share = tables.refresh_ticks / tables.refresh_interval
    elif setup.controller.refresh == "none":
        share = 0.0
    return {
        "peak_bytes_per_s": tables.peak_bytes_per_s,
        "unloaded_latency_s": unloaded_ticks(tables) * tables.tick_ns * 1e-9,
        "refresh_share": share,
    }


def unloaded_ticks(tables: Tables) -> int:
    """Ticks of a lone read of a closed bank: its row is opened, then read, then the data comes."""
    opens = {tables.command(name) for name in ("ACT", "ACT1")} - {-1}
    mine = tables.constraints[tables.constraints[:, NEXT] == tables.command("RD")]
    waits = [int(rule[TICKS]) for rule in mine if int(rule[PREVIOUS]) in opens]
    return max(waits, default=0) + tables.read_latency


def _requests(setup: Setup, addresses: AddressMap) -> tuple[Requests, Any]:
    if setup.trace in TRACES or not (Path(setup.trace).is_file() or Path(setup.trace).suffix):
        region = min(REGION_BYTES, addresses.capacity_bytes)
        place = Place(
            addresses.tables.access_bytes, addresses.row_stride_bytes, addresses.page_bytes, region
        )
        return trace(setup.trace, setup.requests, place), None
    found = read_trace(setup.trace)
    n = min(setup.requests, len(found.address)) if setup.requests else len(found.address)
    at = found.at[:n] if found.at is not None else None
    return Requests(found.address[:n], found.write[:n]), at


def _head(setup: Setup, tables: Tables, n: int) -> dict[str, Any]:
    return {
        "schema": "archsim.memory/1",
        "standard": tables.name,
        "family": tables.family,
        "trace": setup.trace,
        "requests": n,
        "channels": setup.channels,
        "mapping": setup.mapping,
        "controller": setup.controller.to_data(),
        "tick_s": tables.tick_ns * 1e-9,
    }


def _results(run: MemoryRun, tables: Tables, channels: int) -> dict[str, Any]:
    tick_s = tables.tick_ns * 1e-9
    size = (run.reads + run.writes) * tables.access_bytes
    rate = size / (run.ticks * tick_s)
    latency = run.read_latency_ticks * tick_s
    read_latency: dict[str, float] | None = None
    if run.reads:
        read_latency = {"mean_s": run.mean_read_latency_ticks * tick_s}
        marks = np.percentile(latency, PERCENTILES, method="inverted_cdf")
        read_latency |= {f"p{p}_s": float(m) for p, m in zip(PERCENTILES, marks, strict=True)}
        read_latency["max_s"] = run.read_latency_max_ticks * tick_s
    columns = run.row_hits + run.row_misses + run.row_conflicts
    return {
        "ticks": run.ticks,
        "time_s": run.ticks * tick_s,
        "bytes": size,
        "bytes_per_s": rate,
        "peak_bytes_per_s": tables.peak_bytes_per_s * channels,
        "of_peak": rate / (tables.peak_bytes_per_s * channels),
        "read_latency": read_latency,
        "rows": {
            "hits": run.row_hits,
            "misses": run.row_misses,
            "conflicts": run.row_conflicts,
            "hit_rate": run.row_hits / columns if columns else None,
            "activates": run.activates,
            "precharges": run.precharges,
            "refreshes": run.refreshes,
        },
        "forwarded": run.forwarded,
        "merged": run.merged,
        "commands": dict(run.commands),
        "energy_j": _energy(run, tables, channels, size),
    }


def _energy(run: MemoryRun, tables: Tables, channels: int, size: int) -> dict[str, Any] | None:
    """Energy by cause, None for a standard whose source gives neither currents nor energies."""
    try:
        found = dram_energy(tables, DramCounts.of(run, tables, channels))
    except InputError:
        return None
    parts = {
        key.removesuffix("_pj"): value * 1e-12
        for key, value in asdict(found).items()
        if key.endswith("_pj") and isinstance(value, float)
    }
    return {
        **parts,
        "total": found.total_pj * 1e-12,
        "pj_per_bit": found.total_pj / (8 * size) if size else None,
        "by_way": {key: value * 1e-12 for key, value in found.parts_pj.items()},
        "missing": list(found.missing),
    }
