"""The ops of an attention line: rotation and append where asked for, scores, softmax, values."""

from __future__ import annotations

from dataclasses import replace

from archsim.ir.op import Access, Op, dims
from archsim.ir.tensor import DTYPES, Role, Tensor
from archsim.lowering.architectures._graph_lines import AttentionLine
from archsim.lowering.parts import Parts


def attention(p: Parts, line: AttentionLine) -> list[Op]:
    """From the source to `<name>.out`; query heads that share keys are rows of one product."""
    name, op_class = line.name, line.op_class or "attention"
    problems, rows = line.batch * line.key_heads, line.heads // line.key_heads * line.queries
    context, dim = line.attended, line.head_dim
    keys = _held(p, line, "keys")
    values = keys if line.shared_kv else _held(p, line, "values")
    shape = (problems, rows, dim)
    ops: list[Op] = []
    if line.append:
        queries = _typed(p, f"{name}.queries", shape)
        ops.append(_append(p, line, queries, list(dict.fromkeys((keys, values)))))
    elif line.sources:
        queries = Access(f"{line.sources[0]}.out")
    else:
        queries = _typed(p, f"{name}.in", shape)
    scores, shares = (
        p.tensor(f"{name}.{n}", (problems, rows, context)) for n in ("scores", "shares")
    )
    out = p.tensor(f"{name}.out", (line.batch * line.queries, line.heads * dim))
    causal = line.causal and line.queries > 1
    forms = ("softmax", "mask") if causal else ("softmax",)
    ops += [
        p.batched(
            f"{name}.score", f"{op_class}_score",
            (queries, Access(keys.tensor, dims("B", "N", "K")), scores),
            (problems, rows, context, dim), causal=causal,
        ),
        p.vector(
            f"{name}.softmax", "softmax", [scores], [shares], (problems * rows, context), *forms,
            causal=causal,
        ),
        p.batched(
            f"{name}.value", f"{op_class}_value", (shares, values, out),
            (problems, rows, dim, context), causal=causal,
        ),
    ]  # fmt: skip
    seen = [replace(op, queries=line.queries, reach=line.window) for op in ops[-3:]]
    return [*ops[:-3], *seen]


def _held(p: Parts, line: AttentionLine, what: str) -> Access:
    """Keys or values of all tokens attended, in the cache or given as plain data of its type."""
    name = f"{line.name}.{what}"
    shape = (line.batch * line.key_heads, line.attended, line.head_dim)
    if line.kv == "cache":
        return p.tensor(name, shape, Role.KV_CACHE)
    p.tensors[name] = Tensor(name, shape, p.dtypes.of(Role.KV_CACHE), Role.ACTIVATION)
    return Access(name)


def _typed(p: Parts, name: str, shape: tuple[int, ...]) -> Access:
    """Queries: of the type that keys are multiplied in where that is narrower, as MMAs want it."""
    own, other = p.dtypes.of(Role.ACTIVATION), p.dtypes.of(Role.KV_CACHE).computes_as
    narrow = DTYPES.get(other, own)
    p.tensors[name] = Tensor(
        name, shape, narrow if narrow.bits < own.bits else own, Role.ACTIVATION
    )
    return Access(name)


def _append(p: Parts, line: AttentionLine, queries: Access, caches: list[Access]) -> Op:
    """New queries and keys rotated, new keys and values written to the cache, as one op."""
    tokens, dim, kv = line.batch * line.queries, line.head_dim, line.key_heads
    wide = (line.heads + 2 * kv) * dim
    if line.sources:
        source = Access(f"{line.sources[0]}.out")
    else:
        source = p.tensor(f"{line.name}.in", (tokens, wide))
    writes = [queries, *(Access(c.tensor, (), tokens * kv * dim) for c in caches)]
    return p.vector(f"{line.name}.append", "kv_append", [source], writes, (tokens, wide), "rope")
