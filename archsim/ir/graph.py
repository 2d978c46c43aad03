"""The op graph: blocks of ops that repeat, the tensors they touch, and closed forms over both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from archsim.core import html
from archsim.core.errors import LawViolation
from archsim.ir.op import Access, Kind, Op
from archsim.ir.tensor import Role, Tensor


@dataclass(frozen=True, slots=True)
class Block:
    """Ops in a topological order that run `count` times in a row, e.g. the layers of a model.

    `carry` maps a tensor that an iteration reads to the one that the iteration before wrote
    (the residual stream). In the first iteration it is the tensor of that name itself, written by
    an earlier block or given from outside. `network` names the network that a block belongs to,
    where several run at once.
    """

    name: str
    count: int
    ops: tuple[Op, ...]
    carry: tuple[tuple[str, str], ...] = ()  # (read at the start, written by the one before)
    network: str = ""


@dataclass(frozen=True)
class OpGraph:
    """What is computed: blocks in order, tensors by name, and facts about the model.

    A weight or KV tensor read inside a block exists once per iteration of that block.
    """

    name: str
    blocks: tuple[Block, ...]
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def ops(self) -> Iterator[tuple[Block, Op]]:
        """Every op with its block, in order."""
        for block in self.blocks:
            for op in block.ops:
                yield block, op

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks that run at once, in order; one without a name where one runs."""
        return tuple(dict.fromkeys(block.network for block in self.blocks))

    def _repr_html_(self) -> str:
        head = ("op", "class", "ranks", "reads", "writes", "MACs")
        parts = [html.heading(self.name, f"{self.macs():,} MACs")]
        for block in self.blocks:
            rows = [
                (op.name, op.op_class, " ".join(f"{r}={n}" for r, n in op.ranks.items()),
                 ", ".join(a.tensor for a in op.reads), ", ".join(a.tensor for a in op.writes),
                 op.macs())
                for op in block.ops
            ]  # fmt: skip
            title = f"{block.name} x {block.count}: {len(block.ops)} ops"
            parts.append(html.folded(title, html.table(rows, head)))
        return html.joined(*parts)

    def macs(self) -> int:
        """Multiply-accumulates of the whole graph, repeats counted."""
        return sum(block.count * op.macs() for block, op in self.ops())

    def touched_bytes(self, access: Access) -> int:
        """Bytes of the distinct elements one op reaches through one access."""
        tensor = self.tensors[access.tensor]
        elements = tensor.elements if access.touched is None else access.touched
        return tensor.dtype.bytes(elements)

    def read_bytes(self, role: Role) -> int:
        """Compulsory reads of a role: each tensor once an iteration, however many ops share it.

        Parts of an op that was split reach different elements of a tensor; networks that run at
        once may reach the same.
        """
        return self._bytes(role, "reads")

    def write_bytes(self, role: Role) -> int:
        """Compulsory writes of a role, once per iteration."""
        return self._bytes(role, "writes")

    def _bytes(self, role: Role, side: str) -> int:
        least: dict[str, dict[str, int]] = {}  # of each tensor, by network
        for block in self.blocks:
            most: dict[str, dict[str, int]] = {}
            for op in block.ops:
                for access in getattr(op, side):
                    if self.tensors[access.tensor].role is role:
                        parts = most.setdefault(access.tensor, {})
                        size = self.touched_bytes(access)
                        parts[op.split_for] = max(parts.get(op.split_for, 0), size)
            for name, parts in most.items():
                size = max(parts.pop("", 0), sum(parts.values()))
                runs = least.setdefault(name, {})
                runs[block.network] = runs.get(block.network, 0) + block.count * size
        return sum(max(runs.values()) for runs in least.values())

    def stored_bytes(self, role: Role) -> int:
        """Bytes held for a role over the whole run (weights, KV cache), repeats counted."""
        total = 0
        seen: set[str] = set()
        for block, op in self.ops():
            for access in (*op.reads, *op.writes):
                tensor = self.tensors[access.tensor]
                if tensor.role is role and access.tensor not in seen:
                    seen.add(access.tensor)
                    total += block.count * tensor.bytes
        return total

    def check(self) -> None:
        """Refuse a graph with a dangling name, a read before its write, or an empty extent."""
        written: set[str] = set()
        for block in self.blocks:
            if block.count < 1 or not block.ops:
                raise LawViolation(f"block {block.name} is empty")
            later = {name for op in block.ops for name in (a.tensor for a in op.writes)}
            for read, carried in block.carry:
                before, after = self.tensors[read], self.tensors[carried]
                if (before.shape, before.dtype) != (after.shape, after.dtype) or (
                    carried not in later
                ):
                    raise LawViolation(f"block {block.name}: {carried} cannot carry into {read}")
            for op in block.ops:
                self._check_op(block, op, written, later)
                written.update(a.tensor for a in op.writes)

    def _check_op(self, block: Block, op: Op, written: set[str], later: set[str]) -> None:
        if min(op.ranks.values(), default=0) < 1 or op.points() < 1:
            raise LawViolation(f"{block.name}/{op.name} has an empty rank: {op.ranks}")
        if (op.kind is Kind.COLLECTIVE) != (op.collective is not None):
            raise LawViolation(f"{block.name}/{op.name} is a {op.kind} op: {op.collective}")
        if op.groups and op.is_mac and sum(g.count for g in op.groups) != op.ranks["B"]:
            raise LawViolation(f"{block.name}/{op.name}: groups do not add up to B")
        for access in (*op.reads, *op.writes):
            tensor = self.tensors.get(access.tensor)
            if tensor is None:
                raise LawViolation(f"{block.name}/{op.name} names no such tensor: {access.tensor}")
            if access.touched is not None and not 0 < access.touched <= tensor.elements:
                raise LawViolation(
                    f"{block.name}/{op.name} touches {access.touched} of {tensor.elements} "
                    f"elements of {tensor.name}"
                )
        for access in op.reads:
            name = access.tensor
            if self.tensors[name].role is Role.ACTIVATION and name in later and name not in written:
                raise LawViolation(f"{block.name}/{op.name} reads {name} before it is written")
