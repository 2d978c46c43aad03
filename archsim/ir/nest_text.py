"""Loop nests as text: printed for people, and as plain data that a mapping rule reads back.

A loop is written `K/64`, or `OC/1 @cols` where its iterations run at once; a level says what it
keeps and lists its loops, outermost first. `buffer` may give the depth of each operand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from archsim.core.errors import InputError, nearest
from archsim.ir.nest import AXES, LEVELS, NestLevel, NestLoop, NestMapping
from archsim.ir.nest_ranks import OPERANDS

if TYPE_CHECKING:
    from archsim.ir.problem import Problem

_LOOP = re.compile(r"([A-Za-z]+)\s*/\s*(\d+)(?:\s+@\s*(\w+))?")
_FORM = "rank/tile, or rank/tile @axis: `K/64`, `OC/1 @cols`"


def read_loop(value: Any) -> NestLoop:
    """A loop from `K/64 @rows`, or from a mapping of rank, tile and perhaps axis.

    Raises:
        InputError: E105 where it is neither, E201 for an axis that does not exist.
    """
    if isinstance(value, str) and (found := _LOOP.fullmatch(value.strip())):
        value = {"rank": found[1], "tile": int(found[2]), "axis": found[3]}
    if not isinstance(value, dict) or not set(value) <= {"rank", "tile", "axis"}:
        raise InputError(f"{_show(value)} is no loop", code="E105", help=f"a loop is {_FORM}")
    rank, tile, axis = value.get("rank"), value.get("tile"), value.get("axis") or ""
    if not isinstance(rank, str) or type(tile) is not int or tile < 1:
        message = f"{_show(value)} is no loop: its tile is a whole number above 0"
        raise InputError(message, code="E105", help=f"a loop is {_FORM}")
    if axis and axis not in AXES:
        close = nearest(axis, AXES)
        raise InputError(
            f"no axis {axis}: there are {', '.join(AXES)}", code="E201",
            help=f'did you mean "{close}"?' if close else None,
        )  # fmt: skip
    return NestLoop(rank, tile, axis)


def _show(value: Any) -> str:
    """A value for people, much as they wrote it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {v}" for key, v in value.items() if v is not None) + "}"
    return f'"{value}"' if isinstance(value, str) else str(value)


def nest_from_data(
    data: Mapping[str, Any], problem: Problem, engine: str, dataflow: str = "nest"
) -> NestMapping:
    """A nest from the plain data of `to_data`, for any op that has its ranks.

    Raises:
        InputError: for a level, an operand or a loop that does not exist.
    """
    given = data.get("levels")
    if not isinstance(given, dict):
        raise InputError("a nest has levels", code="E104", help=f"levels: {', '.join(LEVELS)}")
    for name in given:
        if name not in LEVELS:
            close = nearest(name, LEVELS)
            raise InputError(
                f"no level {name}: there are {', '.join(LEVELS)}", code="E201",
                help=f'did you mean "{close}"?' if close else None,
            )  # fmt: skip
    levels = tuple(_level(name, given[name] or {}) for name in LEVELS if name in given)
    depth = dict((given.get("buffer") or {}).get("depth") or {})
    return NestMapping(problem, engine, dataflow, levels, depth)


def _level(name: str, data: Mapping[str, Any]) -> NestLevel:
    keeps: Sequence[str] = data.get("keep", OPERANDS if name == "dram" else ())
    for operand in keeps:
        if operand not in OPERANDS:
            close = nearest(operand, OPERANDS)
            raise InputError(
                f"no operand {operand}: there are {', '.join(OPERANDS)}", code="E201",
                help=f'did you mean "{close}"?' if close else None,
            )  # fmt: skip
    return NestLevel(
        name, frozenset(keeps), tuple(read_loop(loop) for loop in data.get("loops", ()))
    )


def to_data(nest: NestMapping) -> dict[str, Any]:
    """The nest as plain data: levels with what they keep and their loops."""
    levels: dict[str, Any] = {}
    for level in nest.levels:
        one: dict[str, Any] = {}
        if level.name != "dram":
            one["keep"] = [operand for operand in OPERANDS if operand in level.keeps]
        one["loops"] = [str(loop) for loop in level.loops]
        if level.name == "buffer" and nest.depth:
            one["depth"] = {t: nest.depth[t] for t in OPERANDS if t in nest.depth}
        levels[level.name] = one
    return {"levels": levels}


def render(nest: NestMapping) -> str:
    """The loop nest as text, one loop a line, with what each level keeps."""
    extents = "  ".join(f"{rank} {n}" for rank, n in nest.ranks.items() if n > 1)
    lines = [f"{nest.name}: {nest.dataflow} on {nest.engine}   [{extents}]"]
    indent, size = "  ", dict(nest.ranks)
    for i, level in enumerate(nest.levels):
        if i:
            kept = [_held(nest, operand, i) for operand in OPERANDS if operand in level.keeps]
            lines.append(f"{indent}{level.name} holds {', '.join(kept) or 'nothing'}")
        for loop in level.loops:
            steps = -(-size[loop.rank] // loop.tile)
            size[loop.rank] = loop.tile
            if loop.axis:
                lines.append(f"{indent}at once {loop.rank} over {steps} {loop.axis}" + _of(loop))
            else:
                lines.append(f"{indent}for {loop.rank} in {steps} tiles of {loop.tile}")
                indent += "  "
    return "\n".join(lines)


def _of(loop: NestLoop) -> str:
    return f", {loop.tile} each" if loop.tile > 1 else ""


def _held(nest: NestMapping, operand: str, level: int) -> str:
    slots = nest.slots(operand) if level == 1 else 1
    times = f"{slots} x " if slots > 1 else ""
    return f"{operand} {times}{nest.tile_bytes(operand, level)} B"
