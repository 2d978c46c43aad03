"""What a device of a partition holds: its sequences, its tokens with their places, its cache.

Which slices of weights it has is in `functional_weights`.
"""

from __future__ import annotations

import zlib
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.parallel import ParallelPlan
from archsim.parallel.dealt import deals, experts_at
from archsim.parallel.expert import Routes, routes_of
from archsim.parallel.experts import loads
from archsim.parallel.gathered import REST
from archsim.parallel.shape import Shape
from archsim.parallel.tensor_columns import leads
from archsim.testing.functional_attention import Floats

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
    def led(self) -> bool:
        """Whether the first device of the tensor axis has all but columns of weights."""
        return leads(self.plan)

    @property
    def follows(self) -> bool:
        """Whether it is one of the others."""
        return self.led and self.tensor > 0

    @property
    def key_heads(self) -> int:
        """Heads of keys that the device attends with."""
        heads = self.model.shape.kv_heads
        if self.plan.attention == "batch" or self.led:
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
        return 0 if self.led else (self.yz if self.plan.layout == "2d" else self.tensor) * held

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
        elif self.ways > 1 and not self.led:
            first = self.tensor * gcd(kv, self.ways) // self.ways * held
        return whole[mine][:, self.seen][:, :, first : first + held]

    def held(self, op: Op) -> list[int]:
        """Experts that the device has."""
        experts = self.model.shape.experts
        if self.deals:
            return list(experts_at(self.plan, experts, (self._at("expert"), self._at("tensor"))))
        if self.plan.expert == 1:
            return list(range(experts))
        n = experts // self.plan.expert
        own = list(range(self._at("expert") * n, (self._at("expert") + 1) * n))
        routes = self.model.routes
        assert routes is not None
        del op
        return own + sorted(routes.local - set(own))

    @property
    def expert(self) -> int:
        """Where the device is along the expert axis."""
        return self._at("expert")

    @property
    def deals(self) -> bool:
        """Whether the device has experts of its own along the tensor axis."""
        return deals(self.plan, self.model.shape)

    def rows_of_experts(self, device: int) -> list[int]:
        """Rows of the undivided permutation that a place of the expert axis gives and gets back."""
        model, ways = self.model, self.plan.expert
        rows = range(device, len(model.chosen), ways)
        if not self.deals:
            return list(rows)
        experts, tensor = model.shape.experts, self._at("tensor")
        mine = {e for i in range(ways) for e in experts_at(self.plan, experts, (i, tensor))}
        return [j for j in rows if model.chosen[j] in mine]

    def experts_of(self, op: Op, rows: Floats) -> list[int]:
        """The expert of each row."""
        found = [e for e, n in loads(op) for _ in range(n)]
        return found if len(found) == len(rows) else found[: len(rows)]
