"""A share of the sequences or tokens of an op: what it reads, writes and computes for them alone.

Sequences that differ are dealt out in order of their length, each turn the other way round. How
tokens of experts are dealt is in `expert`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from archsim.ir.op import Access, Group, Op
from archsim.ir.tensor import Role, Tensor


def row_op(
    op: Op, tensors: Mapping[str, Tensor], ways: int, index: int, batch: int
) -> tuple[Op, dict[str, tuple[int, ...]]]:
    """A device's share of an op, and shapes of its shares of the tensors.

    Args:
        op: of all sequences; weights are read whole.
        tensors: by name.
        ways: devices.
        index: which of them.
        batch: sequences; tokens are dealt out alike where it does not count them.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    groups, share = _dealt(op, ways, index, batch)
    rank = row_rank(op, tensors)
    found = replace(op, groups=groups)
    size = sum(g.count for g in groups) if groups else -(-op.ranks[rank] // ways)
    found = replace(found, ranks={**op.ranks, rank: size})
    if op.collective is not None:
        sent = tuple(-(-n // ways) for n in op.collective.sent_bytes)
        few = replace(
            op.collective, size_bytes=-(-op.collective.size_bytes // ways), sent_bytes=sent
        )
        found = replace(found, collective=few)
    if groups:
        most = {r: max(dict(g.extents)[r] for g in groups) for r, _ in groups[0].extents}
        found = replace(found, ranks={**found.ranks, **most})
    for access in (*op.reads, *op.writes):
        tensor = tensors[access.tensor]
        if tensor.role not in STORED:
            shapes[tensor.name] = row_shape(tensor, ways, share if is_long(op, access) else None)
    reads, writes = (
        tuple(_part(a, op, tensors, shapes, ways, share) for a in side)
        for side in (op.reads, op.writes)
    )
    return replace(found, reads=reads, writes=writes), shapes


STORED = (Role.WEIGHT, Role.GRADIENT, Role.OPTIMIZER)  # what all sequences share


def row_shape(tensor: Tensor, ways: int, share: Fraction | None = None) -> tuple[int, ...]:
    """Shape of a share of a tensor's rows; of ragged ones, by the tokens that they attend to."""
    at = 1 if tensor.name.endswith("attn.partial") else 0  # two results a row come first there
    rows = tensor.shape[at]
    size = -(-rows // ways) if share is None else -(-rows * share.numerator // share.denominator)
    return (*tensor.shape[:at], size, *tensor.shape[at + 1 :])


def row_rank(op: Op, tensors: Mapping[str, Tensor]) -> str:
    """The rank that counts tokens or sequences."""
    if not op.is_mac:
        return "M"
    of_weights = {
        rank for a in op.reads if tensors[a.tensor].role in STORED for rank in a.ranks
    }  # fmt: skip
    source = op.reads[0]
    first = [rank for rank, _ in source.dims[0].terms] if source.dims else ["B"]
    for rank in (*first, "M"):
        if rank not in of_weights and op.ranks[rank] > 1:
            return rank
    return "M"


def is_long(op: Op, access: Access) -> bool:
    """Whether a tensor is as long as the contexts of ragged sequences: scores and caches."""
    return bool(op.groups) and not access.tensor.endswith(("q", "mixed", "rope", "q_joined"))


def _dealt(op: Op, ways: int, index: int, batch: int) -> tuple[tuple[Group, ...], Fraction | None]:
    """Ragged cases of a share, and its part of all that they attend to."""
    if not op.groups:
        return (), None
    count = sum(g.count for g in op.groups)
    problems = max(1, count // batch)
    places = [i for i, g in enumerate(op.groups) for _ in range(g.count // problems)]
    mine = [g for i, g in enumerate(places) if _turn(i, ways) == index]
    groups = tuple(
        replace(g, count=problems * mine.count(i)) for i, g in enumerate(op.groups) if i in mine
    )

    def points(of: tuple[Group, ...]) -> int:
        return sum(g.count * g.extents[-1][1] for g in of)

    return groups, Fraction(points(groups), points(op.groups))


def _turn(i: int, ways: int) -> int:
    """Who gets the i-th: there and back again."""
    turn, place = divmod(i, ways)
    return ways - 1 - place if turn % 2 else place


def _part(
    access: Access,
    op: Op,
    tensors: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    ways: int,
    share: Fraction | None,
) -> Access:
    tensor = tensors[access.tensor]
    if access.touched is None:
        return access
    if tensor.role in STORED:
        if op.op_class != "embedding" or op.is_mac or tensor.name.startswith(FEW):
            return access
        width = tensor.shape[-1]  # rows of a table: as many as there are tokens
        return replace(access, touched=-(-access.touched // width // ways) * width)
    size = share if share is not None and is_long(op, access) else Fraction(1, ways)
    touched = -(-access.touched * size.numerator // size.denominator)
    whole = replace(tensor, shape=shapes[tensor.name]).elements
    return replace(access, touched=None if touched >= whole else touched)


FEW = ("positions", "token_types")  # tables whose rows all sequences share
