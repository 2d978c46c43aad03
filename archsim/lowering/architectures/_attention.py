"""Self-attention as ops: Q, K, V, rotation, KV append, scores, softmax, values, output, residual.

Unfused: scores and probabilities are tensors. Query heads that share a key head are rows of one
product, so that grouped and multi-query attention read each key once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.ir.op import Access, Op, dims
from archsim.ir.tensor import Role
from archsim.lowering.architectures._mla import latent_attention
from archsim.lowering.architectures._scores import attend
from archsim.lowering.parts import Parts
from archsim.lowering.phase import Sequences

if TYPE_CHECKING:
    from archsim.lowering.architectures._description import Transformer


def attention(p: Parts, m: Transformer, s: Sequences, window: int | None) -> list[Op]:
    """From `hidden` to `attn.added`, or to `attn.normed` where the norm comes last.

    In a parallel block the result is `attn.projected`: the residual is the feed-forward part's.
    """
    size = (s.tokens, m.hidden)
    hidden, normed = p.tensor("hidden", size), p.tensor("attn.normed", size)
    ops: list[Op] = []
    if m.norm_first:
        ops.append(p.norm("attn_norm", m.norm, hidden, normed, size))
    source = normed if m.norm_first else hidden
    ops += latent_attention(p, m, s, source) if m.mla else _heads(p, m, s, source, window)
    wide = m.heads * (m.mla.v_head_dim if m.mla else m.head_dim)
    out, mixed = p.tensor("attn.projected", size), p.tensor("attn.mixed", (s.tokens, wide))
    ops.append(p.linear("attn.out", "out_proj", mixed, out, (*size, wide), bias=m.out_bias))
    if m.sandwich_norms:
        after = p.tensor("attn.after", size)
        ops.append(p.norm("attn_after_norm", m.norm, out, after, size))
        out = after
    if m.block == "parallel":
        return ops
    added = p.tensor("attn.added", size)
    ops.append(p.vector("attn.residual", "residual", [out, hidden], [added], size, "add"))
    if not m.norm_first:
        ops.append(p.norm("attn_norm", m.norm, added, normed, size))
    return ops


def _heads(p: Parts, m: Transformer, s: Sequences, source: Access, window: int | None) -> list[Op]:
    """Multi-head attention, its query heads in groups."""
    q, k, v = _layout(p, m, s)
    ops = _project(p, m, s, source, (q, k, v))
    if m.qk_norm != "none":
        q, k = _norms(p, m, s, ops, q, k)
    if m.position == "rope":
        q, k = _rotate(p, m, s, ops, q, k)
    keys, values = k, v
    if not m.encoder:
        keys, values = (_cache(p, m, s, f"kv.{n}") for n in ("keys", "values"))
        kv = m.kv_heads * m.head_dim
        new = [Access(c.tensor, (), s.tokens * kv) for c in (keys, values)]
        ops.append(p.move("attn.kv_append", "kv_append", [k, v], new, (s.tokens, 2 * kv)))
    problems, rows, _ = _queries(m, s)
    shape = (s.attended * m.kv_heads * rows,) if s.ragged else (problems, rows, s.longest)
    scores, shares = (p.tensor(f"attn.{n}", shape) for n in ("scores", "shares"))
    mixed = p.tensor("attn.mixed", (s.tokens, m.heads * m.head_dim))
    sinks = (p.weight("attn.sinks", m.heads),) if m.attention_sinks else ()
    bias = (Access(p.shared("relative.table", m.relative_buckets, m.heads)),) if (
        m.position == "relative") else ()  # fmt: skip
    causal = not m.encoder and s.new > 1
    ops += attend(
        p, s, (q, Access(keys.tensor, dims("B", "N", "K")), values), (scores, shares, mixed),
        problems=m.kv_heads, rows=m.heads // m.kv_heads, widths=(m.head_dim, m.head_dim),
        causal=causal, reach=window if s.new > 1 else None, reads=(*sinks, *bias),
        forms=("add",) if bias else (),
    )  # fmt: skip
    return ops


def _layout(p: Parts, m: Transformer, s: Sequences) -> tuple[Access, Access, Access]:
    """Tensors of Q, K and V as they leave the projections."""
    kv = m.kv_heads * m.head_dim
    turned = m.position == "rope" or m.qk_norm != "none"
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


def _norms(
    p: Parts, m: Transformer, s: Sequences, ops: list[Op], q: Access, k: Access
) -> tuple[Access, Access]:
    """A norm over each query and key head, before positions."""
    found = []
    for name, source, heads in (("q", q, m.heads), ("k", k, m.kv_heads)):
        size = (s.tokens * heads, m.head_dim)
        out = p.tensor(f"attn.{name}.normed", (s.tokens, heads * m.head_dim))
        ops.append(p.norm(f"attn.{name}_norm", m.qk_norm, source, out, size))
        found.append(out)
    return found[0], found[1]


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
