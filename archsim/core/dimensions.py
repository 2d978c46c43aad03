"""The closed set of units: which exist, which prefixes they take, which dimensions fields have.

Only the units of this field are known, so a slip is an error and never a gilbert or a barn. Factors
are exact fractions. Reading and writing quantities is in `core.units`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Final

DECIMAL: Final = {"k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
SMALL: Final = {"m": -3, "u": -6, "µ": -6, "n": -9, "p": -12, "f": -15, "a": -18}
BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50}

_DEFINITIONS: Final = """
bit = [information]
byte = 8 * bit = B
second = [time] = s
hertz = 1 / second = Hz
cycle = [cycle]
FLOP = [flop]
MAC = 2 * FLOP
OP = [operation]
joule = [energy] = J
watt = joule / second = W
meter = [length] = m
transfer = [transfer] = T
lane = [lane]
pin = [pin]
request = [request] = req
token = [token] = tok
USD = [currency]
"""


@dataclass(frozen=True, slots=True)
class Dimension:
    """What kind of quantity a field holds, and how it is spoken of.

    Attributes:
        words: Name for people, such as "bytes per second".
        unit: Unit in which values are returned and written, such as `B/s`.
        examples: Valid texts; the first is shown as help.
        whole: True when the value is an integer.
        zero: True when 0 is allowed.
    """

    words: str
    unit: str
    examples: tuple[str, ...]
    whole: bool = False
    zero: bool = True


DIMENSIONS: Final[dict[str, Dimension]] = {
    "bytes": Dimension("bytes", "B", ("80 GiB", "24 MiB"), whole=True, zero=False),
    "bytes/s": Dimension("bytes per second", "B/s", ("1.2 TB/s", "450 GB/s"), zero=False),
    "bytes/cycle": Dimension("bytes per cycle", "B/cycle", ("512 B/cycle",), zero=False),
    "hertz": Dimension("hertz", "Hz", ("940 MHz", "1 GHz"), zero=False),
    "seconds": Dimension("seconds", "s", ("100 ns", "0.8 us")),
    "watts": Dimension("watts", "W", ("250 mW", "170 W")),
    "joules": Dimension("joules", "J", ("1.5 pJ", "2 mJ")),
    "pj/bit": Dimension("energy per bit", "pJ/bit", ("3.9 pJ/bit",)),
    "mm2": Dimension("area", "mm2", ("2.5 mm2", "400 mm2")),
    "flop/byte": Dimension("FLOP per byte", "FLOP/B", ("16 FLOP/B",)),
    "flop/s": Dimension("FLOP per second", "FLOP/s", ("275 TFLOP/s",), zero=False),
    "cycles": Dimension("cycles", "cycle", ("8 cycles",), whole=True),
}


@cache
def _registry() -> Any:
    """The closed Pint registry, with exact rational factors; built at the first quantity."""
    import pint

    registry: Any = pint.UnitRegistry(None, non_int_type=Fraction)
    for prefix, power in {**DECIMAL, **SMALL}.items():
        registry.define(f"{prefix}- = 1e{power}")
    for prefix, power in BINARY.items():
        registry.define(f"{prefix}- = {2**power}")
    for line in _DEFINITIONS.strip().splitlines():
        registry.define(line)
    return registry


@lru_cache(maxsize=1024)
def convert(expression: str) -> tuple[Any, Fraction]:
    """Dimensionality and exact factor to base units; KeyError names an unknown unit."""
    import pint

    registry = _registry()
    try:
        unit = registry.parse_units(expression)
        factor, _ = registry.get_base_units(unit)
        return registry.get_dimensionality(unit), Fraction(factor)
    except pint.UndefinedUnitError as error:
        names = error.unit_names
        raise KeyError(names if isinstance(names, str) else next(iter(names))) from None


@cache
def known() -> dict[str, tuple[Any, Fraction]]:
    """Dimensionality and base factor of every entry of DIMENSIONS."""
    return {name: convert(d.unit.replace("mm2", "mm**2")) for name, d in DIMENSIONS.items()}
