"""Scores, softmax and values: the three ops of any attention, over queries and a cache in place.

Where only some blocks are scored, rows of blocks with equally many are alike problems. Where
sequences share a prefix, its keys meet the queries of all of them in one product, and what both
parts of the context yield is joined (Juravsky et al., Hydragen, 2024). Where tokens are chosen
first, ops that choose stand before (as in Ribar et al., SparQ Attention, 2024).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from archsim.ir.op import Access, Group, Op
from archsim.ir.tensor import Role
from archsim.lowering.parts import Parts
from archsim.lowering.sequences import Sequences

# Of partial results a and b with their rows' maxima and sums: m = max(m_a, m_b), c = exp(m_x - m),
# out = (c_a sum_a a + c_b sum_b b) / (c_a sum_a + c_b sum_b)
JOIN_POINT = {"mul": 2, "add": 1}
JOIN_ROW = {"max": 1, "add": 3, "exp": 2, "mul": 4, "div": 1}


def attend(
    p: Parts,
    s: Sequences,
    operands: tuple[Access, Access, Access],
    out: Access,
    *,
    problems: int,
    rows: int,
    widths: tuple[int, int],
    causal: bool,
    reach: int | None = None,
    reads: tuple[Access, ...] = (),
    forms: tuple[str, ...] = (),
) -> list[Op]:
    """The ops of attention for all sequences of a part.

    Args:
        p: where tensors go.
        s: the sequences.
        operands: queries, keys and values.
        out: what is mixed of the values.
        problems: for each sequence, such as its key heads.
        rows: of one problem for each query position, such as the query heads that share a key head.
        widths: of a query, and of a value.
        causal: a query sees no later keys.
        reach: most keys that a query sees.
        reads: further operands of the softmax.
        forms: what the softmax does beside it at each point.
    """
    queries, keys, values = operands
    blocks = s.masked_blocks
    high, at = rows * (blocks.block if blocks else s.new), f"attn.{s.name}"
    cases = _cases(s, problems, high, causal=causal)
    ragged = len(cases) > 1 or blocks is not None
    count, most, seen = (
        sum(n for n, _, _ in cases), max(m for _, m, _ in cases), max(k for *_, k in cases)
    )  # fmt: skip
    points = sum(n * m * k for n, m, k in cases)
    shape = (points,) if ragged else (count, high, seen)
    scores, shares = (p.tensor(f"{at}{n}", shape) for n in ("scores", "shares"))
    forms = ("softmax", "mask", *forms) if causal or reach else ("softmax", *forms)
    mixed = out
    if s.prefix:
        mixed = p.tensor(f"{at}partial", (2, s.tokens * problems * rows, widths[1]))
    before: list[Op] = []
    product, size = (queries, keys, scores), (count, most, seen, widths[0])
    asked = blocks.block if blocks else s.new
    if p.block_diagonal and problems > 1 and not (ragged or s.prefix):
        spread, product, size = _spread(p, at, product, size, problems, rows)
        before.append(spread)
    ops = [
        p.batched(
            f"{at}score", "attention_score", product, size,
            groups=_groups(cases, "N") if ragged else (), causal=causal,
        ),
        p.vector(
            f"{at}softmax", "softmax", [scores, *reads], [shares],
            (sum(n * m for n, m, _ in cases), seen), *forms, causal=causal,
            groups=tuple(Group(n * m, (("N", k),)) for n, m, k in cases) if ragged else (),
        ),
        p.batched(
            f"{at}value", "attention_value", (shares, values, mixed),
            (count, most, widths[1], seen), groups=_groups(cases, "K") if ragged else (),
            causal=causal,
        ),
    ]  # fmt: skip
    ops = [*before, *(replace(op, queries=asked, reach=reach) for op in ops)]
    if before:
        ops[1] = replace(ops[1], repeated=rows)
    if s.prefix:
        joined = (s.tokens * problems * rows, widths[1])
        join = p.vector(f"{at}join", "softmax", [mixed], [out], joined, "mul")
        ops.append(replace(join, primitives=JOIN_POINT, row_primitives=JOIN_ROW))
    return ops


def _spread(
    p: Parts,
    at: str,
    product: tuple[Access, Access, Access],
    size: tuple[int, int, int, int],
    problems: int,
    rows: int,
) -> tuple[Op, tuple[Access, Access, Access], tuple[int, int, int, int]]:
    """The scores of all heads as one product: queries hold zeros in the channels of other heads.

    Keys that heads share are repeated for each of them. The zeros are in memory; each step writes
    what is not zero, and reads all.
    """
    (count, high, seen, width), (queries, keys, scores) = size, product
    batch, high, wide = count // problems, problems * high, problems * rows * width
    spread = p.tensor(f"{at}spread", (batch, high, wide))
    filled = Access(spread.tensor, (), batch * high * width)
    move = p.move(f"{at}spread", "kv_append", [queries], [filled], (batch * high, width))
    whole = [Access(x.tensor, (), x.touched or p.elements(x.tensor)) for x in (keys, scores)]
    return move, (spread, whole[0], whole[1]), (batch, high, seen, wide)


def choose(
    p: Parts, s: Sequences, operands: tuple[Access, Access], *, problems: int, width: int
) -> tuple[list[Op], Access]:
    """Ops that choose tokens, and which they choose: each cached key is scored at a part of it.

    The softmax reads which, as it would a mask: fused or not, attention waits for the choice there.

    Assumed, after SparQ Attention: queries that share a key head are averaged; the components that
    are read lie together in memory; the best scores are told by one comparison each.

    Args:
        p: where tensors go.
        s: the sequences.
        operands: queries and keys.
        problems: for each sequence, such as its key heads.
        width: elements of a key that are read, the tensor's last dimension at most.
    """
    queries, keys = operands
    cases = tuple((problems * n, s.new, length) for length, n in s.cached)
    ragged = len(cases) > 1
    count, seen = sum(n for n, _, _ in cases), cases[-1][2]
    points = sum(n * m * k for n, m, k in cases)
    shape = (points,) if ragged else (count, s.new, seen)
    scores = p.tensor(f"attn.{s.name}select.scores", shape)
    chosen = p.tensor(f"attn.{s.name}select.index", (problems * s.attended,), Role.INDEX)
    query = p.portion(queries, count * s.new * width)
    key = Access(keys.tensor, (), sum(n * k for n, _, k in cases) * width)
    compare = p.vector(
        f"attn.{s.name}choose", "kv_select", [scores], [chosen], (count * s.new, seen), "relu",
        groups=tuple(Group(n * m, (("N", k),)) for n, m, k in cases) if ragged else (),
    )  # fmt: skip
    ops = [
        p.batched(
            f"attn.{s.name}select", "kv_select", (query, key, scores), (count, s.new, seen, width),
            groups=_groups(cases, "N") if ragged else (),
        ),
        replace(compare, reduces=True),
    ]  # fmt: skip
    return ops, chosen


def _cases(
    s: Sequences, problems: int, high: int, *, causal: bool
) -> tuple[tuple[int, int, int], ...]:
    """Alike problems: how many, rows of each, keys of each."""
    if blocks := s.masked_blocks:
        found: Counter[int] = Counter()
        for length, n in s.contexts:
            for some, times in blocks.rows(s.new, length, causal=causal):
                found[some * blocks.block] += problems * n * times
        return tuple((n, high, keys) for keys, n in sorted(found.items()))
    own = tuple((problems * n, high, length - s.prefix) for length, n in s.lengths)
    if not s.prefix:
        return own
    return ((problems * s.groups, high * s.sharers, s.prefix), *own)


def _groups(cases: Sequence[tuple[int, int, int]], rank: str) -> tuple[Group, ...]:
    """Ragged cases of a product, with the tokens attended as the extent of a rank."""
    alike = len({m for _, m, _ in cases}) == 1
    return tuple(Group(n, ((rank, k),) if alike else (("M", m), (rank, k))) for n, m, k in cases)
