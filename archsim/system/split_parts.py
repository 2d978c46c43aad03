"""Parts of ops that belong together, each part for an engine of its own: what all of them share.

A chain is dealt out item by item: whole experts, sequences or heads. Every part has its own
intermediate tensors; of what comes in and goes out it reaches a portion, one behind the other, so
that the portions of all parts are the whole. How experts and attentions are cut is in
`split_experts` and `split_attention`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from archsim.ir.graph import OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.tensor import Tensor


@dataclass(frozen=True)
class Part:
    """What one engine gets of a chain.

    Attributes:
        engine: name in the machine.
        ops: in the chain's order.
        tensors: of its own.
    """

    engine: str
    ops: tuple[Op, ...]
    tensors: Mapping[str, Tensor]

    @property
    def products(self) -> tuple[Op, ...]:
        """Its ops that multiply and accumulate."""
        return tuple(op for op in self.ops if op.is_mac)


@dataclass(frozen=True)
class Span:
    """Units from one on up to another, of all there are: what falls to a part."""

    start: int
    stop: int
    whole: int

    def of(self, amount: int) -> int:
        """Its part of an amount; the parts of spans that follow each other add up to it."""
        return amount * self.stop // self.whole - amount * self.start // self.whole


def own_name(name: str, engine: str) -> str:
    """Name of a part's op or tensor."""
    return f"{name}@{engine}"


def portion(graph: OpGraph, access: Access, span: Span) -> Access:
    """So many of the elements that an access reaches, somewhere among them."""
    elements = graph.tensors[access.tensor].elements
    touched = span.of(elements if access.touched is None else access.touched)
    return access if touched == elements else Access(access.tensor, (), touched)


def inner_tensors(ops: Sequence[Op]) -> frozenset[str]:
    """Tensors that a chain writes for itself: the results of its last op are for others."""
    return frozenset(a.tensor for op in ops[:-1] for a in op.writes)


def whole_part(engine: str, ops: Sequence[Op]) -> Part:
    """All of a chain on one engine: its ops keep their names."""
    return Part(engine, tuple(for_engine(op, engine) for op in ops), {})


def for_engine(op: Op, engine: str) -> Op:
    """A product that an engine has; vector ops go where rules send them."""
    return replace(op, split_for=engine) if op.is_mac else op
