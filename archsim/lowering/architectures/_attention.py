"""Self-attention as ops: Q, K, V, rotation, KV append, scores, softmax, values, output, residual.

Unfused: scores and probabilities are tensors. Query heads that share a key head are rows of one
product, so that grouped and multi-query attention read each key once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from archsim.ir.op import Access, Group, Op, dims
from archsim.ir.tensor import Role
from archsim.lowering.parts import Parts
from archsim.lowering.phase import Sequences

if TYPE_CHECKING:
    from archsim.lowering.architectures.transformer import Transformer


def attention(p: Parts, m: Transformer, s: Sequences) -> list[Op]:
    """From `hidden` to `attn.added`, or to `attn.normed` where the norm comes last."""
    size = (s.tokens, m.hidden)
    hidden, normed = p.tensor("hidden", size), p.tensor("attn.normed", size)
    ops: list[Op] = []
    if m.norm_first:
        ops.append(p.norm("attn_norm", m.norm, hidden, normed, size))
    q, k, v = _layout(p, m, s)
    ops += _project(p, m, s, normed if m.norm_first else hidden, (q, k, v))
    if m.position == "rope":
        q, k = _rotate(p, m, s, ops, q, k)
    keys, values = k, v
    if not m.encoder:
        keys, values = (_cache(p, m, s, f"kv.{n}") for n in ("keys", "values"))
        kv = m.kv_heads * m.head_dim
        new = [Access(c.tensor, (), s.tokens * kv) for c in (keys, values)]
        ops.append(p.move("attn.kv_append", "kv_append", [k, v], new, (s.tokens, 2 * kv)))
    ops += _attend(p, m, s, q, keys, values)
    out, added = p.tensor("attn.projected", size), p.tensor("attn.added", size)
    wide = m.heads * m.head_dim
    mixed = p.tensor("attn.mixed", (s.tokens, wide))
    ops += [
        p.linear("attn.out", "out_proj", mixed, out, (*size, wide), bias=m.out_bias),
        p.vector("attn.residual", "residual", [out, hidden], [added], size, "add"),
    ]
    if not m.norm_first:
        ops.append(p.norm("attn_norm", m.norm, added, normed, size))
    return ops


def _layout(p: Parts, m: Transformer, s: Sequences) -> tuple[Access, Access, Access]:
    """Tensors of Q, K and V as they leave the projections."""
    kv = m.kv_heads * m.head_dim
    turned = m.position == "rope"
    q = p.tensor("attn.q", (s.tokens, m.heads * m.head_dim) if turned else _queries(m, s))
    k, v = (
        p.tensor(f"attn.{n}", _keys(m, s) if m.encoder and plain else (s.tokens, kv))
        for n, plain in (("k", not turned), ("v", True))
    )
    return q, k, v


def _queries(m: Transformer, s: Sequences) -> tuple[int, int, int]:
    return s.batch * m.kv_heads, m.heads // m.kv_heads * s.new, m.head_dim


def _keys(m: Transformer, s: Sequences) -> tuple[int, int, int]:
    return s.batch * m.kv_heads, s.new, m.head_dim


def _project(
    p: Parts, m: Transformer, s: Sequences, source: Access, outs: tuple[Access, Access, Access]
) -> list[Op]:
    wide, kv = m.heads * m.head_dim, m.kv_heads * m.head_dim
    if m.fused_qkv:
        size = (s.tokens, wide + 2 * kv, m.hidden)
        return [p.linear("attn.qkv", "qkv_proj", source, outs, size, bias=m.qkv_bias)]
    return [
        p.linear(
            f"attn.{name}_proj", "qkv_proj", source, out, (s.tokens, n, m.hidden), bias=m.qkv_bias
        )
        for name, out, n in zip("qkv", outs, (wide, kv, kv), strict=True)
    ]


def _rotate(
    p: Parts, m: Transformer, s: Sequences, ops: list[Op], q: Access, k: Access
) -> tuple[Access, Access]:
    """Rotary positions on Q and K: one op after a fused product, else one behind each."""
    wide, kv = m.heads * m.head_dim, m.kv_heads * m.head_dim
    turned_q = p.tensor("attn.q.rope", _queries(m, s))
    turned_k = p.tensor("attn.k.rope", _keys(m, s) if m.encoder else (s.tokens, kv))
    if m.fused_qkv:
        size = (s.tokens, wide + kv)
        ops.append(p.vector("attn.rope", "rotary", [q, k], [turned_q, turned_k], size, "rope"))
    else:
        for name, source, out, n in (("q", q, turned_q, wide), ("k", k, turned_k, kv)):
            size = (s.tokens, n)
            ops.append(p.vector(f"attn.rope_{name}", "rotary", [source], [out], size, "rope"))
    return turned_q, turned_k


def _cache(p: Parts, m: Transformer, s: Sequences, name: str) -> Access:
    """Keys or values of all tokens attended; ragged sequences lie one after the other."""
    if s.ragged:
        return p.tensor(name, (s.attended * m.kv_heads, m.head_dim), Role.KV_CACHE)
    return p.tensor(name, (s.batch * m.kv_heads, s.longest, m.head_dim), Role.KV_CACHE)


def _groups(s: Sequences, per_sequence: int, rank: str) -> tuple[Group, ...]:
    """`per_sequence` problems a sequence, with the tokens attended as the extent of a rank."""
    if not s.ragged:
        return ()
    return tuple(Group(per_sequence * n, ((rank, length),)) for length, n in s.lengths)


def _attend(
    p: Parts, m: Transformer, s: Sequences, q: Access, keys: Access, values: Access
) -> list[Op]:
    problems, rows, head_dim = _queries(m, s)
    context = s.longest
    points = s.attended * m.kv_heads * rows
    shape = (points,) if s.ragged else (problems, rows, context)
    scores, shares = (p.tensor(f"attn.{n}", shape) for n in ("scores", "shares"))
    mixed = p.tensor("attn.mixed", (s.tokens, m.heads * head_dim))
    causal = not m.encoder and s.new > 1
    keys = Access(keys.tensor, dims("B", "N", "K"))
    ops = [
        p.batched(
            "attn.score", "attention_score", (q, keys, scores), (problems, rows, context, head_dim),
            groups=_groups(s, m.kv_heads, "N"), causal=causal,
        ),
        p.vector(
            "attn.softmax", "softmax", [scores], [shares], (problems * rows, context),
            *(("softmax", "mask") if causal else ("softmax",)),
            groups=_groups(s, m.kv_heads * rows, "N"), causal=causal,
        ),
        p.batched(
            "attn.value", "attention_value", (shares, values, mixed),
            (problems, rows, head_dim, context), groups=_groups(s, m.kv_heads, "K"), causal=causal,
        ),
    ]  # fmt: skip
    return [replace(op, queries=s.new) for op in ops]
