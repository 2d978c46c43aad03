"""A stream graph: nodes that fire on tokens, FIFOs between them, and how often each node fires.

Plain data with closed forms. What is wrong with a graph is found in `stream_check`, what a node
costs on a machine and how it becomes rows through time are the system's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from archsim.core.errors import LawViolation


@dataclass(frozen=True, slots=True)
class StreamPort:
    """One end of a FIFO at a node.

    Attributes:
        name: within the node.
        every: firings for each token: an input takes one in the first of so many firings, an
            output gives one in the last of so many.
        elements: of a token.
    """

    name: str
    every: int = 1
    elements: int = 1


@dataclass(frozen=True)
class StreamNode:
    """Something that fires: takes tokens, computes for some cycles, gives tokens.

    Attributes:
        name: unique in its graph.
        kind: source | sink | map | reduce | scan | repeat | broadcast.
        does: a function of `stream_functions`; empty for one that is described by its work alone.
        elements: length of the vectors that it works on.
        count: of a source: tokens in one iteration of the graph.
        over: of a reduce, a scan or a repeat: firings between resets.
        ii_cycles: least cycles between two firings.
        latency_cycles: from the start of a firing until its tokens leave; None: as the machine's.
        macs, primitives: of one firing.
        state_elements: kept between firings.
        tensor: of a source or a sink: what it reads or writes.
        bits: of an element of its tokens and its state.
    """

    name: str
    kind: str
    inputs: tuple[StreamPort, ...]
    outputs: tuple[StreamPort, ...]
    does: str = ""
    elements: int = 1
    count: int = 0
    over: int = 1
    ii_cycles: int = 1
    latency_cycles: int | None = None
    macs: int = 0
    primitives: Mapping[str, int] | None = None
    state_elements: int = 0
    tensor: str = ""
    bits: int = 32

    @property
    def computes(self) -> bool:
        """True for a node that does more than to let tokens in or out."""
        return self.kind not in ("source", "sink")

    def port(self, side: str, name: str) -> StreamPort | None:
        """A port by its side, `inputs` or `outputs`, and its name; without one, the only one."""
        ports: tuple[StreamPort, ...] = getattr(self, side)
        if not name:
            return ports[0] if len(ports) == 1 else None
        return next((p for p in ports if p.name == name), None)


@dataclass(frozen=True, slots=True)
class Fifo:
    """A queue of tokens from an output of one node to an input of another.

    Attributes:
        name: unique in its graph.
        producer, consumer: node and port.
        depth: slots: one is taken from the start of the firing that fills it to the end of the
            firing that reads it.
        latency_cycles: from when a token leaves its node until it can be read.
        initial: tokens that are there at first, all zero.
    """

    name: str
    producer: tuple[str, str]
    consumer: tuple[str, str]
    depth: int = 2
    latency_cycles: int = 0
    initial: int = 0


@dataclass(frozen=True)
class StreamGraph:
    """Nodes and FIFOs, and how many times the whole of them runs.

    Attributes:
        name: in reports.
        iterations: of the outermost loop; each consumes what the sources give in one.
        dtype: element type that multiply-accumulates run at.
    """

    name: str
    iterations: int
    nodes: tuple[StreamNode, ...]
    fifos: tuple[Fifo, ...]
    dtype: str = "bf16"

    @cached_property
    def node(self) -> dict[str, StreamNode]:
        """Nodes by name."""
        return {n.name: n for n in self.nodes}

    @cached_property
    def firings(self) -> dict[str, int]:
        """Firings of each node in one iteration: what its FIFOs carry, from the sources on."""
        found = {n.name: n.count for n in self.nodes if n.kind == "source"}
        waiting = list(self.fifos)
        while waiting:
            later = []
            for fifo in waiting:
                start, end = fifo.producer, fifo.consumer
                if start[0] in found:
                    tokens = found[start[0]] // self.ends(fifo)[0].every
                    found.setdefault(end[0], tokens * self.ends(fifo)[1].every)
                else:
                    later.append(fifo)
            if len(later) == len(waiting):
                break
            waiting = later
        return found

    def ends(self, fifo: Fifo) -> tuple[StreamPort, StreamPort]:
        """The output and the input that a FIFO joins."""
        (start, out), (end, into) = fifo.producer, fifo.consumer
        first = self.node[start].port("outputs", out)
        last = self.node[end].port("inputs", into)
        assert first is not None
        assert last is not None
        return first, last

    def tokens(self, fifo: Fifo) -> int:
        """Tokens through a FIFO in one iteration."""
        return self.firings[fifo.producer[0]] // self.ends(fifo)[0].every

    def token_bytes(self, fifo: Fifo) -> int:
        """Bytes of one token."""
        bits = self.node[fifo.producer[0]].bits
        return -(-self.ends(fifo)[0].elements * bits // 8)

    def is_intermediate(self, fifo: Fifo) -> bool:
        """True between nodes that compute: neither an operand on its way in nor a result out."""
        return all(self.node[name].computes for name, _ in (fifo.producer, fifo.consumer))

    @property
    def points(self) -> int:
        """Firings of all nodes, in one iteration."""
        return sum(self.firings.values())

    def macs(self) -> int:
        """Multiply-accumulates of the whole run."""
        return self.iterations * sum(n.macs * self.firings[n.name] for n in self.nodes)

    def check(self) -> None:
        """Refuse a graph with anything wrong.

        Raises:
            LawViolation: with the first mistake.
        """
        from archsim.ir.stream_check import mistakes

        for mistake in mistakes(self):
            raise LawViolation(f"stream {self.name}: {mistake.message}")
