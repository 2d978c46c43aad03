"""ONNX operators that multiply and accumulate, or slide a window: products, convolutions, pools.

A bias, and a batch norm behind a convolution, are where accumulation starts: they cost their bytes
and no vector work.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from archsim.ir.op import Access, Kind, Op, dims
from archsim.lowering.convolution import Geometry, Image, Pair, conv_op, pool_op
from archsim.lowering.onnx.nodes import Node
from archsim.lowering.onnx.walk import Handler, Walk, has, number, numbers, unpriced, word
from archsim.lowering.primitives import FORMS

BETWEEN = ("Div", "Mul", "Add", "Sub", "Where", "Cast")  # between scores and their softmax


def matmul(w: Walk, node: Node) -> None:
    """`out[..., m, n] = a[..., m, k] @ b[..., k, n]`, leading extents broadcast."""
    left, right = node.inputs[0], node.inputs[1]
    a, b = w.shape(left), w.shape(right)
    a = (1, *a) if len(a) == 1 else a
    b = (*b, 1) if len(b) == 1 else b
    k, n = b[-2:]
    out = node.outputs[0]
    if prod(b[:-2]) == 1:  # leading extents are further rows
        size = (1, prod(a[:-1]), n, k)
        operands = (w.at(left, dims("M", "K")), w.at(right, dims("K", "N")))
    else:
        batch = w.size(out) // (a[-2] * n)
        size = (batch, a[-2], n, k)
        operands = (
            _batched(w, left, a, batch, ("M", "K")),
            _batched(w, right, b, batch, ("K", "N")),
        )
    known = w.is_weight(right)
    op_class = "linear" if known or w.is_weight(left) else _attends(w, node)
    _product(w, node, operands, size, op_class, bias=known)
    if op_class.startswith("attention_"):
        w.ops[-1] = replace(w.ops[-1], queries=size[1])


def _batched(
    w: Walk, name: str, shape: tuple[int, ...], batch: int, last: tuple[str, str]
) -> Access:
    """An operand of a batched product: one a problem, one for all, or shared by some."""
    own = prod(shape[:-2])
    return w.at(name, dims("B", *last) if own == batch else dims(*last) if own == 1 else ())


def _attends(w: Walk, node: Node) -> str:
    """Class of a product of two activations: scores end in a softmax, values begin with one."""
    here, steps = node.outputs[0], 0
    while steps < len(BETWEEN) and (after := w.follower(here, *BETWEEN, "Softmax")):
        if after.op == "Softmax":
            return "attention_score"
        here, steps = after.outputs[0], steps + 1
    return "attention_value" if _from_softmax(w, node.inputs[0]) else "matmul"


def _from_softmax(w: Walk, name: str, steps: int = 3) -> bool:
    """True when a tensor is a softmax's result, or one made of it by what exporters put behind."""
    node = w.maker(name)
    if node is None or steps == 0:
        return False
    behind = node.op in ("Cast", "Dropout", "Identity", "Where")
    return node.op == "Softmax" or (
        behind and any(_from_softmax(w, x, steps - 1) for x in node.inputs)
    )


def gemm(w: Walk, node: Node) -> None:
    """`out = alpha a @ b + beta c`; either matrix may be transposed."""
    a, b = w.shape(node.inputs[0]), w.shape(node.inputs[1])
    k, m = a if number(node, "transA", 0) else a[::-1]
    turned = number(node, "transB", 0)
    n = b[0] if turned else b[1]
    operands = (
        w.at(node.inputs[0], dims("K", "M") if number(node, "transA", 0) else dims("M", "K")),
        w.at(node.inputs[1], dims("N", "K") if turned else dims("K", "N")),
    )
    known = w.is_weight(node.inputs[1])
    start = []
    if has(node, 2):
        whole = w.size(node.inputs[2])
        start = [w.at(node.inputs[2], dims("N") if whole == n else
                      dims("M", "N") if whole == m * n else ())]  # fmt: skip
    _product(w, node, operands, (1, m, n, k), "linear" if known else "matmul", start, bias=known)
    if node.attributes.get("alpha", 1.0) != 1.0 and not known:
        op = w.ops.pop()
        raw = w.p.tensor(f"{node.name}.raw", (m, n))
        w.ops.append(replace(op, writes=(replace(raw, dims=op.writes[0].dims),)))
        w.vector(f"{node.name}.alpha", "elementwise", [raw], node.outputs[0], (m, n), FORMS["mul"])


