"""One device of a partition in numpy: its slices, and what each of its ops yields.

Activations are kept as tokens x features, keys and values as sequences x tokens x heads x width,
scores as problems x rows x keys. Tokens carry their places, so that masks and rotations are those
of the undivided sequence. How devices meet is in `functional_parallel`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Kind, Op
from archsim.ir.parallel import KIND, ParallelPlan
from archsim.ir.tensor import Role
from archsim.testing.functional_attention import Floats
from archsim.testing.functional_exchange import exchanged
from archsim.testing.functional_heads import Heads
from archsim.testing.functional_learning import Learning
from archsim.testing.functional_slices import Model, Place
from archsim.testing.functional_weights import slots, weight_of

__all__ = ["Device", "Model"]


class Device(Learning, Heads):
    """A device and its memory.

    Args:
        model: weights, tokens and cache of the undivided graph.
        plan: of the partition.
        graph: of this device.
        number: which device.
        before: iterations of each block on earlier stages.
    """

    def __init__(
        self, model: Model, plan: ParallelPlan, graph: OpGraph, number: int, before: dict[str, int]
    ) -> None:
        self.model, self.plan, self.graph, self.number = model, plan, graph, number
        self.before, self.place = before, Place(plan, number, model)
        self.now: dict[str, Any] = {}
        self.stats: dict[str, Any] = {}  # maxima and sums of partial softmaxes
        self.at = 0
        self.gradients: dict[tuple[str, int], Floats] = {}
        self.saved: dict[tuple[str, int], Any] = {}

    def steps(self) -> Generator[tuple[Op, Any], Any, None]:
        """Run the graph; stops at each collective with what the device gives."""
        for block in self.graph.blocks:
            for i in range(block.count):
                back = block.name.endswith((".backward", ".gradients"))
                base = block.name.removesuffix(".backward").removesuffix(".gradients")
                turn = block.count - 1 - i if back else i
                self.at = self.before.get(base, 0) + turn
                if i:
                    self.now |= {read: self.now[made] for read, made in block.carry}
                self._recall(block, back=back)
                yield from self._block(block)
                self._recall(block, back=None)

    def _recall(self, block: Block, *, back: bool | None) -> None:
        """Bring saved activations of an iteration back, or save them behind it."""
        if back is False:
            return
        for name in {a.tensor for op in block.ops for a in (*op.reads, *op.writes)}:
            if self.graph.tensors[name].role is not Role.SAVED:
                continue
            if back:
                self.now[name] = self.saved[name, self.at]
            elif not block.name.endswith(".backward"):
                self.saved[name, self.at] = self.now[name]

    def _block(self, block: Block) -> Generator[tuple[Op, Any], Any, None]:
        self._load(block)
        for op in block.ops:
            if op.kind is Kind.COLLECTIVE:
                found = yield op, self._given(op)
                if op.collective is not None and op.collective.axis == KIND:
                    self._take(op, found)
                    continue
                if self.graph.tensors[op.writes[0].tensor].role is Role.GRADIENT:
                    self.gradients |= found
                    continue
                for access in op.writes:
                    self._set(op, access.tensor, found)
            else:
                self._op(op)

    def _take(self, op: Op, found: Any) -> None:
        """Keep what another kind of device has sent; a sender gets nothing."""
        for access, (value, stats) in zip(op.writes, found or (), strict=False):
            self.now[access.tensor], self.stats[access.tensor] = value, stats

    def _set(self, op: Op, name: str, found: Any) -> None:
        """Keep a result; what comes in parts is put together, one below the other."""
        if isinstance(found, tuple):
            found, self.stats[name] = found
        part = op.writes[0].touched is not None and op.name.rpartition(".")[2].isdigit()
        if part and not op.name.endswith(".0"):
            found = np.concatenate([self.now[name], found])
        self.now[name] = found

    def _load(self, block: Block) -> None:
        """The device's part of the cache."""
        names = {a.tensor for op in block.ops for a in (*op.reads, *op.writes)}
        made = {a.tensor for op in block.ops if op.op_class == "kv_append" for a in op.writes}
        for name in names:
            cached = self.graph.tensors[name].role is Role.KV_CACHE or name in made
            if cached and name.endswith(("keys", "values")):
                self.now[name] = self.place.cache(name, self.at)

    def _given(self, op: Op) -> Any:
        """What a device gives to a collective."""
        collective, access = op.collective, op.reads[0]
        assert collective is not None
        tensor = self.graph.tensors.get(access.tensor)
        name = access.tensor
        if collective.pattern == "receive":
            return None
        if collective.axis == KIND:
            return [(self.now[a.tensor], self.stats.get(a.tensor)) for a in op.reads]
        role = tensor.role if tensor is not None else Role.ACTIVATION
        if role is Role.WEIGHT:
            return self._weight(op, name)
        if role is Role.GRADIENT:
            keys = [(a.tensor, self.at) for a in op.reads]
            found = {key: self.gradients[key] for key in keys}
            return found[keys[0]] if collective.pattern == "send" else found
        return self._activation_given(op, name, collective.axis)

    def _activation_given(self, op: Op, name: str, axis: str) -> Any:
        """What a device gives of an activation."""
        if op.writes[0].tensor.endswith(".sums"):
            return self._sums(op, self.now[name])
        if op.name.endswith("combine"):
            return self.now[name], self.stats[name]
        if self.place.follows:  # it has nothing of what the first device broadcasts
            return self.now.get(name)
        return self._keys(name) if axis == "context" else self.now[name]

    def _sums(self, op: Op, x: Floats) -> Floats:
        """What devices add up of each row, for a norm or for the loss."""
        if op.name == "loss.all_reduce":
            return self.sums_of_logits(x)
        step = len(x) // op.ranks["M"]  # the last token of each sequence, or every one
        x = x[step - 1 :: step]
        return np.stack([x.sum(axis=1), (x**2).sum(axis=1)], axis=1)

    def exchanged(self, op: Op, values: list[Any], mine: int) -> Any:
        """What a device has after a collective."""
        name = op.writes[0].tensor
        found = exchanged(self, op, values, mine)
        if op.collective is not None and op.collective.axis == "context" and (
            not op.name.endswith("combine")
        ):  # fmt: skip
            found, self.stats[f"places {name}"] = found
        return found

    def _weight(self, op: Op, name: str) -> Floats:
        return weight_of(self, op, name)

    def read(self, op: Op, i: int) -> Any:
        """What an op reads."""
        access = op.reads[i]
        tensor = self.graph.tensors[access.tensor]
        if tensor.role is Role.WEIGHT:
            return self._weight(op, access.tensor)
        if access.tensor not in self.now and tensor.role is Role.INDEX:
            return self.place.ids
        value = self.now[access.tensor]
        if access.dims and access.dims[0].terms and value.ndim == 2:
            (rank, step), *_ = access.dims[0].terms
            start, rows = access.dims[0].offset, op.ranks[rank]
            if rank == "M" and (step > 1 or start or access.touched):
                return value[start : start + step * rows : step]
        return value

    def _reads(self, op: Op) -> list[Any]:
        """What an op reads, but for gradients that it adds to."""
        roles = [self.graph.tensors[a.tensor].role for a in op.reads]
        return [self.read(op, i) for i, role in enumerate(roles) if role is not Role.GRADIENT]

    def _op(self, op: Op) -> None:
        back = op.op_class.endswith("_backward")
        if back:
            self.collect(op, self.backward(op, self._reads(op)))
            return
        rule = self._linear if op.kind is Kind.GEMM else getattr(self, f"_{op.op_class}")
        if op.op_class in ("attention_score", "attention_value", "moe_expert"):
            rule = getattr(self, f"_{op.op_class}")
        found = rule(op, *self._reads(op))
        results = found if isinstance(found, list) else [found]
        for access, value in zip(op.writes, results, strict=True):
            self.now[access.tensor] = value

    def _linear(self, op: Op, x: Floats, w: Floats, *bias: Floats) -> list[Floats]:
        x = x.reshape(op.ranks["M"], -1)[:, -op.ranks["K"] :] if x.size == (
            op.ranks["M"] * op.ranks["K"]) else self._mine(op, x)  # fmt: skip
        if op.reads[1].dims[0].terms[0][0] == "N":
            w = w.T
        if w.shape != (op.ranks["K"], op.ranks["N"]):
            raise ValueError(f"{op.name} has a matrix of {w.shape}")
        y = x @ w
        if bias:
            share = self.model.op(op.name).ranks["K"] / op.ranks["K"]  # terms of a sum
            y = y + bias[0] / share
        out, at = [], 0
        for access in op.writes:
            width = self.graph.tensors[access.tensor].elements // op.ranks["M"]
            out.append(y[:, at : at + width])
            at += width
        return out

    def _mine(self, op: Op, x: Floats) -> Floats:
        """A device's rows or columns of what it has whole."""
        rows, width = op.ranks["M"], op.ranks["K"]
        if x.shape[0] > rows:
            return x[self.place.tensor * rows :][:rows]
        return x[:, self.place.tensor * width :][:, :width]

    def _embedding(self, op: Op, first: Any, *more: Floats) -> Floats:
        if op.kind is not Kind.GATHER:
            places, rows = np.tile(self.place.tokens, self.place.batch), len(first)
            if rows < len(places):  # tokens are dealt out
                places = places[self.place.tensor * rows :][:rows]
            return np.asarray(first + more[0][places])
        ids, table = self.place.ids, more[0]
        here = ids - self.place.words(table.shape[0])
        known = (here >= 0) & (here < len(table))
        found: Floats = np.where(known[:, None], table[np.clip(here, 0, len(table) - 1)], 0.0)
        return found

    def _norm(self, op: Op, x: Floats, *more: Floats) -> Floats:
        wide, shape = op.ranks["N"], x.shape
        x = x.reshape(-1, wide)
        sums = next((m for m in more if m.ndim == 2), None)
        vectors = [m for m in more if m.ndim == 1]
        if sums is None:
            sums, full = np.stack([x.sum(axis=1), (x**2).sum(axis=1)], axis=1), wide
        else:
            full = self.model.shape.width
        mean = sums[:, :1] / full if len(vectors) > 1 else 0.0
        rate = 1 / np.sqrt(sums[:, 1:] / full - mean**2 + 1e-6)
        y = (x - mean) * rate * vectors[0] + (vectors[1] if len(vectors) > 1 else 0.0)
        return np.asarray(y.reshape(shape))

    def _rotary(self, op: Op, *parts: Floats) -> list[Floats]:
        return [self.place.turned(x) for x in parts]

    def _residual(self, op: Op, *terms: Floats) -> Floats:
        return np.asarray(sum(terms))

    def _activation(self, op: Op, first: Floats, *more: Floats) -> Floats:
        return np.asarray(first / (1 + np.exp(-first)) * (more[0] if more else 1.0))

    def _moe_topk(self, op: Op, logits: Floats, *_: Floats) -> list[Any]:
        top = self.graph.tensors[op.writes[0].tensor].shape[-1]
        return [1 / (1 + np.exp(-logits[:, :top])), np.zeros(1)]

    def _moe_permute(self, op: Op, x: Floats, _: Any) -> Floats:
        first = self.place.tensor * op.ranks["N"] if op.ranks["N"] < x.shape[1] else 0
        rows = x[[token for token, _ in self._slots()]]
        return np.asarray(rows[:, first : first + op.ranks["N"]])

    def _slots(self) -> list[tuple[int, int]]:
        """Token, and which of its experts, of each row that this device permutes."""
        ways = self.plan.expert
        rows = self.place.rows_of_experts(self.place.expert)
        if ways == 1:
            every = slots(self.model, self.model.plan.expert)
            return [every[j] for j in rows]
        top = self.model.top
        return [(j // ways // top, j // ways % top) for j in rows]

    def _moe_expert(self, op: Op, x: Floats, w: Floats, *_: Floats) -> Floats:
        held = self.place.held(op)
        found = [row @ w[held.index(e)] for row, e in zip(x, self.place.experts_of(op, x),
                                                         strict=True)]  # fmt: skip
        return np.asarray(found)

    def _moe_combine(self, op: Op, *given: Floats) -> Floats:
        if op.reads[0].tensor.endswith("shares"):  # none of the tokens is for the device's experts
            return np.asarray(sum(given[1:], np.zeros((len(given[0]), op.ranks["N"]))))
        rows, shares, *more = given
        out = np.zeros((len(shares), rows.shape[-1]))
        for row, (token, which) in zip(rows, self._slots(), strict=True):
            out[token] += shares[token, which] * row
        return out + sum(more)

    def result(self) -> Any:
        """Logits, or the hidden state where there is no head; None on other stages."""
        for name in ("logits.gathered", "logits"):
            if name in self.now:
                return self.now[name]
        return self.now.get("hidden.out") if self.model.shape.vocab == 0 else None
