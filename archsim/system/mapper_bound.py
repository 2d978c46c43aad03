"""The least that any mapping of a MAC stage takes: compulsory bytes and arithmetic at peak rates.

Each operand that does not lie on chip crosses the memory's port once, and the on-chip memory once;
no mapping is under this, and few reach it.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from archsim.components.base import MacEngine
from archsim.ir.meter import Meter
from archsim.ir.problem import Problem
from archsim.system.place import Stage
from archsim.system.room import Room


def bounds(stage: Stage, view: Problem, meter: Meter, room: Room) -> dict[str, float]:
    """By objective: seconds, pJ, pJ x s, bytes and array cycles that no mapping is under."""
    assert isinstance(stage.engine, MacEngine)
    read, written = _compulsory(view, meter, room)
    peak = stage.engine.peak(view.weight)
    mac_s = view.op.points() / peak
    time_s = max((read + written) / room.machine.dram.peak_bytes_per_s, mac_s)
    p = meter.prices
    dynamic_pj = (
        p.fixed_pj
        + read * (p.dram_read_pj + p.dma_pj + p.sram_write_pj)
        + written * (p.dram_write_pj + p.dma_pj + p.sram_read_pj)
    )
    energy_pj = dynamic_pj + p.leakage_w * 1e12 * time_s
    return {
        "latency": time_s,
        "energy": energy_pj,
        "edp": energy_pj * time_s,
        "traffic": float(read + written),
        "compute": float(ceil(mac_s * stage.engine.clock_hz)),
    }


def _compulsory(view: Problem, meter: Meter, room: Room) -> tuple[int, int]:
    """Bytes read and written once: those of operands that do not lie on chip."""
    op, graph = view.op, room.graph
    read = sum(meter.once_bytes)
    written = 0
    parts = {"in": 0, "weight": 0}
    for e in view.cases:
        b, m, k = (np.array([x], dtype=np.int64) for x in (e.b, e.m, e.k))
        whole = view.in_elements(b, m, k, e.m)[0] * view.bits["in"]
        parts["in"] += int(-(-whole // 8))
        parts["weight"] += int(view.weight_bytes(np.array([e.b * e.k * e.n], dtype=np.int64))[0])
    for name, access in (("in", op.reads[0]), ("weight", op.reads[1])):
        if access.tensor not in room.resident:
            read += min(parts[name], graph.touched_bytes(access))
    outputs = sum(e.b * e.m * e.n for e in view.cases)
    if meter.tail is not None:
        rows = sum(e.b * e.m for e in view.cases)
        moves = meter.tail(np.array([outputs]), np.array([rows]))
        read += sum(int(x[0]) for x in moves.loads)
        written += sum(int(x[0]) for x in moves.stores)
    elif op.writes[0].tensor not in room.resident:
        written += -(-outputs * view.bits["out"] // 8)
    return read, written
