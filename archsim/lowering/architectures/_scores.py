"""Scores, softmax and values: the three ops of any attention, over queries and a cache in place."""

from __future__ import annotations

from dataclasses import replace

from archsim.ir.op import Access, Group, Op
from archsim.lowering.parts import Parts
from archsim.lowering.phase import Sequences


def attend(
    p: Parts,
    s: Sequences,
    operands: tuple[Access, Access, Access],
    results: tuple[Access, Access, Access],
    *,
    problems: int,
    rows: int,
    widths: tuple[int, int],
    causal: bool,
    reach: int | None = None,
    reads: tuple[Access, ...] = (),
    forms: tuple[str, ...] = (),
) -> list[Op]:
    """The ops of attention for all sequences.

    Args:
        p: where tensors go.
        s: the sequences.
        operands: queries, keys and values.
        results: scores, shares and what is mixed of the values.
        problems: for each sequence, such as its key heads.
        rows: of one problem for each query position, such as the query heads that share a key head.
        widths: of a query, and of a value.
        causal: a query sees no later keys.
        reach: most keys that a query sees.
        reads: further operands of the softmax.
        forms: what the softmax does beside it at each point.
    """
    queries, keys, values = operands
    scores, shares, mixed = results
    count, high, seen = s.batch * problems, rows * s.new, s.longest
    forms = ("softmax", "mask", *forms) if causal or reach else ("softmax", *forms)
    ops = [
        p.batched(
            "attn.score", "attention_score", (queries, keys, scores),
            (count, high, seen, widths[0]), groups=groups(s, problems, "N"), causal=causal,
        ),
        p.vector(
            "attn.softmax", "softmax", [scores, *reads], [shares], (count * high, seen), *forms,
            groups=groups(s, problems * high, "N"), causal=causal,
        ),
        p.batched(
            "attn.value", "attention_value", (shares, values, mixed),
            (count, high, widths[1], seen), groups=groups(s, problems, "K"), causal=causal,
        ),
    ]  # fmt: skip
    return [replace(op, queries=s.new, reach=reach) for op in ops]


def groups(s: Sequences, per_sequence: int, rank: str) -> tuple[Group, ...]:
    """`per_sequence` problems a sequence, with the tokens attended as the extent of a rank."""
    if not s.ragged:
        return ()
    return tuple(Group(per_sequence * n, ((rank, length),)) for length, n in s.lengths)
