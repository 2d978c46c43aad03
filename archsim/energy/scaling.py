"""Scaling of energy and area between technology nodes, after Stillmaker and Baas (2017)."""

from __future__ import annotations

from math import exp, log

# Stillmaker and Baas, "Scaling equations for the accurate prediction of CMOS device performance
# from 180 nm to 7 nm", Integration 58 (2017): energy at 0.8 V and area, relative to 45 nm
ENERGY = {
    130: 3.0681, 90: 1.8973, 65: 1.2407, 45: 1.0, 32: 0.6593, 20: 0.2211,
    16: 0.1735, 14: 0.1388, 10: 0.1178, 7: 0.0943,
}  # fmt: skip
AREA = {
    130: 6.4, 90: 2.8, 65: 1.5, 45: 1.0, 32: 0.46, 20: 0.21, 16: 0.19, 14: 0.17, 10: 0.1, 7: 0.059,
}  # fmt: skip


def energy_factor(from_nm: float, to_nm: float) -> float:
    """What an energy at one node is multiplied by to be that of another."""
    return _at(ENERGY, to_nm) / _at(ENERGY, from_nm)


def area_factor(from_nm: float, to_nm: float) -> float:
    """What an area at one node is multiplied by to be that of another."""
    return _at(AREA, to_nm) / _at(AREA, from_nm)


def _at(table: dict[int, float], node_nm: float) -> float:
    """Log-log between the tabulated nodes; beyond them the nearest one."""
    nodes = sorted(table)
    if node_nm <= nodes[0]:
        return table[nodes[0]]
    if node_nm >= nodes[-1]:
        return table[nodes[-1]]
    high = next(n for n in nodes if n >= node_nm)
    low = max(n for n in nodes if n <= node_nm)
    if low == high:
        return table[low]
    share = log(node_nm / low) / log(high / low)
    return exp(log(table[low]) * (1 - share) + log(table[high]) * share)
