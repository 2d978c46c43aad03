"""Multi-head latent attention: keys and values of all heads come from one small cached vector.

Source: DeepSeek-AI, DeepSeek-V2 (2024), section 2.1. A token leaves its latent and one rotated key
in the cache. Written out, a step raises the latents of all tokens attended to keys and values of
each head. Absorbed, queries are lowered to the latent, so that the cache itself is key and value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from archsim.core.spec import Spec
from archsim.ir.op import Access, Kind, Op, dims
from archsim.ir.tensor import Role
from archsim.lowering.architectures._scores import attend
from archsim.lowering.parts import Parts
from archsim.lowering.phase import Count, Sequences

if TYPE_CHECKING:
    from archsim.lowering.architectures._description import Transformer


class Mla(Spec):
    """Widths of latent attention."""

    q_lora_rank: Count | None = None
    """Width of the queries' latent; none where they come straight from the residual stream."""

    kv_lora_rank: Count
    """Width of the cached latent."""

    qk_nope_head_dim: Count
    """Width of a head's query and key without positions."""

    qk_rope_head_dim: Count
    """Width of the rotated part; its key is shared by all heads."""

    v_head_dim: Count
    """Width of a head's value."""

    absorb: Literal["decode", "always", "never"] = "decode"
    """Where queries are lowered to the latent instead of raising the latent to keys and values."""

    @property
    def cached(self) -> int:
        """Elements that a token leaves in the cache of one layer."""
        return self.kv_lora_rank + self.qk_rope_head_dim

    @property
    def query(self) -> int:
        """Width of a head's query."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    def parameters(self, hidden: int, heads: int) -> int:
        """Parameters of one layer's attention, norms of the latents included."""
        return self.projections(hidden, heads) + (self.q_lora_rank or 0) + self.kv_lora_rank

    def projections(self, hidden: int, heads: int) -> int:
        """Elements of one layer's matrices."""
        q = heads * self.query
        rank = self.q_lora_rank
        queries = hidden * rank + rank * q if rank else hidden * q
        raised = heads * (self.qk_nope_head_dim + self.v_head_dim)
        kv = hidden * self.cached + self.kv_lora_rank * raised
        return queries + kv + heads * self.v_head_dim * hidden

    def attention_macs(self, heads: int, context: int, *, absorbed: bool) -> int:
        """MACs of one token that attends to so many, beyond the projections."""
        if absorbed:
            return heads * context * (self.cached + self.kv_lora_rank)
        return heads * context * (self.query + self.v_head_dim)

    def absorbed(self, s: Sequences) -> bool:
        """Whether a step is written in the absorbed form."""
        return self.absorb == "always" or (self.absorb == "decode" and s.new == 1)


def latent_attention(p: Parts, m: Transformer, s: Sequences, source: Access) -> list[Op]:
    """From the normed input to `attn.mixed`, all heads' results side by side."""
    a = m.mla
    assert a is not None
    tokens, heads, rope = s.tokens, m.heads, a.qk_rope_head_dim
    ops = _queries(p, m, s, source)
    nope, turned = p.tensor("attn.q_nope", (tokens, heads * a.qk_nope_head_dim)), p.tensor(
        "attn.q_rope", (tokens, heads * rope))  # fmt: skip
    latent, key = p.tensor("attn.latent", (tokens, a.kv_lora_rank)), p.tensor(
        "attn.k_rope", (tokens, rope))  # fmt: skip
    normed = p.tensor("attn.latent.normed", (tokens, a.kv_lora_rank))
    turned_q = p.tensor("attn.q_rope.turned", (tokens, heads * rope))
    turned_k = p.tensor("attn.k_rope.turned", (tokens, rope))
    ops += [
        p.linear("attn.kv_down", "qkv_proj", source, (latent, key), (tokens, a.cached, m.hidden)),
        p.norm("attn.latent_norm", "rms", latent, normed, (tokens, a.kv_lora_rank)),
        p.vector("attn.rope", "rotary", [turned, key], [turned_q, turned_k],
                 (tokens, (heads + 1) * rope), "rope"),
    ]  # fmt: skip
    cache = _cache(p, a, s)
    new = Access(cache.tensor, (), tokens * a.cached)
    ops.append(p.move("attn.kv_append", "kv_append", [normed, turned_k], [new], (tokens, a.cached)))
    write = _absorbed if a.absorbed(s) else _written_out
    return [*ops, *write(p, m, s, (nope, turned_q, cache))]


