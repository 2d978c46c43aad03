"""ONNX operators that rearrange data: free where the data stay where they are, moves elsewhere."""

from __future__ import annotations

from math import prod

from archsim.ir.op import Access, Dim, Kind, Op, dims
from archsim.lowering.onnx.nodes import Node
from archsim.lowering.onnx.walk import Handler, Walk, axis_of, matrix, numbers
from archsim.lowering.primitives import FORMS


def view(w: Walk, node: Node) -> None:
    """The same data under another shape or type."""
    for out in node.outputs[:1]:
        w.alias(out, node.inputs[0])


def transpose(w: Walk, node: Node) -> None:
    """Free where only axes of extent one change place."""
    shape = w.shape(node.inputs[0])
    order = numbers(node, "perm", tuple(reversed(range(len(shape)))))
    real = [axis for axis in order if shape[axis] > 1]
    if real == sorted(real):
        w.alias(node.outputs[0], node.inputs[0])
    else:
        _copy(w, node)


def copy(w: Walk, node: Node) -> None:
    """Expand, Tile, Slice, Pad and their like: what the result holds is read and written."""
    if w.size(node.outputs[0]) == w.size(node.inputs[0]):
        w.alias(node.outputs[0], node.inputs[0])
    else:
        _copy(w, node)


def shuffle(w: Walk, node: Node) -> None:
    """Every element changes place."""
    _copy(w, node)


def _copy(w: Walk, node: Node) -> None:
    out = node.outputs[0]
    source = w.at(node.inputs[0], (), w.size(out))
    _move(w, node.name, [source], [w.at(out)], matrix(w.shape(out)))


def _move(
    w: Walk, name: str, reads: list[Access], writes: list[Access], size: tuple[int, int]
) -> None:
    """Append a move; assumed: every element passes a lane once, as in a lookup."""
    ranks, each = {"M": size[0], "N": size[1]}, dict(FORMS["gather"].point)
    w.ops.append(Op(name, Kind.MOVE, "move", ranks, tuple(reads), tuple(writes), each))


def concat(w: Walk, node: Node) -> None:
    """Inputs side by side along an axis."""
    names = [x for x in node.inputs if x]
    shape = w.shape(node.outputs[0])
    size = matrix(shape, axis_of(node, shape, 0))
    if len(names) == 1:
        w.alias(node.outputs[0], names[0])
        return
    out = w.at(node.outputs[0], dims("M", "N"))
    _move(w, node.name, _beside(w, names, size[0]), [out], size)


def split(w: Walk, node: Node) -> None:
    """Parts along an axis, each copied out."""
    source = node.inputs[0]
    shape = w.shape(source)
    size = matrix(shape, axis_of(node, shape, 0))
    names = [x for x in node.outputs if x]
    _move(w, node.name, [w.at(source, dims("M", "N"))], _beside(w, names, size[0]), size)


def _beside(w: Walk, names: list[str], rows: int) -> list[Access]:
    """Accesses to tensors that together hold the columns of rows."""
    found, before = [], 0
    for name in names:
        found.append(w.at(name, (*dims("M"), Dim((("N", 1),), -before))))
        before += w.size(name) // rows
    return found


def gather(w: Walk, node: Node) -> None:
    """Rows looked up by indices that the run brings; a copy where they are known before it."""
    table, indices = node.inputs[:2]
    if w.is_weight(indices):
        copy(w, node)
        return
    shape = w.shape(table)
    axis = axis_of(node, shape, 0)
    cols = prod(shape[axis + 1 :])
    rows = w.size(node.outputs[0]) // cols
    reads = [w.at(indices), w.at(table, (), rows * cols)]
    name, op_class = node.name, "embedding" if w.is_weight(table) else "gather"
    out = [w.at(node.outputs[0])]
    w.ops.append(w.p.vector(name, op_class, reads, out, (rows, cols), "gather", kind=Kind.GATHER))


def embed(w: Walk, node: Node) -> None:
    """`com.microsoft.EmbedLayerNormalization`: tokens, positions, segments, and a norm."""
    ids, segments, words, positions, types, scale, bias = node.inputs[:7]
    out = node.outputs[0]
    size = matrix(w.shape(out))
    looked = w.p.tensor(f"{node.name}.words", size)
    reads = [w.at(ids), w.at(words, (), size[0] * size[1])]
    name = f"{node.name}.words"
    w.ops.append(w.p.vector(name, "embedding", reads, [looked], size, "gather", kind=Kind.GATHER))
    summed = w.p.tensor(f"{node.name}.sum", size)
    added = [w.at(positions, (), w.shape(ids)[-1] * size[1])]
    added += [w.at(segments), w.at(types)] if segments and types else []
    adds = ["add"] * (2 if segments and types else 1)
    w.ops.append(
        w.p.vector(f"{node.name}.add", "embedding", [looked, *added], [summed], size, *adds)
    )
    w.vector(
        f"{node.name}.norm", "norm", [summed, w.at(scale), w.at(bias)], out, size, FORMS["layer"]
    )


VIEWS = ("Cast", "CastLike", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
COPIES = ("Expand", "Pad", "Slice", "Tile")

MOVES: dict[str, Handler] = {
    **dict.fromkeys(VIEWS, view),
    **dict.fromkeys(COPIES, copy),
    "Concat": concat,
    "DepthToSpace": shuffle,
    "Gather": gather,
    "SpaceToDepth": shuffle,
    "Split": split,
    "Transpose": transpose,
    "com.microsoft.EmbedLayerNormalization": embed,
}
