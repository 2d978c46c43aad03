"""How devices of an axis hold a tensor, and the rewriting of a graph that keeps count of it.

A pass walks the ops of a graph and says how each is divided; where an op wants a tensor in another
way than it is held, the collective that turns one into the other is inserted here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from fractions import Fraction
from math import prod

from archsim.ir.collective import Collective, Pattern
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Dim, Kind, Op, dims
from archsim.ir.tensor import Role, Tensor


class Held(StrEnum):
    """What a device of the axis has of a tensor."""

    WHOLE = "whole"  # all of it
    COLUMNS = "columns"  # some of its heads or features
    ROWS = "rows"  # some of its tokens or sequences
    PARTIAL = "partial"  # a term of a sum over the devices, of the whole size


TURNS: dict[tuple[Held, Held], tuple[Pattern, str]] = {
    (Held.PARTIAL, Held.WHOLE): ("all_reduce", "reduced"),
    (Held.PARTIAL, Held.ROWS): ("reduce_scatter", "scattered"),
    (Held.PARTIAL, Held.COLUMNS): ("reduce_scatter", "scattered"),
    (Held.ROWS, Held.WHOLE): ("all_gather", "gathered"),
    (Held.COLUMNS, Held.WHOLE): ("all_gather", "gathered"),
    (Held.COLUMNS, Held.ROWS): ("all_to_all", "dealt"),
    (Held.ROWS, Held.COLUMNS): ("all_to_all", "dealt"),
}


class Rewrite:
    """A graph while one axis is applied to it.

    Args:
        graph: before.
        axis: its name.
        ways: devices along it.
    """

    def __init__(self, graph: OpGraph, axis: str, ways: int) -> None:
        self.graph, self.axis, self.ways = graph, axis, ways
        self.before = graph.tensors
        self.tensors: dict[str, Tensor] = {}
        self.held: dict[str, Held] = {}
        self.out: list[Op] = []
        self._turned: dict[tuple[str, Held], str] = {}
        self._makers: dict[str, str] = {}

    def blocks(self) -> Iterable[Block]:
        """Blocks of the graph; what is emitted meanwhile becomes the block's ops."""
        for block in self.graph.blocks:
            self._turned.clear()
            self._makers = {a.tensor: op.name for op in block.ops for a in op.writes}
            self.out = []
            yield block

    def put(self, name: str, held: Held, shape: Iterable[int] | None = None) -> None:
        """Say how a tensor of the graph is held, and the shape of a device's part."""
        tensor = self.before[name]
        found = replace(tensor, shape=tuple(shape)) if shape is not None else tensor
        self.tensors.setdefault(name, found)
        self.held.setdefault(name, held)

    def of(self, name: str) -> Held:
        """How a tensor is held; one that nobody has spoken of is whole."""
        return self.held.get(name, Held.WHOLE)

    def local(self, name: str) -> Tensor:
        """A device's part of a tensor."""
        return self.tensors.get(name) or self.before[name]

    def ratio(self, name: str) -> Fraction:
        """Elements of the whole tensor over those of a device's part."""
        return Fraction(self.before[name].elements, self.local(name).elements)

    def part(self, access: Access, ratio: Fraction | int | None = None) -> Access:
        """An access to a device's part, which touches its share of what the whole op touches."""
        if access.touched is None:
            return access
        ratio = self.ratio(access.tensor) if ratio is None else ratio
        touched = -(-access.touched // Fraction(ratio))
        size = self.local(access.tensor).elements
        return replace(access, touched=None if touched >= size else int(touched))

    def want(self, access: Access, held: Held) -> Access:
        """An access to a tensor held in a certain way, which may take a collective first."""
        now = self.of(access.tensor)
        if now is held:
            return self.part(access)
        if now is Held.WHOLE:  # each device takes its own of what all have
            touched = access.touched or self.before[access.tensor].elements
            return Access(access.tensor, (), -(-touched // self.ways))
        key = (access.tensor, held)
        if key not in self._turned:
            self._turned[key] = self.turn(access.tensor, held)
        return replace(access, tensor=self._turned[key])

    def turn(self, name: str, held: Held, axis: str = "", ways: int = 0) -> str:
        """Emit the collective that makes a tensor held in another way; the name of its result."""
        pattern, suffix = TURNS[self.of(name), held]
        whole, local = self.before[name], self.local(name)
        shape = self.row_shape(whole) if held is Held.ROWS else whole.shape
        if held is Held.COLUMNS:
            shape = (*whole.shape[:-1], whole.shape[-1] // self.ways)
        result = passing(whole, f"{name}.{suffix}", tuple(shape))
        self.before = {**self.before, result.name: replace(whole, name=result.name)}
        self.tensors[result.name], self.held[result.name] = result, held
        # what is exchanged, as NCCL counts it: all that a device holds in an all-to-all
        size = local.bytes if pattern == "all_to_all" else whole.bytes
        width = (local if pattern == "all_to_all" else whole).shape[-1]
        elements = local.elements if pattern == "all_to_all" else whole.elements
        self.exchange(
            f"{self._makers.get(name, name)}.{pattern}", pattern, (name, result.name),
            (elements // width, width), size, axis, ways,
        )  # fmt: skip
        return result.name

    def exchange(
        self,
        name: str,
        pattern: Pattern,
        ends: tuple[str, str],
        size: tuple[int, ...],
        size_bytes: int,
        axis: str = "",
        ways: int = 0,
        peer: int = 0,
    ) -> None:
        """Emit a collective from one tensor to another."""
        axis, ways = axis or self.axis, ways or self.ways
        self.out.append(exchange(name, pattern, ends, size, axis, ways, size_bytes, peer=peer))

    def row_shape(self, tensor: Tensor) -> tuple[int, ...]:
        """Shape of a device's rows."""
        return -(-tensor.shape[0] // self.ways), *tensor.shape[1:]

    def split_weight(self, access: Access, rank: str, size: int, dim: int | None = None) -> Access:
        """An access to a device's part of a weight, along the dimension of a rank.

        Args:
            access: to the whole.
            rank: that is divided.
            size: what is left of it.
            dim: which dimension, where the access does not say.
        """
        weight = self.before[access.tensor]
        found = [i for i, d in enumerate(access.dims) if (rank, 1) in d.terms]
        at = found[0] if found else dim
        if at is None:
            return access
        shape = (*weight.shape[:at], size, *weight.shape[at + 1 :])
        self.put(access.tensor, Held.COLUMNS, shape)
        return self.part(access)

    def finish(self, blocks: Iterable[Block]) -> OpGraph:
        """The graph of one device."""
        made = tuple(blocks)
        names = {a.tensor for block in made for op in block.ops for a in (*op.reads, *op.writes)}
        names |= {name for block in made for pair in block.carry for name in pair}
        known = {**self.before, **self.tensors}
        tensors = {name: known[name] for name in known if name in names}
        return with_facts(replace(self.graph, blocks=made, tensors=tensors))


def exchange(
    name: str,
    pattern: Pattern,
    ends: tuple[str, str],
    size: tuple[int, ...],
    axis: str,
    ways: int,
    size_bytes: int,
    *,
    peer: int = 0,
    sent: tuple[int, ...] = (),
) -> Op:
    """A collective as an op: from a tensor to another, of rows x width."""
    found = Collective(pattern, axis, ways, size_bytes, sent_bytes=sent, peer=peer)
    reads, writes = (Access(end) for end in ends)
    op_class = f"comm_{axis.partition('.')[0]}"
    ranks = {"M": size[0], "N": size[1]}
    return Op(name, Kind.COLLECTIVE, op_class, ranks, (reads,), (writes,), collective=found)


def passing(like: Tensor, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
    """A tensor of a device that nobody keeps for a backward pass."""
    role = Role.ACTIVATION if like.role is Role.SAVED else like.role
    return replace(like, name=name, shape=like.shape if shape is None else shape, role=role)


def with_facts(graph: OpGraph) -> OpGraph:
    """A graph whose facts that are sums over its ops are its own."""
    facts = dict(graph.facts)
    if "macs" in facts:
        facts |= {
            "macs": graph.macs(),
            "weight_bytes": graph.stored_bytes(Role.WEIGHT),
            "kv_cache_bytes": graph.stored_bytes(Role.KV_CACHE),
        }
    return replace(graph, facts=facts)


def restacked(accesses: Iterable[Access], widths: Iterable[int]) -> tuple[Access, ...]:
    """Accesses to tensors side by side along N, moved to where narrower ones stand."""
    found, before = [], 0
    for access, width in zip(accesses, widths, strict=True):
        if len(access.dims) == 2 and access.dims[1].terms == (("N", 1),):
            access = replace(access, dims=(*dims("M"), Dim((("N", 1),), -before)))  # noqa: PLW2901
        found.append(access)
        before += width
    return tuple(found)


def scaled_groups(op: Op, count: Fraction | int, **extents: Fraction | int) -> Op:
    """An op whose ragged cases are fewer, or smaller in some ranks."""
    groups = tuple(
        replace(
            group,
            count=whole(group.count / Fraction(count)),
            extents=tuple((r, whole(n / Fraction(extents.get(r, 1)))) for r, n in group.extents),
        )
        for group in op.groups
    )
    return replace(op, groups=groups)


def whole(number: Fraction | int) -> int:
    """A number that must be whole.

    Raises:
        ArithmeticError: where it is not: a plan was let through that does not divide the graph.
    """
    if Fraction(number).denominator != 1:
        raise ArithmeticError(f"{number} is not whole")
    return int(number)


def elements(shape: Iterable[int]) -> int:
    """Elements of a shape."""
    return prod(shape)
