"""The loop nest of a mapping rule: its form in YAML, inline or in a file that the rule names.

What a level may say is checked here, with line and column; whether op, array and room on chip allow
the nest is checked where the op is mapped, see `nest_written`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, WithJsonSchema, model_validator

from archsim.core.document import Document, Path_
from archsim.core.errors import InputError, nearest
from archsim.core.overrides import graft
from archsim.core.spec import PositiveInt, Spec, problem
from archsim.core.yamlio import load_yaml
from archsim.ir.nest_ranks import OPERANDS, RANKS
from archsim.ir.nest_text import read_loop

EVERY_RANK = tuple(dict.fromkeys(rank for ranks in RANKS.values() for rank in ranks))
FUSED_RANKS = ("B", "M", "F", "K", "N")
_KEPT = re.compile(r"(\w+)(?:\s+over\s+(\w+))?")


def _loop(value: Any, ranks: tuple[str, ...] = EVERY_RANK) -> Any:
    """A loop in its one spelling, whichever it was given in."""
    try:
        loop = read_loop(value)
    except InputError as error:
        raise problem(error.code, error.message, error.help) from None
    return str(replace(loop, rank=_known(loop.rank, ranks, "rank")))


def _shared(value: Any) -> Any:
    """A loop that the products of a block share."""
    return _loop(value, FUSED_RANKS)


def _kept(value: Any) -> Any:
    """An operand that is kept, and the rank over whose loop it is held."""
    found = _KEPT.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise problem("E105", f"{value!r} is no operand", "write `weight`, or `weight over M`")
    operand = _known(found[1], OPERANDS, "operand")
    return f"{operand} over {_known(found[2], EVERY_RANK, 'rank')}" if found[2] else operand


def _known(word: str, words: tuple[str, ...], what: str) -> str:
    if word not in words:
        close = nearest(word, words)
        help = f'did you mean "{close}"?' if close else None
        raise problem("E201", f"no {what} {word}: there are {', '.join(words)}", help)
    return word


_LOOP_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "examples": ["K/64", "OC/1 @cols"]},
            {
                "type": "object",
                "properties": {
                    "rank": {"type": "string"},
                    "tile": {"type": "integer", "minimum": 1},
                    "axis": {"enum": ["rows", "cols", "count"]},
                },
                "required": ["rank", "tile"],
            },
        ]
    }
)
LoopText = Annotated[str, BeforeValidator(_loop), _LOOP_SCHEMA]
SharedText = Annotated[str, BeforeValidator(_shared), _LOOP_SCHEMA]
KeptText = Annotated[
    str,
    BeforeValidator(_kept),
    WithJsonSchema({"type": "string", "examples": ["in", "weight", "out over K"]}),
]


class OuterLevel(Spec):
    """What lies behind the chip: every operand."""

    loops: tuple[LoopText, ...] = ()
    """Loops that cut the op into tiles of the buffer, outermost first: `K/64` is a loop over K in
    tiles of 64, the last one what is left. A loop of one step has no effect."""


class BufferLevel(Spec):
    """The on-chip memory: tiles of the operands that it keeps."""

    keep: tuple[KeptText, ...]
    """Operands that lie here: `in`, `weight`, `out`; others pass by. On a systolic array, `weight
    over M` holds all tiles of the weight that recur when the loop over M steps."""

    loops: tuple[LoopText, ...] = ()
    """Loops that cut a tile into what an element works on: `OC/1 @cols` deals OC over the columns,
    at once; without an axis, one after another. Axes: rows, cols, count (alike arrays)."""

    depth: dict[Literal["in", "weight", "out", "partial"], PositiveInt] = {}
    """Tiles of an operand that lie here at once. Default: as many as its mover works ahead."""


class RegisterLevel(Spec):
    """Registers of one element of the array."""

    keep: tuple[KeptText, ...] = ()
    """Operands that stay in an element while the loops of the level run."""

    loops: tuple[LoopText, ...] = ()
    """Loops of one element, down to single products: every rank ends at a tile of 1."""


class NestLevels(Spec):
    """The levels, outermost first."""

    dram: OuterLevel = OuterLevel()
    """Behind the chip."""

    buffer: BufferLevel
    """On chip, shared by the elements of an array."""

    registers: RegisterLevel | None = None
    """In each element. Default: elements hold nothing."""


class ProductBuffer(Spec):
    """The on-chip memory, which keeps all operands of a product that is fused."""

    loops: tuple[LoopText, ...] = ()
    """Loops that cut a tile into what an element works on, as in `levels`."""


class ProductLevels(Spec):
    """How a product runs below the shared loops. Ranks are its own: B, M, N, K."""

    dram: OuterLevel = OuterLevel()
    """The loop of its own over tiles: over K of the first products, over N of the last one."""

    buffer: ProductBuffer = ProductBuffer()
    """What cuts a tile."""

    registers: RegisterLevel | None = None
    """In each element. Default: elements hold nothing."""


class FuseRule(Spec):
    """A feed-forward block under shared loops: its hidden tensor never leaves the chip."""

    loops: tuple[SharedText, ...] = ()
    """Shared loops, outermost first: B, M (rows), and F, the columns of the hidden tensor, which
    are N of the first products and K of the last one."""

    keep: tuple[Literal["in", "out"], ...] = ()
    """Operands of which all tiles of a tile of rows stay while the loop over F steps: the input
    of the first products, or sums of the last one. Others are brought in again for each step."""

    depth: PositiveInt | None = None
    """Tiles of an operand on chip at once where there are several. Default: as many as its mover
    works ahead."""

    ahead: bool = True
    """The array makes the sums of the next hidden tile before it uses this one, while the
    activation runs: there is room for two hidden tiles."""

    first: ProductLevels
    """The products before the activation, one or two; they run together, tile by tile."""

    last: ProductLevels
    """The product after it."""


class NestRule(Spec):
    """A mapping written out: levels, what each keeps, and its loops, outermost first."""

    dataflow: str = "nest"
    """What reports call it; the name of a template only where the loops are that template's."""

    levels: NestLevels | None = None
    """Loops and what is kept, by level."""

    fuse: FuseRule | None = None
    """In place of levels: all ops that the rule names run as one nest: first products, a vector op
    of their sums, and the product that reads its result."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.levels is None) == (self.fuse is None):
            both = "not both" if self.levels else "and here is neither"
            help = "`levels:` of one op, or `fuse:` of a feed-forward block"
            raise problem("E202", f"a nest gives levels or fuse, {both}", help)
        return self


def expand(document: Document) -> Document:
    """A machine's description with nests that rules name as files in their places.

    Raises:
        InputError: when such a file cannot be read.
    """
    rules = document.data.get("mapping") if isinstance(document.data, dict) else None
    for i, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict) and isinstance(rule.get("nest"), str):
            path: Path_ = ("mapping", i, "nest")
            mark = document.mark(path)
            folder = Path(mark.source.name).parent if mark.source.name and mark.line else Path()
            file = folder / rule["nest"]
            if not file.is_file():
                message = f'nest names "{rule["nest"]}", which does not exist'
                help = "a YAML file beside this one, with `levels:`"
                raise document.error(path, "E201", message, help=help)
            document = graft(document, path, load_yaml(file))
    return document
