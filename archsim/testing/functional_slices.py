"""What a device of a partition holds: slices of weights and caches, tokens with their places."""

from __future__ import annotations

import zlib
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archsim.ir.graph import OpGraph
from archsim.ir.op import Kind, Op
from archsim.ir.parallel import ParallelPlan
from archsim.parallel.expert import Routes, routes_of
from archsim.parallel.experts import loads
from archsim.parallel.gathered import REST
from archsim.parallel.shape import Shape
from archsim.testing.functional_attention import Floats

if TYPE_CHECKING:
    from archsim.testing.functional_devices import Device

Ints = NDArray[np.int64]


class Model:
    """Weights, tokens and cache of an undivided graph, drawn at random.

    Args:
        graph: of all devices.
        plan: under which tokens are dealt among experts.
        seed: of the draw.
    """

    def __init__(self, graph: OpGraph, plan: ParallelPlan, seed: int) -> None:
        self.graph, self.plan, self.seed, self.shape = graph, plan, seed, Shape.of(graph)
        self.ops = {op.name: op for _, op in graph.ops()}
        self.new = self.shape.tokens // self.shape.batch
        score = self.ops["attn.score"]
        self.head_dim, self.keys = score.ranks["K"], score.ranks["N"]
        self.ids: Ints = self._rng("ids").integers(0, self._words(), self.shape.tokens)
        self.targets: Ints = self._rng("targets").integers(0, self._words(), self.shape.tokens)
        self.given: dict[str, Floats] = {}
        moe = self.ops.get("moe.down")
        self.top = sum(n for _, n in loads(moe)) // self.shape.tokens if moe else 0
        self.routes: Routes | None = routes_of(moe, plan, self.shape.experts) if moe else None
        self.chosen = [e for e, n in loads(moe) for _ in range(n)] if moe else []

    def _words(self) -> int:
        return self.graph.tensors["embed.table"].shape[0]

    def _rng(self, name: str, at: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.seed, zlib.crc32(name.encode()), at])

    def op(self, name: str) -> Op:
        """The op of the undivided graph that one of a device is a share of."""
        while name not in self.ops:
            name = name.rpartition(".")[0]
        return self.ops[name]

    def weight(self, name: str, at: int) -> Floats:
        """A weight in one iteration of its block, or its gradient where such are given."""
        if self.given:
            return np.asarray(self.given[name][at])
        shape = self.graph.tensors[name].shape
        scale = 0.5 if name.endswith(("scale", "bias")) else shape[-2 % len(shape)] ** -0.5
        found: Floats = self._rng(name, at).normal(size=shape) * scale
        return found

    def cache(self, name: str, at: int) -> Floats:
        """Cached keys or values before the step: sequences x tokens x heads x width."""
        size = (self.shape.batch, self.keys, self.shape.kv_heads, self.head_dim)
        return np.asarray(self._rng(name, at).normal(size=size))

    def rows(self, place: Place) -> Any:
        """Rows of the result that a device should have."""
        if self.shape.vocab:
            return place.sequences
        rows = place.sequences[:, None] * self.new + (place.tokens - (self.keys - self.new))
        return rows.ravel()


