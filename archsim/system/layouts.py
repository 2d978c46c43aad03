"""How tensors lie in memory: the options of `layout:`, and the pattern in which tiles are moved.

A layout decides what a tile costs in a memory with banks: one long run of bytes, or many short
pieces that open a row each. Here a tile of a mapping becomes a `Pattern`; the bursts of a pattern
are made in `memory.layout`.
"""

from __future__ import annotations

from collections.abc import Mapping as Extents
from collections.abc import Sequence
from typing import Literal

from archsim.core.spec import PositiveInt, Spec
from archsim.ir.graph import OpGraph
from archsim.ir.mapping import Mapping
from archsim.ir.op import Access, Kind
from archsim.ir.tensor import Role
from archsim.memory.layout import Nest, Pattern

CACHE_RANKS = 3  # of keys or values that lie by head: heads, tokens, elements


class KvLayout(Spec):
    """How the keys and the values of a sequence lie."""

    order: Literal["head_major", "token_major"] = "head_major"
    """What lies together: the tokens of a head (default), or the heads of a token."""

    page: PositiveInt | None = None
    """Tokens of a page; without one, the tokens of a sequence lie in one piece."""

    scattered: bool = True
    """Pages lie anywhere (default), as after a while of serving, or one behind the other."""


InBanks = Literal["row", "column", "interleaved"]


class InsideLayout(Spec):
    """How matrices lie that an engine inside a memory multiplies by, where they lie.

    `row`: outputs are dealt over banks, what each sums lies along rows; `column`: what is summed is
    dealt over banks, and parts are added behind; `interleaved`: outputs share a row.
    """

    weights: InBanks | None = None
    """Weights. Default: as one vector takes the least time with a matrix of that shape."""

    keys: InBanks | None = None
    """Cached keys. Default: interleaved where a sum is shorter than a row of a bank, else by rows,
    whatever the context, for they stay where they are while it grows."""

    values: InBanks | None = None
    """Cached values. Default: as keys; where they are the keys' own tensor, by columns."""

    values_over: PositiveInt | None = None
    """Channels that values of a head lie over at most. Default: as many as make the fullest
    emptiest."""

    gather: bool = False
    """Whether new values wait until they fill an access; else (default) the access around each is
    read and written again, for what a unit sums lies side by side."""


class Layout(Spec):
    """How tensors lie in memories that have banks."""

    weights: Literal["tiled", "row_major"] = "tiled"
    """In the order in which tiles are read (default): weights can be laid out once, in advance; or
    row by row."""

    activations: Literal["row_major", "tiled"] = "row_major"
    """Row by row (default), or tile by tile."""

    kv_cache: KvLayout = KvLayout()
    """Keys and values."""

    inside: InsideLayout = InsideLayout()
    """Matrices of engines inside a memory."""


