"""Self-attention as ops: Q, K, V, rotation, KV append, scores, softmax, values, output, residual.

Unfused: scores and probabilities are tensors. Query heads that share a key head are rows of one
product, so that grouped and multi-query attention read each key once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from archsim.ir.op import Access, Op, dims
from archsim.lowering.architectures._mla import latent_attention
from archsim.lowering.architectures._scores import attend, choose
from archsim.lowering.parts import Parts
from archsim.lowering.sequences import Sequences, Step

if TYPE_CHECKING:
    from archsim.lowering.architectures._description import Transformer


def attention(p: Parts, m: Transformer, step: Step, window: int | None) -> list[Op]:
    """From `hidden` to `attn.added`, or to `attn.normed` where the norm comes last.

    In a parallel block the result is `attn.projected`: the residual is the feed-forward part's.
    """
    if step.trains:  # gradients of queries, keys and values are tensors of their own
        m = m.model_copy(update={"fused_qkv": False})
    size = (step.tokens, m.hidden)
    hidden, normed = p.tensor("hidden", size), p.tensor("attn.normed", size)
    ops: list[Op] = []
    if m.norm_first:
        ops.append(p.norm("attn_norm", m.norm, hidden, normed, size))
    source = normed if m.norm_first else hidden
    seen = replace(step, parts=tuple(part.within(window) for part in step.parts))
    ops += latent_attention(p, m, seen, source) if m.mla else _heads(p, m, seen, source)
    wide = m.heads * (m.mla.v_head_dim if m.mla else m.head_dim)
    out, mixed = p.tensor("attn.projected", size), p.tensor("attn.mixed", (step.tokens, wide))
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


def _heads(p: Parts, m: Transformer, step: Step, source: Access) -> list[Op]:
    """Multi-head attention, its query heads in groups."""
    q, k, v = _layout(p, m, step)
    ops = _project(p, m, step, source, (q, k, v))
    if m.qk_norm != "none":
        q, k = _norms(p, m, step, ops, q, k)
    if m.position == "rope":
        q, k = _rotate(p, m, step, ops, q, k)
    if _uncached(m, step):
        return [*ops, *_attend(p, m, step, step.parts[0], (q, k, v))]
    kv = m.kv_heads * m.head_dim
    caches = [_cache(p, m, part) for part in step.parts]
    new = [
        Access(cache.tensor, (), part.tokens * kv)
        for part, both in zip(step.parts, caches, strict=True)
        for cache in both
    ]
    ops.append(p.move("attn.kv_append", "kv_append", [k, v], new, (step.tokens, 2 * kv)))
    for part, (keys, values) in zip(step.parts, caches, strict=True):
        found = _attend(p, m, step, part, (q, keys, values))
        ops += [replace(op, phase=part.phase) for op in found]
    return ops


def _uncached(m: Transformer, step: Step) -> bool:
    """True where keys and values are activations like others."""
    return m.encoder or step.trains


def _attend(
    p: Parts, m: Transformer, step: Step, s: Sequences, operands: tuple[Access, Access, Access]
) -> list[Op]:
    """Scores, softmax and values of one part of a step."""
    q, keys, values = operands
    wide = m.heads * m.head_dim
    mixed = p.tensor("attn.mixed", (step.tokens, wide))
    q, mixed = (p.portion(x, s.tokens * wide) for x in (q, mixed))
    sinks = (p.weight("attn.sinks", m.heads),) if m.attention_sinks else ()
    bias = (Access(p.shared("relative.table", m.relative_buckets, m.heads)),) if (
        m.position == "relative") else ()  # fmt: skip
    ops: list[Op] = []
    if s.kept < 1:
        width = p.kv.select_width or -(-m.head_dim // 4)
        ops, index = choose(p, s, (q, keys), problems=m.kv_heads, width=width)
        sinks = (*sinks, index)
    return ops + attend(
        p, s, (q, _read(p, m, s, keys, "BNK"), _read(p, m, s, values, "BKN")), mixed,
        problems=m.kv_heads, rows=m.heads // m.kv_heads, widths=(m.head_dim, m.head_dim),
        causal=not m.encoder and s.new > 1, reach=s.window if s.new > 1 else None,
        reads=(*sinks, *bias), forms=("add",) if bias else (),
    )  # fmt: skip


def _read(p: Parts, m: Transformer, s: Sequences, tensor: Access, ranks: str) -> Access:
    """Keys or values of the tokens attended: all that there are, or some of the cache."""
    elements = s.read * m.kv_heads * m.head_dim
    part = p.portion(tensor, elements)
    plain = s.even and s.kept == 1 and not s.blocks
    return replace(part, dims=dims(*ranks)) if plain else part


def _layout(p: Parts, m: Transformer, step: Step) -> tuple[Access, Access, Access]:
    """Tensors of Q, K and V as they leave the projections."""
    kv = m.kv_heads * m.head_dim
    turned = m.position == "rope" or m.qk_norm != "none"
    q = p.tensor("attn.q", (step.tokens, m.heads * m.head_dim) if turned else _queries(m, step))
    k, v = (
        p.tensor(f"attn.{n}", _keys(m, step) if _uncached(m, step) and plain else (step.tokens, kv))
        for n, plain in (("k", not turned), ("v", True))
    )
    return q, k, v


def _queries(m: Transformer, step: Step) -> tuple[int, ...]:
    """Shape of all queries, as a single part reads them."""
    if len(step.parts) > 1:
        return step.tokens, m.heads * m.head_dim
    s = step.parts[0]
    return s.batch * m.kv_heads, m.heads // m.kv_heads * s.new, m.head_dim


def _keys(m: Transformer, step: Step) -> tuple[int, int, int]:
    s = step.parts[0]
    return s.batch * m.kv_heads, s.new, m.head_dim


def _project(
    p: Parts, m: Transformer, step: Step, source: Access, outs: tuple[Access, Access, Access]
) -> list[Op]:
    wide, kv = m.heads * m.head_dim, m.kv_heads * m.head_dim
    if m.fused_qkv:
        size = (step.tokens, wide + 2 * kv, m.hidden)
        return [p.linear("attn.qkv", "qkv_proj", source, outs, size, bias=m.qkv_bias)]
    return [
        p.linear(
            f"attn.{name}_proj",
            "qkv_proj",
            source,
            out,
            (step.tokens, n, m.hidden),
            bias=m.qkv_bias,
        )
        for name, out, n in zip("qkv", outs, (wide, kv, kv), strict=True)
    ]


def _norms(
    p: Parts, m: Transformer, step: Step, ops: list[Op], q: Access, k: Access
) -> tuple[Access, Access]:
    """A norm over each query and key head, before positions."""
    found = []
    for name, source, heads in (("q", q, m.heads), ("k", k, m.kv_heads)):
        size = (step.tokens * heads, m.head_dim)
        out = p.tensor(f"attn.{name}.normed", (step.tokens, heads * m.head_dim))
        ops.append(p.norm(f"attn.{name}_norm", m.qk_norm, source, out, size))
        found.append(out)
    return found[0], found[1]


def _rotate(
    p: Parts, m: Transformer, step: Step, ops: list[Op], q: Access, k: Access
) -> tuple[Access, Access]:
    """Rotary positions on Q and K: one op after a fused product, else one behind each."""
    wide, kv = m.heads * m.head_dim, m.kv_heads * m.head_dim
    turned_q = p.tensor("attn.q.rope", _queries(m, step))
    shape = _keys(m, step) if _uncached(m, step) else (step.tokens, kv)
    turned_k = p.tensor("attn.k.rope", shape)
    if m.fused_qkv:
        size = (step.tokens, wide + kv)
        ops.append(p.vector("attn.rope", "rotary", [q, k], [turned_q, turned_k], size, "rope"))
    else:
        for name, source, out, n in (("q", q, turned_q, wide), ("k", k, turned_k, kv)):
            size = (step.tokens, n)
            ops.append(p.vector(f"attn.rope_{name}", "rotary", [source], [out], size, "rope"))
    return turned_q, turned_k


def _cache(p: Parts, m: Transformer, s: Sequences) -> tuple[Access, Access]:
    """Keys and values of a part, with room for later steps: uneven ones one after the other."""
    shape = (
        (s.batch * m.kv_heads, s.held[0][0], m.head_dim) if s.even
        else (s.room * m.kv_heads, m.head_dim)
    )  # fmt: skip
    keys = p.cache(f"kv.{s.name}keys", shape, "keys")
    return keys, p.cache(f"kv.{s.name}values", shape, "values")
