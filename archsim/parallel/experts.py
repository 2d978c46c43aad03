"""Tokens and experts of a ragged product, dealt out: by token, or by whole expert."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from archsim.ir.op import Access, Group, Op
from archsim.ir.tensor import Role, Tensor


def loads(op: Op) -> list[tuple[int, int]]:
    """(expert, tokens) of a product over experts, in its order."""
    assert op.picks is not None
    counts = [dict(g.extents)["M"] for g in op.groups for _ in range(g.count)]
    return list(zip(op.picks.items, counts, strict=True))


def dealt_tokens(op: Op, tensors: Mapping[str, Tensor], ways: int, index: int) -> Op:
    """A product for every so manieth token, in the order of its experts."""
    mine: dict[int, int] = {}
    before = 0
    for expert, tokens in loads(op):
        # slots before .. before + tokens - 1; mine are those that leave `index`
        mine[expert] = (before + tokens - 1 - index) // ways - (before - 1 - index) // ways
        before += tokens
    return with_loads(op, tensors, mine.items())


def with_loads(
    op: Op, tensors: Mapping[str, Tensor], found: Iterable[tuple[int, int]], held: int = 0
) -> Op:
    """A product over other experts, or for other numbers of tokens.

    Args:
        op: of all.
        tensors: by name.
        found: (expert, tokens); those without any are left out.
        held: experts that the device has; 0 for all.
    """
    busy = sorted(((n, e) for e, n in found if n), key=lambda pair: (-pair[0], pair[1]))
    if not busy:  # a device without tokens: one row, so that the op stays
        busy = [(1, op.picks.items[0] if op.picks else 0)]
    counts = Counter(n for n, _ in busy)
    groups = tuple(Group(n, (("M", rows),)) for rows, n in sorted(counts.items(), reverse=True))
    assert op.picks is not None
    picks = replace(op.picks, items=tuple(e for _, e in busy))

    def part(access: Access) -> Access:
        tensor = tensors[access.tensor]
        if tensor.role is not Role.WEIGHT:
            return access
        experts = held or tensor.shape[0]
        touched = len(busy) * (tensor.elements // tensor.shape[0])
        whole = experts * (tensor.elements // tensor.shape[0])
        return replace(access, touched=None if touched >= whole else touched)

    ranks = {**op.ranks, "B": len(busy), "M": busy[0][0]}
    reads = tuple(part(a) for a in op.reads)
    return replace(op, ranks=ranks, reads=reads, groups=groups, picks=picks)
