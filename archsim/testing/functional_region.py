"""Executes a region with numpy, tile by tile: each op sees only what the mapping says is there.

An op's tile `i` runs `lag + i` tiles after the start. What has not been made, stored or brought by
then is not a number, so a wrong lag, share or mask shows in the result; a buffer that would hold
more tiles than its depth is refused. For layers of one sequence of tokens: what ops compute is told
by their class, positions turn by a plain factor in place of a rotation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import LawViolation
from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.region import RegionMapping, Way
from archsim.ir.tensor import Role
from archsim.system.region_work import OpWork

Array = NDArray[np.float64]
Rows = NDArray[np.int64]
Values = dict[str, Array]  # by tensor: tokens x features; weights as they are stored


def inputs_of(graph: OpGraph, ops: Sequence[Op], tokens: int, seed: int) -> Values:
    """Small random values of what the ops read and do not make themselves."""
    draw = np.random.default_rng(seed)
    made = {a.tensor for op in ops for a in op.writes}
    values: Values = {}
    for op in ops:
        for access in op.reads:
            tensor = graph.tensors[access.tensor]
            if access.tensor not in made and access.tensor not in values:
                weight = tensor.role is Role.WEIGHT
                shape = tensor.shape if weight else (tokens, tensor.elements // tokens)
                values[access.tensor] = draw.standard_normal(shape) / 8
    return values


def whole(graph: OpGraph, ops: Sequence[Op], values: Values, tokens: int) -> Values:
    """Everything the ops write, each op at once."""
    found, widths, rows = dict(values), _widths(graph, ops, tokens), np.arange(tokens)
    for op in ops:
        keys = np.arange(_keys(op)) if _is_attention(op) else None
        found |= _compute(op, widths, found, rows, keys)
    return found


def _widths(graph: OpGraph, ops: Sequence[Op], tokens: int) -> dict[str, int]:
    """Elements a token of each tensor that the ops write."""
    return {a.tensor: graph.tensors[a.tensor].elements // tokens for op in ops for a in op.writes}


def execute_region(
    graph: OpGraph,
    ops: Sequence[Op],
    mapping: RegionMapping,
    works: Sequence[OpWork],
    memory: Values,
    tokens: int,
) -> Values:
    """What a region leaves in memory.

    Args:
        graph: with the tensors of the ops.
        ops: of the region, in order.
        mapping: of the region.
        works: of its ops, in the tiles of the mapping.
        memory: values that are there before; new ones are added.
        tokens: rows of the sequence.

    Raises:
        LawViolation: when a buffer would hold more tiles than its depth.
    """
    return _Execution(graph, ops, mapping, works, memory, tokens).run()


class _Execution:
    def __init__(
        self,
        graph: OpGraph,
        ops: Sequence[Op],
        mapping: RegionMapping,
        works: Sequence[OpWork],
        memory: Values,
        tokens: int,
    ) -> None:
        self.ops, self.mapping, self.works, self.memory = ops, mapping, works, memory
        self.edges = [np.concatenate(([0], np.cumsum(_tokens(w, tokens)))) for w in works]
        self.widths = _widths(graph, ops, tokens)
        self.made: Values = {n: np.full((tokens, w), np.nan) for n, w in self.widths.items()}
        for op in mapping.ops:
            for tensor in op.stores:
                memory[tensor] = np.full_like(self.made[tensor], np.nan)

    def run(self) -> Values:
        last = max(op.lag for op in self.mapping.ops) + self.mapping.steps
        for now in range(last):
            for j in reversed(range(len(self.ops))):  # results are there an instant later
                tile = now - self.mapping.ops[j].lag
                if 0 <= tile < self.mapping.steps:
                    self._tile(j, tile)
            self._fits(now)
        return self.memory

    def _fits(self, now: int) -> None:
        """Tiles that wait between two ops are no more than their buffer holds."""
        steps = self.mapping.steps
        for op in self.mapping.ops:
            for o in op.operands:
                if o.way is Way.PIPE and o.source is not None:
                    source = self.mapping.ops[o.source]
                    made = min(steps, max(0, now - source.lag + 1))
                    freed = min(steps, max(0, now - op.lag))  # the tile in use is not free yet
                    if made - freed > o.depth:
                        raise LawViolation(
                            f"{op.name}: {made - freed} tiles of {o.tensor} wait in {o.depth}"
                        )

    def _tile(self, j: int, tile: int) -> None:
        op, placed = self.ops[j], self.mapping.ops[j]
        rows = np.arange(self.edges[j][tile], self.edges[j][tile + 1])
        seen: Values = {}
        for o in placed.operands:
            source = self.made if o.way in (Way.PIPE, Way.WHOLE) else self.memory
            seen[o.tensor] = source[o.tensor]
        keys = None
        if _is_attention(op):
            keys = np.arange(_keys(op))
            if self.works[j].masked:
                upper = _keys(op) - op.queries + int(self.edges[j][tile + 1])
                keys = keys[upper - int(self.works[j].extents[tile]) : upper]
        for tensor, array in _compute(op, self.widths, seen, rows, keys).items():
            self.made[tensor][rows] = array
            if tensor in placed.stores:
                self.memory[tensor][rows] = array


def _tokens(work: OpWork, tokens: int) -> Rows:
    """Tokens of each tile of an op."""
    if work.op.is_mac:
        _, m, _, _ = work.tiles
        total = int(m.sum())
        return np.asarray(m.sum(axis=0) * tokens // total)
    return np.asarray(work.rows * tokens // int(work.rows.sum()))


def _is_attention(op: Op) -> bool:
    return op.op_class in ("attention_score", "softmax", "attention_value")


def _keys(op: Op) -> int:
    return op.ranks["K" if op.op_class == "attention_value" else "N"]


def _compute(
    op: Op,
    widths: Mapping[str, int],
    values: Mapping[str, Array],
    rows: Rows,
    keys: Rows | None,
) -> Values:
    """Rows of what an op writes, from rows of what it reads; an attention over some keys."""
    names = [a.tensor for a in op.reads]
    if keys is not None:
        score, softmax, value = (_scores, _softmax, _mixed)
        how = {"attention_score": score, "softmax": softmax, "attention_value": value}[op.op_class]
        return {op.writes[0].tensor: how(op, [values[n] for n in names], rows, keys)}
    if op.is_mac:
        out = values[names[0]][rows] @ values[names[1]]
        for name in names[2:]:
            out = out + values[name]
    elif op.op_class == "norm":
        x = values[names[0]][rows]
        out = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-6) * values[names[1]]
    elif op.op_class == "rotary":
        out = np.hstack([values[n][rows] for n in names]) * (1 + rows[:, None] / 16)
    elif op.op_class == "activation":
        out = np.tanh(values[names[0]][rows])
        for name in names[1:]:
            out = out * values[name][rows]
    elif op.op_class == "residual":
        out = np.sum([values[n][rows] for n in names], axis=0)
    else:
        out = np.hstack([values[n][rows] for n in names])
    edges = np.cumsum([widths[a.tensor] for a in op.writes])[:-1]
    parts = np.split(out, edges, axis=1)
    return {a.tensor: part for a, part in zip(op.writes, parts, strict=True)}


def _scores(op: Op, operands: list[Array], rows: Rows, keys: Rows) -> Array:
    """Queries times keys; those of other keys are not made."""
    batch, high, wide, deep = (op.ranks[r] for r in "BMNK")
    queries = operands[0][rows].reshape(len(rows), batch, high // op.queries, deep)
    some = operands[1][keys].reshape(len(keys), batch, deep)
    out = np.full((len(rows), batch, high // op.queries, wide), np.nan)
    out[..., keys] = np.einsum("tbgd,kbd->tbgk", queries, some)
    return out.reshape(len(rows), -1)


def _softmax(op: Op, operands: list[Array], rows: Rows, keys: Rows) -> Array:
    """Shares of each row over the keys that its mask leaves."""
    wide = op.ranks["N"]
    found = operands[0][rows].reshape(len(rows), -1, wide)
    left = np.where(_seen(op, wide, rows, keys)[:, None], found[..., keys], -np.inf)
    with np.errstate(invalid="ignore"):  # a row without a key is no number
        powers = np.exp(left - left.max(axis=-1, keepdims=True))
    out = np.full_like(found, np.nan)
    out[..., keys] = powers / powers.sum(axis=-1, keepdims=True)
    return out.reshape(len(rows), -1)


def _mixed(op: Op, operands: list[Array], rows: Rows, keys: Rows) -> Array:
    """Shares times values; what no row of the tile may see counts as nothing."""
    batch, high, wide, deep = (op.ranks[r] for r in "BMNK")
    shares = operands[0][rows].reshape(len(rows), batch, high // op.queries, deep)
    some = operands[1][keys].reshape(len(keys), batch, wide)
    seen = np.any(_seen(op, deep, rows, keys), axis=0)
    some = np.where(np.reshape(seen, (-1, 1, 1)), some, 0.0)
    out: Array = np.einsum("tbgk,kbd->tbgd", shares[..., keys], some)
    return out.reshape(len(rows), -1)


def _seen(op: Op, wide: int, rows: Rows, keys: Rows) -> NDArray[np.bool_]:
    """Which keys each row may attend to."""
    place = rows[:, None] + wide - op.queries
    before = keys[None] <= place if op.causal else np.ones((len(rows), len(keys)), dtype=bool)
    return before & (keys[None] > place - op.reach) if op.reach else before