def _product(
    w: Walk,
    node: Node,
    operands: tuple[Access, Access],
    size: tuple[int, int, int, int],
    op_class: str,
    start: list[Access] | None = None,
    *,
    bias: bool = False,
) -> None:
    """Append a product; a bias that is added behind a weight's product is taken in."""
    out, start = node.outputs[0], list(start or ())
    if bias and not start and (added := w.follower(out, "Add")):
        other = next((x for x in added.inputs if x != out), out)
        if w.is_weight(other) and w.shape(other)[-1:] == (size[2],) and w.size(other) == size[2]:
            start, out = [w.at(other, dims("N"))], added.outputs[0]
            w.done.add(added.name)
    written = w.at(out, dims("M", "N") if size[0] == 1 else dims("B", "M", "N"))
    ranks = dict(zip("BMNK", size, strict=True))
    w.ops.append(Op(node.name, Kind.GEMM, op_class, ranks, (*operands, *start), (written,)))


def conv(w: Walk, node: Node) -> None:
    """A convolution over one or two axes."""
    shape, filters = w.shape(node.inputs[0]), w.shape(node.inputs[1])
    if len(shape) not in (3, 4):
        raise unpriced(node, f"over {len(shape) - 2} axes")
    out = node.outputs[0]
    g = replace(window(w, node, filters[2:]), filters=filters[0], groups=number(node, "group", 1))
    bias = w.at(node.inputs[2]) if has(node, 2) else None
    norm = w.follower(out, "BatchNormalization")
    if norm:  # its scale vanishes in the weights, its shift in the bias
        w.done.add(norm.name)
        out = norm.outputs[0]
        bias = bias or w.at(norm.inputs[2])
    source = image(w, node.inputs[0])
    w.ops.append(conv_op(node.name, source, w.at(node.inputs[1]), w.at(out), g, shape[0], bias))


def pool(w: Walk, node: Node) -> None:
    """Maximum or average over windows of one or two axes."""
    shape, out = w.shape(node.inputs[0]), node.outputs[0]
    kernel = numbers(node, "kernel_shape", ())
    if len(shape) not in (3, 4):
        raise unpriced(node, f"over {len(shape) - 2} axes")
    g = replace(window(w, node, kernel), filters=shape[1])
    average = node.op == "AveragePool"
    source = image(w, node.inputs[0])
    w.ops.append(pool_op(w.p, node.name, source, w.at(out), g, shape[0], average=average))


def image(w: Walk, name: str) -> Image:
    """A feature map; one axis lies along the width."""
    shape = w.shape(name)
    high, wide = plane(shape[2:])
    return Image(w.at(name), shape[1], high, wide)


def plane(extents: tuple[int, ...], missing: int = 1) -> Pair:
    """Height and width; the only axis of a series is its width."""
    return (missing, extents[0]) if len(extents) == 1 else (extents[0], extents[1])


def window(w: Walk, node: Node, kernel: tuple[int, ...]) -> Geometry:
    """How the window of a convolution or a pool slides; its padding gives the inferred output."""
    axes = len(kernel)
    ones = (1,) * axes
    stride, dilation = (numbers(node, x, ones) for x in ("strides", "dilations"))
    size, made = w.shape(node.inputs[0])[2:], w.shape(node.outputs[0])[2:]
    begin, end = [], []
    pads = numbers(node, "pads", (0,) * (2 * axes))
    auto = word(node, "auto_pad", "NOTSET")
    for i in range(axes):
        reached = (made[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1
        total = max(reached - size[i], 0)
        before = {"SAME_UPPER": total // 2, "SAME_LOWER": total - total // 2, "VALID": 0}.get(
            auto, pads[i]
        )
        begin.append(before)
        end.append(reached - size[i] - before)  # negative where a stride leaves a remainder
    return Geometry(
        1, plane(kernel), plane(stride), plane(tuple(begin), 0), plane(dilation),
        pad_end=plane(tuple(end), 0),
    )  # fmt: skip


PRODUCTS: dict[str, Handler] = {
    "AveragePool": pool, "Conv": conv, "Gemm": gemm, "MatMul": matmul, "MaxPool": pool,
}  # fmt: skip
