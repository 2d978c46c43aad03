"""Values of metrics as people read them: with the unit that the metric's name ends in."""

from __future__ import annotations

from archsim.core.dimensions import DECIMAL, SMALL
from archsim.core.units import format_bytes, format_si
from archsim.report.formulas import unit_of

PREFIXED = ("s", "J", "W")  # units that take a decimal prefix
_POWERS = {**DECIMAL, "": 0, **{prefix: n for prefix, n in SMALL.items() if prefix != "µ"}}


def with_unit(metric: str, value: float) -> str:
    """A value of a metric, given by its dotted path: `1.23 ms`, `4.00 GiB`, `32.7 mm2`."""
    unit = unit_of(metric)
    if unit == "B":
        return format_bytes(value)
    return format_si(value, unit) if unit in PREFIXED else f"{value:.4g} {unit}".strip()


def scale(largest: float, unit: str) -> tuple[float, str]:
    """What values of an axis are divided by for short numbers, and the name of the unit then.

    Args:
        largest: of the values, at least 0, in the unit.
        unit: s, J or W; others stay as they are. Nobody counts in kiloseconds.
    """
    if unit not in PREFIXED or not largest:
        return 1.0, unit
    powers = {prefix: n for prefix, n in _POWERS.items() if unit != "s" or n <= 0}
    sizes = sorted(((float(f"1e{n}"), prefix) for prefix, n in powers.items()), reverse=True)
    size, prefix = next((one for one in sizes if largest >= one[0]), sizes[-1])
    return size, f"{prefix}{unit}"
