"""Quantities: text with a unit in, a plain number in base units out, and back to text for people.

`B` is a byte, `bit` a bit; k, M, G, T are powers of ten and Ki, Mi, Gi,
Ti powers of two; a lone `b` or `K`, a comma in a number and a missing unit are refused. Arithmetic
is exact until the last step, so that `1.2 TB/s` is 1.2e12 to the bit. Which units exist is said in
`core.dimensions`, which field has which dimension in `core.spec`.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Final, Literal

from archsim.core.dimensions import BINARY, DECIMAL, DIMENSIONS, SMALL, Dimension, convert, known
from archsim.core.errors import InputError, nearest

PS_PER_S: Final = 10**12
"""Picoseconds in a second: simulated time is an integer count of them."""

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*(.*?)\s*", re.DOTALL)
_UNIT = re.compile(r"[A-Za-zµ]+(?:\^?[1-9])?(?:\s*[*/]\s*[A-Za-zµ]+(?:\^?[1-9])?)*")
_COMMA = re.compile(r"[+-]?\d+,\d")
_PLAIN = 24  # characters of a number written out; longer ones get an exponent
_LONGEST = 100  # characters of a quantity; longer text is not one
_LARGEST = 2**63 - 1  # of whole numbers: what arrays of integers hold


_PREFIXED: Final = frozenset(DIMENSIONS) - {"pj/bit", "mm2", "cycles"}
"""Dimensions whose unit takes a prefix when a value is written."""


class QuantityError(InputError):
    """A text that is not the quantity a field wants.

    `subject` says which name of the field opens the message: its dotted path, its last key, or
    none; `text` is the rest. `got` is the key in DIMENSIONS of what was given instead, if known.
    """

    def __init__(
        self,
        code: str,
        text: str,
        *,
        help: str,
        subject: Literal["path", "key", ""] = "",
        got: str | None = None,
    ) -> None:
        self.text, self.subject, self.got = text, subject, got
        super().__init__(f"the value {text}" if subject else text, code=code, help=help)


@lru_cache(maxsize=4096)
def parse_quantity(text: str, dimension: str) -> int | float:
    """Value of a quantity in the base unit of its dimension.

    Args:
        text: Number and unit, such as `80 GiB`.
        dimension: Key of DIMENSIONS.

    Returns:
        int for bytes and cycles, float otherwise; the float nearest to the exact decimal.

    Raises:
        QuantityError: E103 no unit, E104 unclear unit, E105 wrong dimension, E106 comma in the
            number, E107 out of range.
    """
    _, count, per = _parse(text, (dimension,))
    return _finish(text, count, per, DIMENSIONS[dimension])


@lru_cache(maxsize=4096)
def parse_rate(text: str) -> tuple[float, Literal["s", "cycle"]]:
    """A bandwidth as bytes per second or bytes per cycle: the number and what it is per."""
    found, count, per = _parse(text, ("bytes/s", "bytes/cycle"))
    number = float(_finish(text, count, per, DIMENSIONS[found]))
    return number, "s" if found == "bytes/s" else "cycle"


def parse_fraction(text: str) -> float:
    """A share in (0, 1], written `85 %` or `0.85`.

    Raises:
        QuantityError: E105 when it is neither, E106 comma, E107 outside (0, 1].
    """
    _refuse_comma(text)
    match = _NUMBER.fullmatch(text[:_LONGEST])
    if match is None or match[2] not in ("", "%"):
        raise QuantityError(
            "E105", f'expects a share, got "{text}"', help="`85 %` or `0.85`", subject="key"
        )
    value = Fraction(match[1]) / (100 if match[2] else 1)
    if not 0 < value <= 1:
        raise QuantityError(
            "E107", f"must be in (0, 1], got {text}", help="`85 %` or `0.85`", subject="path"
        )
    return float(value)


def missing_unit(shown: str, dimension: str) -> QuantityError:
    """The error for a bare number where a unit is needed."""
    wanted = DIMENSIONS[dimension]
    if dimension == "bytes":
        help_text = f"`{shown} GiB` or `{shown} GB`? they differ by 7.4 %"
    else:
        help_text = f"write it like `{wanted.examples[0]}`"
    return QuantityError("E103", f"needs a unit, got {shown}", help=help_text, subject="path")


def _parse(text: str, wanted: tuple[str, ...]) -> tuple[str, int, int]:
    """Which of the wanted dimensions a text has, and its exact value in that base unit.

    The value is a ratio of two integers, not in lowest terms: its quotient is rounded all the same.
    """
    _refuse_comma(text)
    first = DIMENSIONS[wanted[0]]
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        shown = text if len(text) <= _LONGEST else text[:40] + "..."
        raise QuantityError(
            "E105",
            f'expects {first.words}, got "{shown}"',
            help=f"write it like `{first.examples[0]}`",
            subject="key",
        )
    number, unit = match[1], match[2]
    if not unit:
        raise missing_unit(number, wanted[0])
    scale = _scale(unit, wanted)
    if scale is None:
        container, _ = _read_unit(text, number, unit, first)
        got = next((n for n, (c, _) in known().items() if c == container), None)
        given = DIMENSIONS[got].words if got else f"unit {unit}"
        raise QuantityError(
            "E105",
            f'expects {first.words}, got "{text}" ({given})',
            help=f"write it like `{first.examples[0]}`",
            subject="key",
            got=got,
        )
    name, count, per = scale
    digits, _, exponent = number.lower().partition("e")
    whole, _, part = digits.partition(".")
    power = int(exponent or 0) - len(part)
    return name, int(whole + part) * count * 10 ** max(power, 0), per * 10 ** max(-power, 0)


@lru_cache(maxsize=512)
def _scale(unit: str, wanted: tuple[str, ...]) -> tuple[str, int, int] | None:
    """Which wanted dimension a unit has, and its size as a ratio; None for one that is refused."""
    try:
        container, factor = _read_unit(f"1 {unit}", "1", unit, DIMENSIONS[wanted[0]])
    except QuantityError:  # said again in words of the text
        return None
    name = next((name for name in wanted if known()[name][0] == container), None)
    size = factor / known()[name][1] if name else Fraction(0)
    return (name, size.numerator, size.denominator) if name else None


def _finish(text: str, count: int, per: int, dimension: Dimension) -> int | float:
    """A value, a ratio of integers, as int or float, or E107."""
    limit = f"must be {'0 or more' if dimension.zero else 'greater than 0'}, got {text}"
    example = f"write it like `{dimension.examples[0]}`"
    if count < 0 or (count == 0 and not dimension.zero):
        raise QuantityError("E107", limit, help=example, subject="path")
    if dimension.whole and count % per:
        raise QuantityError(
            "E107", f"must be a whole number of {dimension.words}, got {text}",
            help=example, subject="path",
        )  # fmt: skip
    try:
        number = count // per if dimension.whole else count / per
    except OverflowError:
        number = 0.0
    if (number == 0 and count != 0) or (dimension.whole and number > _LARGEST):
        raise QuantityError("E107", f"is out of range, got {text}", help=example, subject="path")
    return number


def _refuse_comma(text: str) -> None:
    if _COMMA.match(text.strip()):
        point = f"`{text.strip().replace(',', '.', 1)}`"
        grouped = re.fullmatch(r"[+-]?\d{1,3}((?:,\d{3})+)(\D.*)?", text.strip())
        plain = f" or `{text.strip().replace(',', '')}`" if grouped else ""
        raise QuantityError("E106", f'"{text}": comma in a number', help=point + plain)


def _read_unit(text: str, number: str, unit: str, wanted: Dimension) -> tuple[Any, Fraction]:
    """Dimensionality and factor to base units of a unit text, or E104."""
    for name in re.findall(r"[A-Za-zµ]+", unit):
        _refuse_ambiguous(text, number, unit, name)
    if _UNIT.fullmatch(unit):
        try:
            return convert(re.sub(r"([A-Za-zµ])\^?([1-9])", r"\1**\2", unit))
        except KeyError as unknown:
            name = str(unknown.args[0])
    else:
        name = unit
    close = nearest(name, _spellings())
    raise QuantityError(
        "E104",
        f'"{text}": unknown unit "{name}"',
        help=f"did you mean `{number} {unit.replace(name, close, 1)}`?"
        if close
        else f"write it like `{wanted.examples[0]}`",
    )


def _refuse_ambiguous(text: str, number: str, unit: str, name: str) -> None:
    """Raise E104 for the spellings that mean two things to two people."""
    prefixes = "|".join([*DECIMAL, *BINARY, "K"])
    choices: tuple[str, ...] = ()
    part = ""
    if match := re.fullmatch(f"({prefixes})?(b|bps|Bps)", name):
        prefix, part = match[1] or "", match[2]
        prefix = "k" if prefix == "K" else prefix
        per_s = "/s" if part.endswith("ps") else ""
        both = (f"{prefix}bit{per_s}", f"{prefix}B{per_s}")
        choices = both[1:] if part == "Bps" else both
    elif match := re.fullmatch(r"K(B|bit|byte)s?", name):
        part, choices = "K", (f"Ki{match[1]}", f"k{match[1]}")
    elif match := re.fullmatch(r"([kMGTPE]?)(FLOPS|FLOPs|OPS|MACS|Flops|flops)", name):
        word = match[2].upper().removesuffix("S")
        part, choices = match[2], (f"{match[1]}{word}/s", f"{match[1]}{word}")
    if choices:
        shown = " or ".join(f"`{number} {unit.replace(name, c, 1)}`" for c in choices)
        raise QuantityError("E104", f'"{text}": "{part}" is ambiguous', help=shown)


@cache
def _spellings() -> tuple[str, ...]:
    """Units people write, for suggestions."""
    words = ["bit", "cycle", "FLOP/s", "FLOP", "OP/s", "lane", "pin", "req", "tok", "mm2", "USD"]
    words += [p + u for u in ("B", "B/s", "bit/s") for p in ("", *DECIMAL, *BINARY)]
    words += [p + u for u in ("Hz", "FLOP/s", "FLOP", "T/s") for p in DECIMAL]
    words += [p + u for u in ("s", "J", "W", "m") for p in ("", "m", "u", "n", "p")]
    return tuple(words)


def canonical(value: float, dimension: str) -> str:
    """The shortest text that parses back to exactly this value."""
    from decimal import Decimal

    wanted = DIMENSIONS[dimension]
    if dimension not in _PREFIXED:
        digits = _plain(Decimal(repr(value)))
        return f"{digits if len(digits) <= _PLAIN else repr(value)} {wanted.unit}"
    choices = [(_plain(Decimal(repr(value))), "")]
    for prefix, power in {**DECIMAL, **{k: v for k, v in SMALL.items() if k != "µ"}}.items():
        choices.append((_plain(Decimal(repr(value)).scaleb(-power)), prefix))
    if wanted.whole:
        choices = [c for c in choices if "." not in c[0]]
        choices += [
            (str(int(value) >> bits), prefix)
            for prefix, bits in BINARY.items()
            if value and int(value) % (1 << bits) == 0
        ]
    # fewest characters first, then whole numbers, then the larger binary unit, then no prefix
    digits, prefix = min(
        choices, key=lambda c: (len(c[0]), "." in c[0], -BINARY.get(c[1], 0), len(c[1]))
    )
    if len(digits) > _PLAIN:
        digits, prefix = repr(value), ""
    return f"{digits} {prefix}{wanted.unit}"


def _plain(number: Any) -> str:
    """A Decimal without exponent and without trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_bytes(count: float) -> str:
    """Bytes for people, in powers of two: `5.00 GiB`."""
    for prefix, bits in reversed(BINARY.items()):
        if abs(count) >= 1 << bits:
            return f"{count / (1 << bits):.2f} {prefix}B"
    return f"{count:.0f} B"


def format_si(value: float, unit: str) -> str:
    """Three digits and a decimal prefix, for people: `1.23 ms`."""
    if value == 0:
        return f"0 {unit}"
    powers = {**{k: v for k, v in SMALL.items() if k != "µ"}, "": 0, **DECIMAL}
    steps = sorted((power, prefix) for prefix, power in powers.items())
    fits = (step for step in steps if abs(value) / 10.0 ** step[0] < 999.5)
    power, prefix = next(fits, steps[-1])
    scaled = value / 10.0**power
    digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
    return f"{scaled:.{digits}f} {prefix}{unit}"
