"""Energy, area and leakage of an SRAM macro: CACTI's figures, read between sizes and nodes."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache, lru_cache
from math import exp, log
from pathlib import Path

from archsim.energy.scaling import ENERGY, area_factor, energy_factor

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


Figures = tuple[float, float, float, float]  # read pJ, write pJ, area mm2, leakage W


@cache
def _rows() -> dict[tuple[int, int], list[tuple[int, Figures]]]:
    """(node, width) to capacities in order, each with read, write, area and leakage."""
    table: dict[tuple[int, int], list[tuple[int, Figures]]] = {}
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


@lru_cache(maxsize=256)
def macro(capacity_bytes: float, width_bits: int, node_nm: int) -> Macro:
    """One macro of a capacity and an access width at a node.

    Between tabulated capacities and widths figures are read log-log. Beyond the largest capacity
    energy goes on along its last two points and area and leakage grow in proportion; below the
    smallest an access costs what it costs there. A port wider than the widest is several of them
    side by side; a narrower one than the narrowest reads that. A node that CACTI does not have is
    scaled from the nearest one that the scaling table knows; leakage scales as energy (assumed).
    What lies outside CACTI's sizes or widths is `assumed`, and its source says which.
    """
    rows = _rows()
    nodes = {node for node, _ in rows}
    known = sorted(nodes & set(ENERGY))
    base = node_nm if node_nm in nodes else min(known, key=lambda n: abs(log(n / node_nm)))
    ports = [
        (width, _sized(rows[base, width], capacity_bytes))
        for width in sorted(width for node, width in rows if node == base)
    ]
    read, write, area, leak = _between(ports, width_bits)
    wider = max(1.0, width_bits / ports[-1][0])
    energy, size = energy_factor(base, node_nm), area_factor(base, node_nm)
    source = SOURCE + f", {base} nm"
    if base != node_nm:
        source += f", scaled to {node_nm} nm (Stillmaker and Baas 2017)"
    outside = _outside({w: rows[base, w] for w, _ in ports}, capacity_bytes, width_bits)
    source += f"; beyond its points: {' and '.join(outside)}" if outside else ""
    accuracy = "assumed" if outside else "derived"
    return Macro(
        read * wider * energy, write * wider * energy, area * size, leak * energy, source, accuracy
    )


def _outside(
    points: dict[int, list[tuple[int, Figures]]], capacity: float, width_bits: int
) -> list[str]:
    """What of a macro no point of a node encloses, in words."""
    found = []
    narrow, wide = min(points), max(points)
    if not narrow <= width_bits <= wide:
        found.append(f"{width_bits} bits, where widths are {narrow} to {wide}")
    used = [max((w for w in points if w <= width_bits), default=narrow)]
    used.append(min((w for w in points if w >= width_bits), default=wide))
    least, most = max(points[w][0][0] for w in used), min(points[w][-1][0] for w in used)
    if not least <= capacity <= most:
        found.append(f"{capacity:.0f} B, where capacities are {least} to {most}")
    return found


def _sized(rows: list[tuple[int, Figures]], capacity: float) -> Figures:
    """Figures at a capacity, those beyond the ends of the table included."""
    read, write, area, leak = _between(rows, capacity)
    (smallest, _), (before, (read_1, write_1, _, _)) = rows[0], rows[-2]
    largest, (read_2, write_2, _, _) = rows[-1]
    if capacity > largest:
        further = log(capacity / largest) / log(largest / before)
        read *= (read_2 / read_1) ** further
        write *= (write_2 / write_1) ** further
    grow = max(capacity / largest, 1.0) * min(capacity / smallest, 1.0)
    return read, write, area * grow, leak * grow


def _between(points: list[tuple[int, Figures]], at: float) -> Figures:
    """Log-log between the neighbours of a point; the end's figures beyond either end."""
    below, low = max((p for p in points if p[0] <= at), default=points[0])
    above, high = min((p for p in points if p[0] >= at), default=points[-1])
    if below == above:
        return low
    share = log(at / below) / log(above / below)
    read, write, area, leak = (
        exp(log(x) * (1 - share) + log(y) * share) for x, y in zip(low, high, strict=True)
    )
    return read, write, area, leak
