"""Energy, area and leakage of an SRAM macro: CACTI's figures, read between sizes and nodes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from math import exp, log
from pathlib import Path

from archsim.energy.scaling import area_factor, energy_factor

TABLE = Path(__file__).parent / "tables" / "cacti_sram.csv"
SOURCE = "CACTI 7, plain RAM, itrs-hp, one port"


@dataclass(frozen=True, slots=True)
class Macro:
    """Figures of one macro at one node: pJ per access, mm2, W."""

    read_pj: float
    write_pj: float
    area_mm2: float
    leakage_w: float
    source: str
    accuracy: str


@cache
def _rows() -> dict[tuple[int, int], list[tuple[int, tuple[float, float, float, float]]]]:
    """(node, width) to capacities in order, each with read, write, area and leakage."""
    table: dict[tuple[int, int], list[tuple[int, tuple[float, float, float, float]]]] = {}
    with TABLE.open(newline="") as text:
        for row in csv.DictReader(line for line in text if not line.startswith("#")):
            key = int(row["node_nm"]), int(row["width_bits"])
            figures = (
                float(row["read_pj"]),
                float(row["write_pj"]),
                float(row["area_mm2"]),
                float(row["leakage_mw"]) * 1e-3,
            )
            table.setdefault(key, []).append((int(row["capacity_bytes"]), figures))
    return {key: sorted(rows) for key, rows in table.items()}


def macro(capacity_bytes: float, width_bits: int, node_nm: int) -> Macro:
    """One macro of a capacity and an access width at a node.

    Between tabulated capacities figures are read log-log; beyond the largest, and beyond the widest
    port, energy per byte stays and area and leakage grow in proportion. A node that CACTI does not
    have is scaled from the nearest one that the scaling table knows.
    """
    rows = _rows()
    nodes = sorted({node for node, _ in rows} & {32, 45, 65})
    base = min(nodes, key=lambda n: (abs(log(n / node_nm)), n))
    widths = sorted(width for node, width in rows if node == base)
    width = max((w for w in widths if w <= width_bits), default=widths[0])
    read, write, area, leak = _between(rows[base, width], capacity_bytes)
    wider = max(1.0, width_bits / width)
    energy, size = energy_factor(base, node_nm), area_factor(base, node_nm)
    source, accuracy = SOURCE + f", {base} nm", "derived"
    if base != node_nm:
        source += f", scaled to {node_nm} nm (Stillmaker and Baas 2017)"
    return Macro(
        read * wider * energy, write * wider * energy, area * size, leak * energy, source, accuracy
    )


def _between(
    rows: list[tuple[int, tuple[float, float, float, float]]], capacity: float
) -> tuple[float, float, float, float]:
    low = max((r for r in rows if r[0] <= capacity), default=rows[0])
    high = min((r for r in rows if r[0] >= capacity), default=rows[-1])
    if low[0] == high[0]:
        grow = capacity / low[0]
        read, write, area, leak = low[1]
        return read, write, area * grow, leak * grow
    share = log(capacity / low[0]) / log(high[0] / low[0])
    a, b, c, d = (
        exp(log(x) * (1 - share) + log(y) * share) for x, y in zip(low[1], high[1], strict=True)
    )
    return a, b, c, d
