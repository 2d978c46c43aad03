"""From a DRAM standard's file to the integers of one channel: named timings become ticks."""

from __future__ import annotations

import numpy as np

from archsim.core.errors import InputError
from archsim.core.units import PS_PER_S
from archsim.memory.standard import Standard
from archsim.memory.tables import Tables

SAME = {
    "nREFI": ("tREFI",),
    "nREFIpb": ("tREFIb", "tREFISB"),
    "nRFCpb": ("nRFCSB", "tRFCb", "tRFCSB"),
}
"""Refresh timings that tables hold under one name whatever their source calls them."""


def evaluate(standard: Standard) -> Tables:
    """The tables of one channel.

    Raises:
        InputError: E102 when the standard describes no channel.
    """
    device = standard.device
    if device is None:
        raise InputError(
            f"standard {standard.name} has peak and latency but no channel to simulate",
            code="E102",
            help="give it a `device` with organisation, timings and rules",
        )
    number = {command: i for i, command in enumerate(device.commands)}
    rows = [
        (
            device.levels.index(rule.level), number[before], number[after],
            device.ticks_of(rule.ticks), rule.window, int(rule.sibling),
        )
        for group in device.rules.values()
        for rule in group
        for before in rule.previous
        for after in rule.next
    ]  # fmt: skip
    tick_ps = round(device.tick * PS_PER_S)
    timings = dict(device.timings)
    for ours, theirs in SAME.items():
        found = [timings[name] for name in (ours, *theirs) if name in timings]
        timings |= {ours: found[0]} if found else {}
    return Tables(
        name=standard.name,
        family=device.family,
        levels=device.levels,
        counts=tuple(device.counts.get(level, 1) for level in device.levels),
        rows=device.rows,
        bursts=device.columns // device.prefetch,
        access_bytes=device.access_bytes,
        tick_ps=tick_ps,
        tick_ns=tick_ps / 1000,
        commands=device.commands,
        constraints=np.array(rows, dtype=np.int64).reshape(-1, 6),
        timings=timings,
        read_latency=device.ticks_of(device.read_latency),
        burst_ticks=device.ticks_of(device.burst_ticks),
        slots=device.slots,
        refresh_level=device.levels.index(device.refresh_level),
        currents=dict(device.currents),
        energies=dict(device.energies),
    )
