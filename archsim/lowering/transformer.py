"""A dense Transformer as blocks of ops: embedding, layers that repeat, head."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Group, Kind, Op
from archsim.ir.tensor import DTYPES, Role
from archsim.lowering.model import Transformer
from archsim.lowering.parts import Parts
from archsim.lowering.spec import Decode, DTypes, Encode, Prefill


@dataclass(frozen=True)
class Sequences:
    """The sequences of a phase: how many new tokens each has, and what each attends to."""

    new: int
    contexts: tuple[int, ...]

    @property
    def batch(self) -> int:
        """Sequences."""
        return len(self.contexts)

    @property
    def tokens(self) -> int:
        """New tokens of all sequences."""
        return self.new * self.batch

    def ragged(self, per_sequence: int, rank: str) -> tuple[Group, ...]:
        """Groups of `per_sequence` problems with the contexts as the extent of a rank."""
        counts = Counter(self.contexts)
        if len(counts) == 1:
            return ()
        return tuple(
            Group(per_sequence * n, ((rank, context),)) for context, n in sorted(counts.items())
        )


def sequences(phase: Prefill | Decode | Encode) -> Sequences:
    """The sequences of a phase."""
    if isinstance(phase, Decode):
        return Sequences(1, phase.contexts)
    return Sequences(phase.tokens, (phase.tokens,) * phase.batch)


def lower_transformer(
    name: str, model: Transformer, phase: Prefill | Decode | Encode, dtypes: DTypes
) -> OpGraph:
    """The op graph of a model in a phase.

    Masked points of a prefill are computed and counted; `macs_causal` in the facts leaves them out.
    """
    seqs = sequences(phase)
    parts = Parts(dtypes)
    blocks = [
        Block("embed", 1, tuple(_embedding(parts, model, seqs))),
        Block(
            "layer",
            model.layers,
            (*_attention(parts, model, seqs), *_ffn(parts, model, seqs)),
            (("hidden", "hidden.out"),),
        ),
    ]
    head = _head(parts, model, seqs)
    if head:
        blocks.append(Block("head", 1, tuple(head)))
    graph = OpGraph(name, tuple(blocks), parts.tensors, _facts(model, phase, seqs, dtypes))
    masked = 0
    if not model.encoder and seqs.new > 1:
        wide = model.heads * model.head_dim
        masked = model.layers * seqs.batch * wide * seqs.new * (seqs.new - 1)
    graph.facts["macs_causal"] = graph.macs() - masked  # type: ignore[index]
    return graph


def _facts(
    model: Transformer, phase: Prefill | Decode | Encode, seqs: Sequences, dtypes: DTypes
) -> dict[str, object]:
    context = max(seqs.contexts)
    bits = DTYPES[dtypes.kv_cache].bits
    warnings = []
    if model.encoder and dtypes.kv_cache != dtypes.activations:
        warnings.append(("W101", "dtypes.kv_cache has no effect: an encoder keeps no KV cache"))
    if isinstance(phase, Prefill | Encode) and model.positions and seqs.new > model.positions:
        warnings.append(
            ("W102", f"{seqs.new} tokens exceed the {model.positions} positions of the model")
        )
    return {
        "architecture": model.architecture,
        "layers": model.layers,
        "parameters": model.parameters(),
        "macs_per_token": model.macs_per_token(context),
        "context": context,
        "kv_bytes_per_token": model.kv_elements_per_token() * bits // 8,
        "output_tokens": seqs.tokens if model.encoder else seqs.batch,
        "phase": phase.to_data(),
        "warnings": warnings,
    }


def _embedding(p: Parts, m: Transformer, s: Sequences) -> list[Op]:
    size = (s.tokens, m.hidden)
    rows = s.tokens * m.hidden
    table = p.weight("embed.table", m.vocab, m.hidden)
    ids = p.tensor("ids", (s.tokens,), Role.INDEX)
    reads = [Access(table.tensor, (), min(rows, m.vocab * m.hidden)), ids]
    looked = p.tensor("embedded" if m.positions or m.embedding_norm else "hidden", size)
    ops = [p.vector("embed", "embedding", reads, [looked], size, "gather", kind=Kind.GATHER)]
    if m.positions:
        table = p.weight("positions.table", m.positions, m.hidden)
        touched = min(s.new, m.positions) * m.hidden
        if s.new == 1:
            touched = min(len(set(s.contexts)), m.positions) * m.hidden
        added = [Access(table.tensor, (), touched)]
        if m.token_types:
            kinds = p.weight("token_types.table", m.token_types, m.hidden)
            added.append(Access(kinds.tensor, (), m.hidden))
        out = p.tensor("positioned" if m.embedding_norm else "hidden", size)
        adds = ["add"] * len(added)
        ops.append(p.vector("positions", "embedding", [looked, *added], [out], size, *adds))
        looked = out
    if m.embedding_norm:
        ops.append(p.norm("embed_norm", m.norm, looked, p.tensor("hidden", size), size))
    return ops


def _attention(p: Parts, m: Transformer, s: Sequences) -> list[Op]:
    tokens, h = s.tokens, m.hidden
    wide, kv = m.heads * m.head_dim, m.kv_heads * m.head_dim
    problems, rows = s.batch * m.kv_heads, m.heads // m.kv_heads * s.new
    hidden = p.tensor("hidden", (tokens, h))
    normed = p.tensor("attn.normed", (tokens, h))
    q, k, v = (p.tensor(f"attn.{n}", (tokens, w)) for n, w in (("q", wide), ("k", kv), ("v", kv)))
    ops = [
        p.norm("attn_norm", m.norm, hidden, normed, (tokens, h)),
        p.linear("attn.qkv", "qkv_proj", normed, (q, k, v), (tokens, wide + 2 * kv, h),
                 bias=m.qkv_bias),
    ]  # fmt: skip
    if m.position == "rope":
        turned = p.tensor("attn.q.rope", (tokens, wide)), p.tensor("attn.k.rope", (tokens, kv))
        ops.append(p.vector("attn.rope", "rotary", [q, k], turned, (tokens, wide + kv), "rope"))
        q, k = turned
    keys, values = k, v
    if not m.encoder:
        length = sum(s.contexts)
        keys, values = (
            p.tensor(f"kv.{n}", (length * m.kv_heads, m.head_dim), Role.KV_CACHE)
            for n in ("keys", "values")
        )
        new = [Access(c.tensor, (), tokens * kv) for c in (keys, values)]
        ops.append(
            p.vector("attn.kv_append", "kv_append", [k, v], new, (tokens, 2 * kv), kind=Kind.MOVE)
        )
    context, points = max(s.contexts), sum(s.contexts) * m.kv_heads * rows
    scores, shares = (p.tensor(f"attn.{n}", (points,)) for n in ("scores", "shares"))
    mixed = p.tensor("attn.mixed", (tokens, wide))
    out, added = p.tensor("attn.projected", (tokens, h)), p.tensor("attn.added", (tokens, h))
    return [
        *ops,
        p.batched("attn.score", "attention_score", (q, keys, scores),
                  (problems, rows, context, m.head_dim), s.ragged(m.kv_heads, "N")),
        p.vector("attn.softmax", "softmax", [scores], [shares], (problems * rows, context),
                 "softmax", groups=s.ragged(m.kv_heads * rows, "N")),
        p.batched("attn.value", "attention_value", (shares, values, mixed),
                  (problems, rows, m.head_dim, context), s.ragged(m.kv_heads, "K")),
        p.linear("attn.out", "out_proj", mixed, out, (tokens, h, wide), bias=m.out_bias),
        p.vector("attn.residual", "residual", [out, hidden], [added], (tokens, h), "add"),
    ]  # fmt: skip


def _ffn(p: Parts, m: Transformer, s: Sequences) -> list[Op]:
    tokens, h, wide = s.tokens, m.hidden, m.ffn
    added = p.tensor("attn.added", (tokens, h))
    normed = p.tensor("ffn.normed", (tokens, h))
    up, acted = p.tensor("ffn.raised", (tokens, wide)), p.tensor("ffn.acted", (tokens, wide))
    down = p.tensor("ffn.lowered", (tokens, h))
    ops = [p.norm("ffn_norm", m.norm, added, normed, (tokens, h))]
    gate: list[Access] = []
    if m.ffn_matrices == 3:
        gate = [p.tensor("ffn.gated", (tokens, wide))]
        ops.append(p.linear("ffn.gate", "ffn", normed, gate[0], (tokens, wide, h), bias=m.ffn_bias))
    ops.append(p.linear("ffn.up", "ffn", normed, up, (tokens, wide, h), bias=m.ffn_bias))
    act = p.vector("ffn.act", "activation", [up, *gate], [acted], (tokens, wide), m.activation)
    if gate:
        act.primitives["mul"] = act.primitives.get("mul", 0) + 1
    return [
        *ops,
        act,
        p.linear("ffn.down", "ffn", acted, down, (tokens, h, wide), bias=m.ffn_bias),
        p.vector("ffn.residual", "residual", [down, added],
                 [p.tensor("hidden.out", (tokens, h))], (tokens, h), "add"),
    ]  # fmt: skip


def _head(p: Parts, m: Transformer, s: Sequences) -> list[Op]:
    """Last norm and LM head over the sampled positions only; a pooler over the first tokens."""
    rows = s.tokens if m.encoder else s.batch
    touched = None if rows == s.tokens else rows * m.hidden
    last = Access("hidden.out", (), touched)
    ops = []
    if m.final_norm:
        normed = p.tensor("head.normed", (rows, m.hidden))
        ops.append(p.norm("final_norm", m.norm, last, normed, (rows, m.hidden)))
        last = normed
    if m.lm_head and not m.encoder:
        logits = p.tensor("logits", (rows, m.vocab))
        shared = Access("embed.table") if m.tied else None
        size = (rows, m.vocab, m.hidden)
        ops.append(p.linear("lm_head", "lm_head", last, logits, size, weight=shared))
    if m.pooler:
        first = Access(last.tensor, (), s.batch * m.hidden)
        pooled = p.tensor("pooled", (s.batch, m.hidden))
        size = (s.batch, m.hidden, m.hidden)
        ops.append(p.linear("pooler", "lm_head", first, pooled, size, bias=True))
    return ops
