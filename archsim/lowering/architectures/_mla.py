"""Multi-head latent attention: keys and values of all heads come from one small cached vector.

Source: DeepSeek-AI, DeepSeek-V2 (2024), section 2.1. A token leaves its latent and one rotated key
in the cache. Written out, a step raises the latents of all tokens attended to keys and values of
each head. Absorbed, queries are lowered to the latent, so that the cache itself is key and value.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from archsim.core.spec import Spec
from archsim.ir.op import Access, Kind, Op, dims
from archsim.lowering.architectures._scores import attend, choose
from archsim.lowering.parts import Parts
from archsim.lowering.phase import Count
from archsim.lowering.sequences import Sequences, Step

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
        kv = hidden * self.cached + self.raising(heads)
        return queries + kv + heads * self.v_head_dim * hidden

    def raising(self, heads: int) -> int:
        """Elements of the matrices that raise a latent to one layer's keys and values."""
        return self.kv_lora_rank * heads * (self.qk_nope_head_dim + self.v_head_dim)

    def attention_macs(self, heads: int, context: int, *, absorbed: bool) -> int:
        """MACs of one token that attends to so many, beyond the projections."""
        if absorbed:
            return heads * context * (self.cached + self.kv_lora_rank)
        return heads * context * (self.query + self.v_head_dim)

    def absorbed(self, s: Sequences) -> bool:
        """Whether a step is written in the absorbed form."""
        return self.absorb == "always" or (self.absorb == "decode" and s.new == 1)


def latent_attention(p: Parts, m: Transformer, step: Step, source: Access) -> list[Op]:
    """From the normed input to `attn.mixed`, all heads' results side by side."""
    a = m.mla
    assert a is not None
    tokens, heads, rope = step.tokens, m.heads, a.qk_rope_head_dim
    ops = _queries(p, m, step, source)
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
    caches = [_cache(p, a, part) for part in step.parts]
    new = [
        Access(cache.tensor, (), part.tokens * a.cached)
        for part, cache in zip(step.parts, caches, strict=True)
    ]
    ops.append(p.move("attn.kv_append", "kv_append", [normed, turned_k], new, (tokens, a.cached)))
    forms = {a.absorbed(part) for part in step.parts}
    for part, cache in zip(step.parts, caches, strict=True):
        queries = (
            p.portion(nope, part.tokens * heads * a.qk_nope_head_dim),
            p.portion(turned_q, part.tokens * heads * rope),
        )
        mixed = p.tensor("attn.mixed", (tokens, heads * a.v_head_dim))
        given = (*queries, cache, p.portion(mixed, part.tokens * heads * a.v_head_dim))
        if a.absorbed(part):
            found = _absorbed(p, m, part, given)
        else:
            found = _written_out(p, m, part, given, apart=len(forms) > 1)
        ops += [replace(op, phase=part.phase) for op in found]
    return ops


def _queries(p: Parts, m: Transformer, step: Step, source: Access) -> list[Op]:
    a, tokens = m.mla, step.tokens
    assert a is not None
    parts = [
        p.tensor("attn.q_nope", (tokens, m.heads * a.qk_nope_head_dim)),
        p.tensor("attn.q_rope", (tokens, m.heads * a.qk_rope_head_dim)),
    ]
    width, rank = m.heads * a.query, a.q_lora_rank
    if rank is None:
        return [p.linear("attn.q", "qkv_proj", source, parts, (tokens, width, m.hidden))]
    low, normed = (p.tensor(n, (tokens, rank)) for n in ("attn.q_low", "attn.q_low.normed"))
    return [
        p.linear("attn.q_down", "qkv_proj", source, low, (tokens, rank, m.hidden)),
        p.norm("attn.q_norm", "rms", low, normed, (tokens, rank)),
        p.linear("attn.q_up", "qkv_proj", normed, parts, (tokens, width, rank)),
    ]


def _cache(p: Parts, a: Mla, s: Sequences) -> Access:
    shape = (s.batch, s.held[0][0], a.cached) if s.even else (s.room, a.cached)
    return p.cache(f"kv.{s.name}latent", shape, "keys")


def _raising(p: Parts, m: Transformer) -> tuple[Access, Access]:
    """The matrices from the latent to keys and to values, a head at a time."""
    a = m.mla
    assert a is not None
    up = p.weight("attn.k_up.weight", m.heads, a.qk_nope_head_dim, a.kv_lora_rank)
    return up, p.weight("attn.v_up.weight", m.heads, a.kv_lora_rank, a.v_head_dim)