def matrix(
    bits: int,
    extents: Extents[str, int],
    tile: Extents[str, int],
    order: Sequence[str],
    row: str,
    column: str,
) -> Pattern:
    """Tiles of a row-major matrix, or of a batch `b` of them.

    Args:
        bits: of an element.
        extents: elements of the whole, by rank.
        tile: elements of a tile, by rank.
        order: ranks of the loops over tiles, outermost first; those of other operands are ignored.
        row: rank along which rows are counted.
        column: rank along which the elements of a row are counted.
    """
    pitch = _bytes(extents[column], bits)
    step = {"b": extents[row] * pitch, row: pitch, column: 0}
    steps = {r: -(-extents[r] // tile[r]) for r in ("b", row, column)}
    piece = _bytes(tile[column], bits)
    apart = {"b": tile["b"] * step["b"], row: tile[row] * pitch, column: piece}
    pieces = _nest((tile["b"], step["b"]), (tile[row], pitch))
    return Pattern(piece, pieces, _nest(*((steps[r], apart[r]) for r in order if r in step)))


def cached(
    layout: KvLayout, bits: int, shape: Sequence[int], heads: int, tile: tuple[int, int]
) -> Pattern:
    """Tiles of keys or values, read head by head, the tokens of each in order.

    Args:
        layout: how they lie.
        bits: of an element.
        shape: (sequences x heads, tokens, elements of a head).
        heads: of a sequence.
        tile: heads and tokens of a tile.
    """
    together, tokens, width = shape
    wide, keys = min(tile[0], together), min(tile[1], tokens)
    element = _bytes(width, bits)
    heads = heads if heads and together % heads == 0 else 1
    sequences, times = together // heads, -(-tokens // keys)
    side, over = min(wide, heads), max(1, wide // heads)  # heads and sequences of a tile
    page = min(layout.page or 0, tokens)
    row, sheets = heads * element, -(-tokens // page) if page else 0
    scatter = (page * row, sequences * sheets) if page and layout.scattered else (0, 0)
    length = sheets * page * row if page else tokens * row  # of a sequence
    if layout.order == "token_major":
        pieces = _nest((over, length), (keys, row))
        apart = (heads // side, side * element), (times, keys * row)
        tiles = _nest((-(-sequences // over), over * length), *apart)
        return Pattern(side * element, pieces, tiles, *scatter)
    if not page:
        pieces = _nest((wide, tokens * element))
        apart = (-(-together // wide), wide * tokens * element), (times, keys * element)
        return Pattern(keys * element, pieces, _nest(*apart))
    block, run = page * element, -(-keys // page)  # of a head in a page; pages of a tile
    pieces = _nest((over, length), (run, page * row), (side, block))
    within = (-(-page // keys), keys * element)  # tiles of a head in a page
    groups, pages = (heads // side, side * block), (-(-sheets // run), run * page * row)
    tiles = _nest((-(-sequences // over), over * length), groups, pages, within)
    return Pattern(min(keys, page) * element, pieces, tiles, *scatter)


def appended(
    layout: KvLayout, bits: int, shape: Sequence[int], heads: int, tokens: int = 1
) -> Pattern:
    """New keys or values: one token of every sequence, or so many of one sequence after another.

    Args:
        layout: how they lie; new tokens are taken to lie in one page.
        bits: of an element.
        shape: (sequences x heads, tokens, elements of a head).
        heads: of a sequence.
        tokens: new ones of a sequence that are written at once.
    """
    together, context, width = shape
    element = _bytes(width, bits)
    sequences = max(1, together // heads)
    whole = 1 if tokens > 1 else sequences  # sequences of a tile
    apart = (sequences // whole, heads * context * element), (context // tokens, tokens * element)
    if layout.order == "token_major":
        row = heads * element
        tiles = _nest((sequences // whole, context * row), (context // tokens, tokens * row))
        return Pattern(tokens * row, _nest((whole, context * row)), tiles)
    pieces = _nest((whole * heads, context * element))
    return Pattern(tokens * element, pieces, _nest(*apart))


AXES = {"in": ("m", "k"), "weight": ("k", "n"), "out": ("m", "n")}
"""Rows and columns of each operand of a product, as it lies."""


def tile_pattern(
    graph: OpGraph, layout: Layout, mapping: Mapping, operand: str, name: str
) -> Pattern | None:
    """How a product's tiles of an operand are moved; None where they follow each other."""
    tensor, op = graph.tensors[name], mapping.problem.op
    if tensor.role is Role.KV_CACHE:
        keys = "n" if op.op_class == "attention_score" else "k"
        return cache_pattern(graph, layout, name, mapping.tile["b"], mapping.tile[keys])
    if op.kind is not Kind.GEMM or not lies_by_rows(layout, tensor.role):
        return None
    whole = mapping.problem.largest
    extents = {rank: whole.of(rank) for rank in "bmnk"}
    return matrix(tensor.dtype.bits, extents, mapping.tile, mapping.order, *AXES[operand])


def cache_pattern(
    graph: OpGraph, layout: Layout, name: str, wide: int, keys: int
) -> Pattern | None:
    """How keys or values are read, so many heads and tokens at once; None for ragged ones."""
    tensor = graph.tensors[name]
    if len(tensor.shape) != CACHE_RANKS:
        return None
    tile, heads = (wide, keys), cache_heads(graph, name)
    return cached(layout.kv_cache, tensor.dtype.bits, tensor.shape, heads, tile)


def append_pattern(
    graph: OpGraph, layout: Layout, access: Access, size_bytes: int
) -> Pattern | None:
    """How new tokens are written in tiles of a size; None for what is written end to end."""
    tensor = graph.tensors[access.tensor]
    if tensor.role is not Role.KV_CACHE or len(tensor.shape) != CACHE_RANKS:
        return None
    heads, token = cache_heads(graph, access.tensor), tensor.dtype.bytes(tensor.shape[-1])
    fresh = graph.touched_bytes(access) // (tensor.shape[0] * token)  # tokens of a sequence
    tokens = max(1, min(fresh, size_bytes // (heads * token)))
    return appended(layout.kv_cache, tensor.dtype.bits, tensor.shape, heads, tokens)


def cache_heads(graph: OpGraph, tensor: str) -> int:
    """Heads of a token in a tensor of keys or values: those that its append writes at once."""
    width = graph.tensors[tensor].shape[-1]
    for block in graph.blocks:
        for op in block.ops:
            if any(access.tensor == tensor for access in op.writes):
                rows = [graph.tensors[a.tensor].shape[-1] for a in op.reads]
                return max(1, max(rows, default=width) // width)
    return 1


def lies_by_rows(layout: Layout, role: Role) -> bool:
    """Whether tensors of a role lie row by row rather than tile by tile."""
    if role is Role.WEIGHT:
        return layout.weights == "row_major"
    return layout.activations == "row_major"


def _bytes(elements: int, bits: int) -> int:
    return -(-elements * bits // 8)


def _nest(*levels: tuple[int, int]) -> Nest:
    return tuple((count, step) for count, step in levels if count > 1)