def _queries(p: Parts, m: Transformer, s: Sequences, source: Access) -> list[Op]:
    a = m.mla
    assert a is not None
    parts = [
        p.tensor("attn.q_nope", (s.tokens, m.heads * a.qk_nope_head_dim)),
        p.tensor("attn.q_rope", (s.tokens, m.heads * a.qk_rope_head_dim)),
    ]
    width, rank = m.heads * a.query, a.q_lora_rank
    if rank is None:
        return [p.linear("attn.q", "qkv_proj", source, parts, (s.tokens, width, m.hidden))]
    low, normed = (p.tensor(n, (s.tokens, rank)) for n in ("attn.q_low", "attn.q_low.normed"))
    return [
        p.linear("attn.q_down", "qkv_proj", source, low, (s.tokens, rank, m.hidden)),
        p.norm("attn.q_norm", "rms", low, normed, (s.tokens, rank)),
        p.linear("attn.q_up", "qkv_proj", normed, parts, (s.tokens, width, rank)),
    ]


def _cache(p: Parts, a: Mla, s: Sequences) -> Access:
    if s.ragged:
        return p.tensor("kv.latent", (s.attended, a.cached), Role.KV_CACHE)
    return p.tensor("kv.latent", (s.batch, s.longest, a.cached), Role.KV_CACHE)


def _absorbed(
    p: Parts, m: Transformer, s: Sequences, given: tuple[Access, Access, Access]
) -> list[Op]:
    """Queries lowered to the latent; the cache is read as keys, and its latent part as values."""
    a, heads, tokens = m.mla, m.heads, s.tokens
    assert a is not None
    nope, turned, cache = given
    rank, seen, rows = a.kv_lora_rank, s.longest, heads * s.new
    low = p.tensor("attn.q_latent", (tokens, heads * rank))
    joined = p.tensor("attn.q_joined", (s.batch, rows, a.cached))
    points = s.attended * rows
    shape = (points,) if s.ragged else (s.batch, rows, seen)
    scores, shares = (p.tensor(f"attn.{n}", shape) for n in ("scores", "shares"))
    mixed = p.tensor("attn.latent.mixed", (s.batch, rows, rank))
    out = p.tensor("attn.mixed", (tokens, heads * a.v_head_dim))
    up = p.weight("attn.k_up.weight", heads, a.qk_nope_head_dim, rank)
    down = p.weight("attn.v_up.weight", heads, rank, a.v_head_dim)
    keys = Access(cache.tensor, dims("B", "N", "K"))
    values = Access(cache.tensor, dims("B", "K", "N"), s.attended * rank)
    causal = s.new > 1
    return [
        p.batched("attn.k_up", "qkv_proj", (nope, up, low),
                  (heads, tokens, rank, a.qk_nope_head_dim)),
        p.move("attn.q_join", "kv_append", [low, turned], [joined], (tokens, heads * a.cached)),
        *attend(
            p, s, (joined, keys, values), (scores, shares, mixed),
            problems=1, rows=heads, widths=(a.cached, rank), causal=causal,
        ),
        p.batched("attn.v_up", "out_proj", (mixed, down, out), (heads, tokens, a.v_head_dim, rank)),
    ]  # fmt: skip


def _written_out(
    p: Parts, m: Transformer, s: Sequences, given: tuple[Access, Access, Access]
) -> list[Op]:
    """Latents of all tokens attended raised to the keys and values of each head."""
    a, heads = m.mla, m.heads
    assert a is not None
    nope, turned, cache = given
    size, seen = s.attended, s.longest
    raised = heads * (a.qk_nope_head_dim + a.v_head_dim)
    part = p.tensor("attn.k_nope", (size, heads * a.qk_nope_head_dim))
    shape = (size * heads, a.v_head_dim) if s.ragged else (s.batch * heads, seen, a.v_head_dim)
    values = p.tensor("attn.v", shape)
    wide = (size * heads, a.query) if s.ragged else (s.batch * heads, seen, a.query)
    keys = p.tensor("attn.k", wide)
    joined = p.tensor("attn.q_joined", (s.batch * heads, s.new, a.query))
    latent = Access(cache.tensor, (), size * a.kv_lora_rank)
    rotated = Access(cache.tensor, (), size * a.qk_rope_head_dim)
    points = size * heads * s.new
    flat = (points,) if s.ragged else (s.batch * heads, s.new, seen)
    scores, shares = (p.tensor(f"attn.{n}", flat) for n in ("scores", "shares"))
    mixed = p.tensor("attn.mixed", (s.tokens, heads * a.v_head_dim))
    return [
        p.linear("attn.kv_up", "qkv_proj", latent, (part, values), (size, raised, a.kv_lora_rank)),
        p.move("attn.q_join", "kv_append", [nope, turned], [joined], (s.tokens, heads * a.query)),
        p.vector("attn.k_join", "kv_append", [part, rotated], [keys], (size, heads * a.query),
                 kind=Kind.MOVE),
        *attend(
            p, s, (joined, Access(keys.tensor, dims("B", "N", "K")), values),
            (scores, shares, mixed),
            problems=heads, rows=1, widths=(a.query, a.v_head_dim), causal=s.new > 1,
        ),
    ]  # fmt: skip