class Place:
    """Where a device stands, and what follows.

    Attributes:
        sequences: that it has.
        tokens: places of its tokens in each of them.
        seen: places of the tokens whose keys its cache has.
        ids: words of its tokens.
        targets: the words that should follow them.
        newest: whether a decode step's key is kept here.
        has_last: whether it has the last token of its sequences, if it takes one.
    """

    def __init__(self, plan: ParallelPlan, number: int, model: Model) -> None:
        self.plan, self.number, self.model = plan, number, model
        at, s = self._at, model.shape
        self.x = self.yz = 0
        if plan.layout == "2d":
            self.x, self.yz = at("tensor.x"), at("tensor.yz")
        part = plan.layout.removeprefix("gathered_") if plan.layout.startswith("g") else ""
        self.gather = at(f"tensor.{part}") if part else 0
        self.gathers = plan.ways(f"tensor.{part}") if part else 1
        rest = REST.get(plan.layout)
        axis = "tensor" if rest is None else f"tensor.{rest}"
        self.ways = 1 if rest == "" else plan.ways(axis)
        self.tensor = 0 if rest == "" else at(axis)
        steps = [(plan.data * (plan.microbatches or 1), at("data")), (plan.expert, at("expert")),
                 (self.gathers, self.gather)]  # fmt: skip
        size, first = s.batch, 0
        for ways, index in steps:
            size //= ways
            first += index * size
        self.sequences: Ints = np.arange(first, first + size)
        self.batch, c, j = size, plan.context, at("context")
        before, decodes = model.keys - model.new, model.new == 1
        new: Ints = np.arange(model.new)
        own = new
        if c > 1 and not decodes:
            striped = plan.context_kind == "striped"
            own = new[j::c] if striped else new.reshape(c, -1)[j]
        self.tokens = before + own
        if decodes:
            self.seen = np.arange(model.keys).reshape(c, -1)[j]
        else:
            old = np.arange(before).reshape(c, -1)[j] if before else np.arange(0)
            self.seen = np.concatenate([old, self.tokens])
        rows = self.sequences[:, None] * model.new + own
        self.ids, self.targets = model.ids[rows.ravel()], model.targets[rows.ravel()]
        self.newest = not decodes or j == c - 1
        self.has_last = decodes or not s.vocab or j == c - 1

    def _at(self, axis: str) -> int:
        group = next(g for g in self.plan.groups(axis) if self.number in g)
        return group.index(self.number)

    @property
    def key_heads(self) -> int:
        """Heads of keys that the device attends with."""
        heads = self.model.shape.kv_heads
        if self.plan.attention == "batch":
            return heads
        return heads // gcd(heads, self.ways)

    def attending(self, problems: int) -> int:
        """Sequences of so many problems."""
        return problems // self.key_heads

    def heads(self, width: int) -> tuple[int, int]:
        """Heads of so many features, and the width of each."""
        return width // self.model.head_dim, self.model.head_dim

    def words(self, held: int) -> int:
        """The first word of the device's part of the token table."""
        return (self.yz if self.plan.layout == "2d" else self.tensor) * held

    def turned(self, x: Floats, *, back: bool = False) -> Floats:
        """Rotated by the places of tokens, or back."""
        pairs = x.reshape(len(x), -1, self.model.head_dim // 2, 2)
        places = np.tile(self.tokens, len(x) // len(self.tokens))
        rate = 100.0 ** -(np.arange(pairs.shape[2]) / pairs.shape[2])
        angle = (places[:, None] * rate)[:, None, :]
        c, s = np.cos(angle), np.sin(-angle if back else angle)
        a, b = pairs[..., 0], pairs[..., 1]
        return np.stack([c * a - s * b, s * a + c * b], axis=3).reshape(x.shape)

    def cache(self, name: str, at: int) -> Floats:
        """The device's part of the cache: sequences x tokens x heads x width."""
        whole = self.model.cache(name, at)
        mine = self.sequences
        kv, held = self.model.shape.kv_heads, self.key_heads
        first = 0
        if self.plan.attention == "batch" and self.ways > 1:
            mine = np.array_split(mine, self.ways)[self.tensor]
        elif self.ways > 1:
            first = self.tensor * gcd(kv, self.ways) // self.ways * held
        return whole[mine][:, self.seen][:, :, first : first + held]

    def held(self, op: Op) -> list[int]:
        """Experts that the device has."""
        experts = self.model.shape.experts
        if self.plan.expert == 1:
            return list(range(experts))
        n = experts // self.plan.expert
        own = list(range(self._at("expert") * n, (self._at("expert") + 1) * n))
        routes = self.model.routes
        assert routes is not None
        del op
        return own + sorted(routes.local - set(own))

    def experts_of(self, op: Op, rows: Floats) -> list[int]:
        """The expert of each row."""
        found = [e for e, n in loads(op) for _ in range(n)]
        return found if len(found) == len(rows) else found[: len(rows)]


def weight_of(device: Device, op: Op, name: str) -> Floats:
    """A device's part of a weight, as an op reads it."""
    model, place = device.model, device.place
    whole_op = model.op(op.name)
    base, columns = name, None
    if name not in model.graph.tensors:
        part = name.split(".")[-2]
        base = name.replace(f".{part}.", ".")
        columns = _segments(model, whole_op)[part]
    found = model.weight(base, device.at)
    if columns:
        found = found[..., columns[0] : columns[1]]
    if op.kind is Kind.COLLECTIVE:  # stored in slices, to be gathered
        size = device.graph.tensors[f"{name}.gathered"].shape
        found = _cut(device, _user(device, name), name, found, size)
        return _block(found, 0, device.graph.tensors[name].shape[0], place.gather)
    size = device.graph.tensors[name].shape
    if op.op_class == "moe_expert":
        found = found[place.held(op)]
    return _cut(device, op, name, found, size)


def _user(device: Device, name: str) -> Op:
    """The op that reads a gathered weight."""
    whole = f"{name}.gathered"
    return next(
        op for _, op in device.graph.ops() if any(a.tensor == whole for a in op.reads)
    )  # fmt: skip


def _segments(model: Model, op: Op) -> dict[str, tuple[int, int]]:
    """Columns of each result of a fused product."""
    found, at = {}, 0
    for access in op.writes:
        width = model.graph.tensors[access.tensor].elements // op.ranks["M"]
        found[access.tensor.rpartition(".")[2]] = (at, at + width)
        at += width
    return found


def _cut(device: Device, op: Op, name: str, value: Floats, size: tuple[int, ...]) -> Floats:
    """Slices of a weight along each dimension of which the device has a part."""
    if len(op.writes) > 1 and value.shape[-1] != size[-1]:
        return _heads(device, op, value)
    access = next(a for a in op.reads if a.tensor.removesuffix(".gathered") == name)
    for i, (have, want) in enumerate(zip(value.shape, size, strict=True)):
        if have != want:
            rank = access.dims[i].terms[0][0] if access.dims else "BKN"[i]
            value = _block(value, i, want, _index(device, op, rank, have, want))
    return value


def _heads(device: Device, op: Op, value: Floats) -> Floats:
    """Whole heads of each part of a fused matrix."""
    parts = []
    spans = _segments(device.model, device.model.op(op.name)).values()
    for access, (start, end) in zip(op.writes, spans, strict=True):
        wide = device.graph.tensors[access.tensor].elements // op.ranks["M"]
        index = _index(device, op, "N", end - start, wide)
        parts.append(value[..., start + index * wide : start + (index + 1) * wide])
    return np.concatenate(parts, axis=-1)


def _index(device: Device, op: Op, rank: str, have: int, want: int) -> int:
    """Which of the slices of a rank is the device's."""
    place = device.place
    ways = -(-have // want)
    if place.plan.layout != "2d":
        return place.tensor * ways // place.ways
    x, yz = place.plan.ways("tensor.x"), place.plan.ways("tensor.yz")
    if op.kind is Kind.GEMM and ways != x * yz:
        back = op.op_class == "out_proj" or op.name.endswith("down")
        return place.yz if (rank == "K") == back else place.x
    if op.kind is Kind.GATHER:
        return place.yz if want * yz >= have and rank == "B" else place.x
    return place.x * yz + place.yz  # of the residual stream


def _block(value: Floats, axis: int, size: int, index: int) -> Floats:
    """A slice along an axis, filled up with zeros where the last one is short."""
    part = np.take(value, np.arange(index * size, min((index + 1) * size, value.shape[axis])), axis)
    short = size - part.shape[axis]
    if short:
        pad = [(0, short if i == axis else 0) for i in range(value.ndim)]
        part = np.pad(part, pad)
    return part


def slots(model: Model, ways: int) -> list[tuple[int, int]]:
    """(token, which of its experts) of each row of the undivided permutation."""
    share, top = model.shape.tokens // ways, model.top
    return [
        ((j % ways) * share + j // ways // top, (j // ways) % top)
        for j in range(model.shape.tokens * top)
    ]
