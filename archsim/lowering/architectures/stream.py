"""A stream graph written out: nodes and FIFOs, as one op that a spatial pipeline runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import Spec
from archsim.ir.graph import Block
from archsim.ir.op import Access, Kind, Op
from archsim.ir.stream import StreamGraph
from archsim.ir.stream_check import Mistake, mistakes
from archsim.ir.tensor import Role
from archsim.lowering.architectures._stream_lines import Misplaced, Node, Queue, refusal
from archsim.lowering.architectures.base import Architecture, Objection
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, Count, DTypes, Infer, Several


class Streams(Spec):
    """Nodes and FIFOs, and how many times all of it runs."""

    iterations: Count = 1
    """Times that the graph runs: each consumes what its sources give in one."""

    nodes: Several[Node]
    """Nodes in any order."""

    fifos: Several[Queue] = Field(examples=[[{"from": "q", "to": "score.a"}]])
    """FIFOs in any order."""


class Stream(Streams):
    """A stream graph written out."""

    architecture: Literal["stream"] = "stream"
    """Which builder reads these numbers."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        found = [
            Misplaced((m.section, m.at, m.key), m.code, m.message, m.help) for m in wrong(self)
        ]
        if found:
            raise refusal(found)
        return self


def wrong(spec: Streams) -> Iterator[Mistake]:
    """What is wrong between nodes and FIFOs."""
    yield from mistakes(stream_graph("stream", spec, DTypes()))


def stream_graph(name: str, spec: Streams, dtypes: DTypes) -> StreamGraph:
    """The graph of a description; it may be wrong."""
    return StreamGraph(
        name=name,
        iterations=spec.iterations,
        nodes=tuple(node.node(dtypes) for node in spec.nodes),
        fifos=tuple(queue.fifo() for queue in spec.fifos),
        dtype=dtypes.of(Role.WEIGHT).computes_as,
    )


def stream_op(name: str, spec: Streams, parts: Parts) -> Op:
    """One op for a whole stream graph; its tensors are left in `parts`."""
    graph = stream_graph(name, spec, parts.dtypes)
    graph.check()
    reads: list[Access] = []
    writes: list[Access] = []
    for line in spec.nodes:
        if line.tensor is None:
            continue
        tokens = graph.firings[line.name] * (1 if line.reread else graph.iterations)
        access = parts.tensor(line.tensor, (tokens, line.elements))
        (reads if line.fires_as == "source" else writes).append(access)
    ranks = {"M": graph.iterations, "N": graph.points}
    return Op(name, Kind.STREAM, "stream", ranks, tuple(reads), tuple(writes), stream=graph)


class StreamBuilder(Architecture):
    """The whole graph is one op."""

    kind = "stream"
    Spec = Stream

    spec: Stream

    def objections(self, phase: AnyPhase | None) -> Iterator[Objection]:
        """A stream graph states its own extents."""
        if isinstance(phase, Infer) and phase.batch != 1:
            text = "a stream graph has its batch in its own iterations"
            yield Objection("batch", "E202", text)

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """One block of one op."""
        return (Block("stream", 1, (stream_op("graph", self.spec, parts),)),)
