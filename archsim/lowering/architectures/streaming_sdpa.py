"""Scaled dot-product attention of one head as a stream graph, in four orders of the same sums.

The graphs are those of Sohn, Zhang and Olukotun, "Implementing and Optimizing the Scaled
Dot-Product Attention on Streaming Dataflow" (arXiv:2404.16629): a token is a vector of the head
dimension, or a scalar; an iteration is one query, its inner loop goes over the keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import Cycles, Spec
from archsim.ir.graph import Block
from archsim.lowering.architectures._stream_lines import Misplaced, refusal
from archsim.lowering.architectures.base import Architecture, Objection
from archsim.lowering.architectures.stream import Streams, stream_op
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, Count, Infer

LONG = 2  # slots of a long FIFO beyond the row that it holds (the paper's N + 2)


class StreamingSdpa(Spec):
    """Attention of one head over as many keys as queries."""

    architecture: Literal["streaming_sdpa"] = "streaming_sdpa"
    """Which builder reads these numbers."""

    graph: Literal["naive", "scaled", "reordered", "memory_free"] = "naive"
    """`naive`: exponentials wait in a FIFO until their sum is there. `scaled`: scores wait for
    their maximum before that. `reordered`: the result is divided, not the shares. `memory_free`:
    reordered, under a running maximum."""

    tokens: Count = Field(examples=[1024])
    """Queries, and keys of each (N)."""

    head_dim: Count = 64
    """Length of a query, a key and a value (d)."""

    depth: int = Field(default=2, ge=1)
    """Depth of the FIFOs that need no more than a few slots."""

    long_depth: Annotated[int, Field(ge=1)] | None = None
    """Depth of the FIFOs that hold a row. Default: tokens + 2."""

    latency: Cycles | None = None
    """Latency of every node. Default: the depth of the machine's units."""

    depths: dict[str, Annotated[int, Field(ge=1)]] = {}
    """Depths of single FIFOs, by name; they come before the two above."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        names = {q["name"] for q in described(self)["fifos"]}
        if unknown := sorted(set(self.depths) - names):
            known = f"FIFOs of {self.graph}: {', '.join(sorted(names))}"
            raise refusal(
                Misplaced(("depths", name), "E201", f'no FIFO "{name}"', known, on_key=True)
                for name in unknown
            )
        return self


def described(s: StreamingSdpa) -> dict[str, Any]:
    """The graph as a stream graph file would have it."""
    n, d = s.tokens, s.head_dim
    nodes: list[dict[str, Any]] = [
        {"name": "q", "does": "read", "tensor": "Q", "elements": d},
        {"name": "k", "does": "read", "tensor": "K", "elements": d, "count": n, "reread": True},
        {"name": "v", "does": "read", "tensor": "V", "elements": d, "count": n, "reread": True},
        {"name": "score", "does": "scaled_dot", "elements": d, "hold": {"a": n}},
        {"name": "exp", "does": "exp"},
        {"name": "o", "does": "write", "tensor": "O", "elements": d},
    ]
    fifos = [_fifo(s, "q", "score.a"), _fifo(s, "k", "score.b")]
    total: dict[str, Any] = {"name": "sum", "does": "sum", "over": n}
    mix: dict[str, Any] = {"name": "mix", "does": "weighted_sum", "elements": d, "over": n}
    ratio: dict[str, Any] = {"name": "divide", "does": "divide"}
    if s.graph == "scaled":
        nodes += [{"name": "max", "does": "max", "over": n}]
        nodes += [{"name": "shift", "does": "subtract", "hold": {"b": n}}]
        fifos += [_fifo(s, "score", "max"), _fifo(s, "score", "shift.a", long=True)]
        fifos += [_fifo(s, "max", "shift.b"), _fifo(s, "shift", "exp")]
    elif s.graph == "memory_free":
        nodes += [
            {"name": "max", "does": "running_max", "over": n},
            {"name": "fade", "does": "exp"},
        ]
        total["does"], mix["does"] = "faded_sum", "faded_weighted_sum"
        fifos += [_fifo(s, "score", "max"), _fifo(s, "max.shifted", "exp")]
        fifos += [_fifo(s, "max.fade", "fade")]
        fifos += [_fifo(s, "fade", "sum.fade"), _fifo(s, "fade", "mix.fade")]
    else:
        fifos += [_fifo(s, "score", "exp")]
    fifos += [_fifo(s, "v", "mix.v")]
    fifos += [_fifo(s, "exp", "sum.in" if s.graph == "memory_free" else "sum")]
    if s.graph in ("naive", "scaled"):
        ratio["hold"] = {"b": n}
        fifos += [_fifo(s, "exp", "divide.a", long=True), _fifo(s, "sum", "divide.b")]
        fifos += [_fifo(s, "divide", "mix.w"), _fifo(s, "mix", "o")]
    else:
        ratio["elements"] = d
        fifos += [_fifo(s, "exp", "mix.w"), _fifo(s, "mix", "divide.a")]
        fifos += [_fifo(s, "sum", "divide.b"), _fifo(s, "divide", "o")]
    nodes += [total, mix, ratio]
    if s.latency is not None:
        nodes = [node | {"latency": s.latency} for node in nodes]
    return {"iterations": n, "nodes": tuple(nodes), "fifos": tuple(fifos)}


def streams(s: StreamingSdpa) -> Streams:
    """The graph as nodes and FIFOs."""
    return Streams.model_validate(described(s))


def _fifo(s: StreamingSdpa, start: str, end: str, *, long: bool = False) -> dict[str, Any]:
    """A FIFO, named after the nodes it joins."""
    name = f"{start.partition('.')[0]}>{end.partition('.')[0]}"
    deep = (s.long_depth or s.tokens + LONG) if long else s.depth
    return {"from": start, "to": end, "name": name, "depth": s.depths.get(name, deep)}


class StreamingSdpaBuilder(Architecture):
    """The whole attention is one op."""

    kind = "streaming_sdpa"
    Spec = StreamingSdpa

    spec: StreamingSdpa

    def objections(self, phase: AnyPhase | None) -> Iterator[Objection]:
        """The graph is of one head of one sequence."""
        if isinstance(phase, Infer) and phase.batch != 1:
            yield Objection("batch", "E202", "a streaming attention is of one head of one sequence")

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """One block of one op."""
        return (Block("sdpa", 1, (stream_op(self.spec.graph, streams(self.spec), parts),)),)