def _absorbed(
    p: Parts, m: Transformer, s: Sequences, given: tuple[Access, Access, Access, Access]
) -> list[Op]:
    """Queries lowered to the latent; the cache is read as keys, and its latent part as values."""
    a, heads, tokens, at = m.mla, m.heads, s.tokens, f"attn.{s.name}"
    assert a is not None
    nope, turned, cache, out = given
    rank, rows = a.kv_lora_rank, heads * s.new
    low = p.tensor(f"{at}q_latent", (tokens, heads * rank))
    joined = p.tensor(f"{at}q_joined", (s.batch, rows, a.cached))
    mixed = p.tensor(f"{at}latent.mixed", (s.batch, rows, rank))
    up, down = _raising(p, m)
    keys = p.portion(cache, s.read * a.cached)
    values = Access(cache.tensor, (), s.read * rank)
    if s.even and s.kept == 1:
        keys = replace(keys, dims=dims("B", "N", "K"))
        values = replace(values, dims=dims("B", "K", "N"))
    ops = [
        p.batched(f"{at}k_up", "qkv_proj", (nope, up, low),
                  (heads, tokens, rank, a.qk_nope_head_dim)),
        p.move(f"{at}q_join", "kv_append", [low, turned], [joined], (tokens, heads * a.cached)),
    ]  # fmt: skip
    chosen: tuple[Access, ...] = ()
    if s.kept < 1:
        width = p.kv.select_width or -(-a.cached // 4)
        more, index = choose(p, s, (joined, cache), problems=1, width=width)
        ops, chosen = [*ops, *more], (index,)
    return [
        *ops,
        *attend(
            p, s, (joined, keys, values), mixed, problems=1, rows=heads,
            widths=(a.cached, rank), causal=s.new > 1, reach=s.window if s.new > 1 else None,
            reads=chosen,
        ),
        p.batched(f"{at}v_up", "out_proj", (mixed, down, out), (heads, tokens, a.v_head_dim, rank)),
    ]  # fmt: skip


def _written_out(
    p: Parts,
    m: Transformer,
    s: Sequences,
    given: tuple[Access, Access, Access, Access],
    *,
    apart: bool,
) -> list[Op]:
    """Latents of all tokens attended raised to the keys and values of each head.

    As one product, or as two where another part of the step needs their matrices apart.
    """
    a, heads, at = m.mla, m.heads, f"attn.{s.name}"
    assert a is not None
    nope, turned, cache, out = given
    size, seen, rank = s.read, s.longest, a.kv_lora_rank
    alone = s.ragged or bool(s.prefix)
    part = p.tensor(f"{at}k_nope", (size, heads * a.qk_nope_head_dim))
    shape = (size * heads, a.v_head_dim) if alone else (s.batch * heads, seen, a.v_head_dim)
    values = p.tensor(f"{at}v", shape)
    wide = (size * heads, a.query) if alone else (s.batch * heads, seen, a.query)
    keys = p.tensor(f"{at}k", wide)
    joined = p.tensor(f"{at}q_joined", (s.batch * heads, s.new, a.query))
    latent, rotated = (
        Access(cache.tensor, (), size * width) for width in (rank, a.qk_rope_head_dim)
    )
    if apart:
        raised = [
            p.linear(f"{at}{name}_raise", "qkv_proj", latent, result, (size, heads * width, rank),
                     tied=Access(matrix.tensor, (), heads * width * rank))
            for name, result, width, matrix in zip(
                "kv", (part, values), (a.qk_nope_head_dim, a.v_head_dim), _raising(p, m),
                strict=True,
            )
        ]  # fmt: skip
    else:
        width = heads * (a.qk_nope_head_dim + a.v_head_dim)
        matrix = replace(p.weight("attn.kv_up.weight", rank, width), dims=dims("K", "N"))
        results = (part, values)
        raised = [
            p.linear(f"{at}kv_up", "qkv_proj", latent, results, (size, width, rank), tied=matrix)
        ]
    return [
        *raised,
        p.move(f"{at}q_join", "kv_append", [nope, turned], [joined], (s.tokens, heads * a.query)),
        p.vector(f"{at}k_join", "kv_append", [part, rotated], [keys], (size, heads * a.query),
                 kind=Kind.MOVE),
        *attend(
            p, s, (joined, keys if alone else replace(keys, dims=dims("B", "N", "K")), values),
            out, problems=heads, rows=1, widths=(a.query, a.v_head_dim), causal=s.new > 1,
            reach=s.window if s.new > 1 else None,
        ),
    ]  # fmt: skip
