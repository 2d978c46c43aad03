"""Energy, area and leakage of an SRAM macro: CACTI's figures, read between sizes and nodes."""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from math import exp, log
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True)
class _Curve:
    """Figures of macros of one width at capacities in order, and their logarithms."""

    sizes: tuple[int, ...]
    figures: tuple[Figures, ...]
    logs: tuple[Figures, ...]


@cache
def _curves() -> dict[tuple[int, int], _Curve]:
    """By node and width."""
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
    return {key: _curve(sorted(rows)) for key, rows in table.items()}


def _curve(rows: list[tuple[int, Figures]]) -> _Curve:
    figures = tuple(of for _, of in rows)
    return _Curve(tuple(size for size, _ in rows), figures, tuple(map(_logs, figures)))


@dataclass(frozen=True, slots=True)
class _Port:
    """What macros of one width at one node have in common, whatever their capacity.

    Attributes:
        base: the node that CACTI has.
        curves: of the neighbours of the width; of the width alone where CACTI has it.
        share: where it lies between them.
        wider: macros side by side.
        energy, area: factors from the node that CACTI has.
        outside: in words, that no point has such a width; empty where one has.
    """

    base: int
    curves: tuple[_Curve, ...]
    share: float
    wider: float
    energy: float
    area: float
    outside: str


@lru_cache(maxsize=64)
def _port(width_bits: int, node_nm: int) -> _Port:
    nodes = {node for node, _ in _curves()}
    known = sorted(nodes & set(ENERGY))
    base = node_nm if node_nm in nodes else min(known, key=lambda n: abs(log(n / node_nm)))
    widths = sorted(width for node, width in _curves() if node == base)
    beside, share = _beside(widths, width_bits)
    within = widths[0] <= width_bits <= widths[-1]
    return _Port(
        base,
        tuple(_curves()[base, widths[i]] for i in beside),
        share,
        max(1.0, width_bits / widths[-1]),
        energy_factor(base, node_nm),
        area_factor(base, node_nm),
        "" if within else f"{width_bits} bits, where widths are {widths[0]} to {widths[-1]}",
    )


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
    port = _port(width_bits, node_nm)
    source = SOURCE + f", {port.base} nm"
    if port.base != node_nm:
        source += f", scaled to {node_nm} nm (Stillmaker and Baas 2017)"
    outside = " and ".join(filter(None, (port.outside, _outside(port.curves, capacity_bytes))))
    source += f"; beyond its points: {outside}" if outside else ""
    accuracy = "assumed" if outside else "derived"
    return Macro(*figures(capacity_bytes, width_bits, node_nm), source, accuracy)


def figures(capacity_bytes: float, width_bits: int, node_nm: int) -> Figures:
    """Numbers of `macro` alone: read pJ, write pJ, area mm2, leakage W."""
    port = _port(width_bits, node_nm)
    ends = [_sized(curve, capacity_bytes) for curve in port.curves]
    if len(ends) == 1:
        read, write, area, leak = ends[0]
    else:
        read, write, area, leak = _blend(_logs(ends[0]), _logs(ends[1]), port.share)
    wider, energy = port.wider, port.energy
    return read * wider * energy, write * wider * energy, area * port.area, leak * energy


def sizes(capacity_bytes: Any, width_bits: int, banks: int, node_nm: int) -> tuple[Any, Any]:
    """Area in mm2 and leakage in W of macros that share a capacity, or each of many in an array."""
    if isinstance(capacity_bytes, int | float):
        *_, area, leak = figures(capacity_bytes / banks, width_bits, node_nm)
        return area * banks, leak * banks
    import numpy as np  # late: only studies ask for many

    each = [figures(one, width_bits, node_nm) for one in (capacity_bytes / banks).tolist()]
    found = np.array(each)[:, 2:] * banks
    return found[:, 0], found[:, 1]


def _outside(curves: Sequence[_Curve], capacity: float) -> str:
    """In words, that no point encloses a capacity; empty where some do."""
    least = max(curve.sizes[0] for curve in curves)
    most = min(curve.sizes[-1] for curve in curves)
    if least <= capacity <= most:
        return ""
    return f"{capacity:.0f} B, where capacities are {least} to {most}"


def _sized(curve: _Curve, capacity: float) -> Figures:
    """Figures at a capacity, those beyond the ends of the table included."""
    at, share = _beside(curve.sizes, capacity)
    if len(at) == 1:
        read, write, area, leak = curve.figures[at[0]]
    else:
        read, write, area, leak = _blend(curve.logs[at[0]], curve.logs[at[1]], share)
    smallest, before, largest = curve.sizes[0], curve.sizes[-2], curve.sizes[-1]
    if capacity > largest:
        (read_1, write_1, _, _), (read_2, write_2, _, _) = curve.figures[-2:]
        further = log(capacity / largest) / log(largest / before)
        read *= (read_2 / read_1) ** further
        write *= (write_2 / write_1) ** further
    grow = max(capacity / largest, 1.0) * min(capacity / smallest, 1.0)
    return read, write, area * grow, leak * grow


def _beside(points: Sequence[int], at: float) -> tuple[tuple[int, ...], float]:
    """Places of the neighbours of a point, and where it lies between them on a log scale.

    Of a tabulated point it is itself alone; beyond either end that end.
    """
    high = bisect_left(points, at)
    if high == len(points) or points[high] == at or not high:
        return (min(high, len(points) - 1),), 0.0
    below, above = points[high - 1], points[high]
    return (high - 1, high), log(at / below) / log(above / below)


def _logs(figures: Figures) -> Figures:
    read, write, area, leak = figures
    return log(read), log(write), log(area), log(leak)


def _blend(low: Figures, high: Figures, share: float) -> Figures:
    """Figures between two of which the logarithms are given."""
    rest = 1 - share
    return (
        exp(low[0] * rest + high[0] * share),
        exp(low[1] * rest + high[1] * share),
        exp(low[2] * rest + high[2] * share),
        exp(low[3] * rest + high[3] * share),
    )
