"""What surrounds attention in a Transformer: embedding, feed-forward part, head."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from archsim.ir.op import Access, Dim, Kind, Op, dims
from archsim.ir.tensor import Role
from archsim.lowering.architectures._moe import expert_ops
from archsim.lowering.parts import Parts
from archsim.lowering.sequences import Step

if TYPE_CHECKING:
    from archsim.lowering.architectures._description import Transformer


def embedding(p: Parts, m: Transformer, s: Step) -> list[Op]:
    """Rows of the token table, plus positions and token types, to `hidden`.

    No two tokens share a row of the token table: the most that a step can read of it.
    """
    size = (s.tokens, m.hidden)
    table = p.weight("embed.table", m.vocab, m.hidden)
    ids = p.tensor("ids", (s.tokens,), Role.INDEX)
    ops = _sampled(p, m, s, ids) if s.number > 1 else []
    reads = [ids, _rows(table, s.tokens, m.vocab, m.hidden)]
    here = p.tensor("embedded" if m.positions or m.token_types or m.embedding_norm else "hidden",
                    size)  # fmt: skip
    ops.append(p.vector("embed", "embedding", reads, [here], size, "gather", kind=Kind.GATHER))
    added = []
    if m.positions:
        # a prompt uses its first rows once for all sequences; a decode step one row a length
        each = (part.new if part.new > 1 else len(part.contexts) for part in s.parts)
        used = min(sum(each), m.positions)
        table = p.weight("positions.table", m.positions, m.hidden)
        added.append(_rows(table, used, m.positions, m.hidden))
    if m.token_types:
        table = p.weight("token_types.table", m.token_types, m.hidden)
        added.append(_rows(table, 1, m.token_types, m.hidden))  # one segment
    if added:
        out = p.tensor("positioned" if m.embedding_norm else "hidden", size)
        adds = ["add"] * len(added)
        ops.append(p.vector("positions", "embedding", [here, *added], [out], size, *adds))
        here = out
    if m.embedding_norm:
        ops.append(p.norm("embed_norm", m.norm, here, p.tensor("hidden", size), size))
    return ops


def _sampled(p: Parts, m: Transformer, s: Step, ids: Access) -> list[Op]:
    """The tokens that the step before has yielded: assumed greedy, the largest of the logits."""
    if not m.lm_head:
        return []
    before = replace(p, step=replace(s, number=s.number - 1).before)
    logits = before.tensor("logits", (s.batch, m.vocab))
    op = p.vector("sample", "sampling", [logits], [ids], (s.batch, m.vocab), "relu")
    return [replace(op, reduces=True)]


def _rows(table: Access, used: int, rows: int, width: int) -> Access:
    """An access that reaches so many rows of a table, or all there are."""
    return Access(table.tensor, (), used * width if used < rows else None)


def feed_forward(p: Parts, m: Transformer, s: Step, layer: int, *, moe: bool) -> list[Op]:
    """Matrices or experts and their activation, from attention's result to `hidden.out`."""
    size = (s.tokens, m.hidden)
    out, parallel = p.tensor("hidden.out", size), m.block == "parallel"
    before = p.tensor(_before(m), size)
    ops: list[Op] = []
    source = before
    if m.norm_first:
        source = p.tensor("ffn.normed" if not parallel or m.parallel_norms == 2 else "attn.normed",
                          size)  # fmt: skip
        if not parallel or m.parallel_norms == 2:
            ops.append(p.norm("ffn_norm", m.norm, before, source, size))
    lowered = p.tensor("ffn.lowered", size)
    body = (
        expert_ops(p, m, s, source, lowered, layer, s.number)
        if moe
        else _matrices(p, m, s, source, lowered)
    )
    ops += body
    if m.sandwich_norms:
        after = p.tensor("ffn.after", size)
        ops.append(p.norm("ffn_after_norm", m.norm, lowered, after, size))
        lowered = after
    added = out if m.norm_first else p.tensor("ffn.added", size)
    terms = [lowered, p.tensor("attn.projected", size), before] if parallel else [lowered, before]
    ops.append(
        p.vector("ffn.residual", "residual", terms, [added], size, *["add"] * (len(terms) - 1))
    )
    if not m.norm_first:
        ops.append(p.norm("ffn_norm", m.norm, added, out, size))
    return ops


def _before(m: Transformer) -> str:
    """The tensor that the feed-forward part adds itself to."""
    if m.block == "parallel":
        return "hidden"
    return "attn.added" if m.norm_first else "attn.normed"


def _matrices(p: Parts, m: Transformer, s: Step, source: Access, lowered: Access) -> list[Op]:
    """Up (and gate), activation, down."""
    size, inner = (s.tokens, m.hidden), (s.tokens, m.ffn)
    up, acted = p.tensor("ffn.raised", inner), p.tensor("ffn.acted", inner)
    gate = [p.tensor("ffn.gated", inner)] if m.ffn_matrices == 3 else []
    ops = [
        p.linear(f"ffn.{name}", "ffn", source, r, (*inner, m.hidden), bias=m.ffn_bias)
        for name, result in (("gate", gate), ("up", [up]))
        for r in result
    ]
    forms = (m.activation, "mul") if gate else (m.activation,)
    return [
        *ops,
        p.vector("ffn.act", "activation", [*gate, up], [acted], inner, *forms),
        p.linear("ffn.down", "ffn", acted, lowered, (*size, m.ffn), bias=m.ffn_bias),
    ]


def head(p: Parts, m: Transformer, s: Step) -> list[Op]:
    """Last norm and LM head over the sampled positions only; a pooler over the first tokens.

    The last token of each sequence is sampled, or each where a phase asks for all logits. An
    encoder's norm covers every token.
    """
    rows = s.tokens if m.encoder or s.all_logits else s.batch
    ops: list[Op] = []
    result = p.name("hidden.out")
    last = _tokens(result, s, m.hidden, "N") if rows < s.tokens else Access(result)
    if m.final_norm:
        normed = p.tensor("head.normed", (rows, m.hidden))
        ops.append(p.norm("final_norm", m.norm, last, normed, (rows, m.hidden)))
        last = normed
    elif last.dims:
        last = _tokens(result, s, m.hidden, "K")
    if m.lm_head and not m.encoder:
        logits = p.tensor("logits", (rows, m.vocab))
        tied = Access("embed.table") if m.tied else None
        size = (rows, m.vocab, m.hidden)
        ops.append(
            p.linear("lm_head", "lm_head", last, logits, size, tied=tied, bias=m.lm_head_bias)
        )
    if m.pooler:
        pooled, acted = (p.tensor(n, (s.batch, m.hidden)) for n in ("pooled", "pooled.tanh"))
        size = (s.batch, m.hidden, m.hidden)
        if rows > s.batch:
            last = _tokens(last.tensor, s, m.hidden, "K", first=True)
        ops.append(p.linear("pooler", "pooler", last, pooled, size, bias=True))
        ops.append(p.vector("pooler.act", "activation", [pooled], [acted], size[:2], "tanh"))
    return ops


def _tokens(tensor: str, s: Step, hidden: int, across: str, *, first: bool = False) -> Access:
    """One token of each sequence, the last unless `first`: rows M, `across` its width."""
    touched = s.batch * hidden
    if len(s.parts) > 1:
        return Access(tensor, (), touched)
    new = s.parts[0].new
    return Access(tensor, (Dim((("M", new),), 0 if first else new - 1), *dims(across)), touched)
