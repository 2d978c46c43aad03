"""Command traces by name and size, such as `gemv:1024x4096`: each becomes a description.

Sizes are per channel: every channel of the mask does the same on data of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from archsim.core.errors import InputError, nearest
from archsim.memory.pim.trace import lane_banks
from archsim.memory.standard import Device

_SIZES = re.compile(r"(\d+)x(\d+)")
LANE_BYTES = 2  # a number of half precision, of which a MAC unit takes one column at a time
"""JSSC 2023 (GDDR6-AiM): 16 lanes of bf16 in each bank, 256 bits a command."""


@dataclass(frozen=True)
class Shape:
    """What a formula needs to know of the memory: columns of a row, lanes of a column, banks."""

    columns: int
    lanes: int
    banks: int

    @classmethod
    def of(cls, device: Device) -> Shape:
        """The shape of one channel."""
        lanes = int(device.access_bytes) // LANE_BYTES
        return cls(device.columns // device.prefetch, lanes, lane_banks(device))


def _gemv(outputs: int, inputs: int, shape: Shape) -> str:
    """Every tile of inputs goes to the buffer once, and each output is read back once a tile."""
    rows, parts = -(-outputs // shape.banks), []
    width = shape.columns * shape.lanes
    full, rest = divmod(inputs, width)
    inner = f"for o in 0..{rows - 1}: WR_BIAS, MAC_ABK {{size}} row {{row}}, RD_MAC"
    if full:
        body = inner.format(size=shape.columns, row=f"t*{rows}+o")
        parts.append(f"(for t in 0..{full - 1}: WR_GB {shape.columns}; {body})")
    if rest:
        size = -(-rest // shape.lanes)
        parts.append(f"(WR_GB {size}; {inner.format(size=size, row=f'{full * rows}+o')})")
    return "; ".join(parts)


def _gemv_acc(outputs: int, inputs: int, shape: Shape) -> str:
    """Each output accumulates over all inputs in its bank and is read back once."""
    rows, tiles = -(-outputs // shape.banks), -(-inputs // (shape.columns * shape.lanes))
    first = f"{tiles}*o"
    return (
        f"for o in 0..{rows - 1}: WR_BIAS, MAC_ABK {shape.columns} rows "
        f"{first}..{first}+{tiles - 1}, RD_MAC"
    )


def _each_row(instruction: str) -> Callable[[int, int, Shape], str]:
    return lambda size, rows, _: f"{instruction} {size} rows 0..{rows - 1}"


NAMED: dict[str, tuple[str, Callable[[int, int, Shape], str]]] = {
    "gemv": ("OUTPUTSxINPUTS", _gemv),
    "gemv_acc": ("OUTPUTSxINPUTS", _gemv_acc),
    "mac_abk": ("COLUMNSxROWS", _each_row("MAC_ABK")),
    "mac_sbk": ("COLUMNSxROWS", _each_row("MAC_SBK bank 0 opsize")),
    "mac_sbk_banks": (
        "COLUMNSxTIMES",
        lambda size, n, shape: (
            f"MAC_SBK {size} bank r mod {shape.banks} row r div {shape.banks}, r=0..{n - 1}"
        ),
    ),
    "mac_same_row": ("COLUMNSxTIMES", lambda size, n, _: f"MAC_ABK {size} row 0, {n} times"),
    "ewmul": ("COLUMNSxROWS", _each_row("EWMUL")),
    "wr_gb": ("COLUMNSxTIMES", lambda size, n, _: f"WR_GB {size} x{n}"),
}
"""What its sizes are, and how a trace becomes a description."""


def expanded(name: str, device: Device) -> str:
    """The description of a named trace.

    Raises:
        InputError: E108 for an unknown name, E105 for sizes that are none.
    """
    word, _, sizes = name.partition(":")
    if word not in NAMED:
        close = nearest(word, NAMED)
        raise InputError(
            f'trace "{word}" is not one of {", ".join(NAMED)}',
            code="E108",
            help=f'did you mean "{close}"?' if close else "or a trace file, or a description",
        )
    form, formula = NAMED[word]
    found = _SIZES.fullmatch(sizes)
    if not found or not int(found[1]) or not int(found[2]):
        raise InputError(
            f'"{name}" has no sizes', code="E105", help=f"{word}:{form}, such as {word}:64x256"
        )
    return formula(int(found[1]), int(found[2]), Shape.of(device))
