"""ONNX operators that are a whole attention: projections where they have them, scores, values.

Unfused, as in the transformers that ship: scores and probabilities are tensors. Query heads that
share a key head are rows of one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from archsim.ir.op import Access, Dim, Kind, Op, dims
from archsim.lowering.onnx.nodes import Node
from archsim.lowering.onnx.walk import Handler, Walk, has, number, unpriced


@dataclass(frozen=True)
class Heads:
    """Extents of an attention."""

    batch: int
    heads: int
    kv_heads: int
    queries: int
    keys: int
    width: int  # of a head of Q and K
    value_width: int


def attend(
    w: Walk, node: Node, h: Heads, qkv: tuple[Access, Access, Access], *, causal: bool
) -> None:
    """Scores, softmax and values of one node."""
    q, k, v = qkv
    p, name = w.p, node.name
    problems, rows = h.batch * h.kv_heads, h.heads // h.kv_heads * h.queries
    shape = (problems, rows, h.keys)
    scores, shares = (p.tensor(f"{name}.{x}", shape) for x in ("scores", "shares"))
    masks = w.operands([x for x in node.inputs[3:] if x and not w.is_weight(x)])
    forms = ("softmax", "mask") if causal or masks else ("softmax",)
    keys = Access(k.tensor, dims("B", "N", "K"))
    out = w.at(node.outputs[0])
    ops = [
        p.batched(
            f"{name}.score", "attention_score", (q, keys, scores),
            (problems, rows, h.keys, h.width), causal=causal,
        ),
        p.vector(
            f"{name}.softmax", "softmax", [scores, *masks], [shares], (problems * rows, h.keys),
            *forms, causal=causal,
        ),
        p.batched(
            f"{name}.value", "attention_value", (shares, v, out),
            (problems, rows, h.value_width, h.keys), causal=causal,
        ),
    ]  # fmt: skip
    w.ops += [replace(op, queries=h.queries) for op in ops]


def attention(w: Walk, node: Node) -> None:
    """ONNX's `Attention`: Q, K and V with heads as an axis, or side by side in the last one."""
    _no_cache(w, node, (4, 5), (1, 2, 3))
    q, k, v = (w.shape(x) for x in node.inputs[:3])
    if len(q) == 4:
        h = Heads(q[0], q[1], k[1], q[2], k[2], q[3], v[3])
    else:
        heads, kv = number(node, "q_num_heads", 0), number(node, "kv_num_heads", 0)
        h = Heads(q[0], heads, kv, q[1], k[1], q[2] // heads, v[2] // kv)
    operands = [w.at(x) for x in node.inputs[:3]]
    causal = number(node, "is_causal", 0) == 1
    attend(w, node, h, (operands[0], operands[1], operands[2]), causal=causal)


def multi_head(w: Walk, node: Node) -> None:
    """`com.microsoft.MultiHeadAttention`: Q, K and V that are projected already."""
    if not (has(node, 1) and has(node, 2)) or any(len(w.shape(x)) != 3 for x in node.inputs[:3]):
        raise unpriced(node, "with Q, K and V in one tensor")
    _no_cache(w, node, (6, 7), (1, 2))
    q, k, v = (w.shape(x) for x in node.inputs[:3])
    heads = number(node, "num_heads", 1)
    h = Heads(q[0], heads, heads, q[1], k[1], q[2] // heads, v[2] // heads)
    operands = [w.at(x) for x in node.inputs[:3]]
    if has(node, 3):
        operands = [_biased(w, node, x) for x in range(3)]
    causal = number(node, "unidirectional", 0) == 1
    attend(w, node, h, (operands[0], operands[1], operands[2]), causal=causal)


def _biased(w: Walk, node: Node, i: int) -> Access:
    """Q, K or V with its part of the bias added."""
    name, source = f"{node.name}.{'qkv'[i]}_bias", node.inputs[i]
    shape = w.shape(source)
    size, out = (shape[0] * shape[1], shape[2]), w.p.tensor(f"{name}.out", shape)
    reads = [w.at(source), w.at(node.inputs[3], (), shape[2])]
    w.ops.append(w.p.vector(name, "elementwise", reads, [out], size, "add"))
    return out


def projected(w: Walk, node: Node) -> None:
    """`com.microsoft.Attention`: one product makes Q, K and V of its input."""
    _no_cache(w, node, (4,), (1,))
    batch, tokens, hidden = w.shape(node.inputs[0])
    wide = w.shape(node.inputs[1])[1]
    made = w.shape(node.outputs[0])[2]
    heads, inner = number(node, "num_heads", 1), (wide - made) // 2
    rows = batch * tokens
    parts = [
        w.p.tensor(f"{node.name}.{x}", (rows, n))
        for x, n in zip("qkv", (inner, inner, made), strict=True)
    ]
    ranks = {"B": 1, "M": rows, "N": wide, "K": hidden}
    reads = [w.at(node.inputs[0], dims("M", "K")), w.at(node.inputs[1], dims("K", "N"))]
    reads += [w.at(node.inputs[2], dims("N"))] if has(node, 2) else []
    writes = tuple(
        replace(x, dims=(*dims("M"), Dim((("N", 1),), -at)))
        for x, at in zip(parts, (0, inner, 2 * inner), strict=True)
    )
    w.ops.append(Op(f"{node.name}.qkv", Kind.GEMM, "qkv_proj", ranks, tuple(reads), writes))
    h = Heads(batch, heads, heads, tokens, tokens, inner // heads, made // heads)
    causal = number(node, "unidirectional", 0) == 1
    attend(w, node, h, (parts[0], parts[1], parts[2]), causal=causal)


def joined(ops: Sequence[Op]) -> list[Op]:
    """The ops with what lies between scores and values told as softmax: scale, mask, itself."""
    found = list(ops)
    readers: dict[str, list[int]] = {}
    for i, op in enumerate(ops):
        for access in op.reads:
            readers.setdefault(access.tensor, []).append(i)
    for score in ops:
        chain: list[int] = []
        here = score if score.op_class == "attention_score" else None
        while here and len(nexts := readers.get(here.writes[0].tensor, [])) == 1:
            here = ops[nexts[0]]
            if here.op_class == "attention_value":
                for i in chain:
                    found[i] = replace(ops[i], op_class="softmax", queries=score.queries)
            if here.kind is not Kind.VECTOR:
                break
            chain.append(nexts[0])
    return found


def _no_cache(w: Walk, node: Node, past: tuple[int, ...], present: tuple[int, ...]) -> None:
    """Refuse a node that carries keys and values from call to call."""
    kept = [node.outputs[i] for i in present if len(node.outputs) > i]
    used = any(x and (w.readers(x) or x in w.model.results) for x in kept)
    if used or any(has(node, i) for i in past):
        raise unpriced(node, "with keys and values of earlier calls")


ATTENTION: dict[str, Handler] = {
    "Attention": attention,
    "com.microsoft.Attention": projected,
    "com.microsoft.MultiHeadAttention": multi_head,
}
