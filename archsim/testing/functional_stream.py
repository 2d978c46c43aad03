"""Executes a stream graph token by token with numpy, every FIFO no deeper than it says.

Nodes fire in any order in which they can; what they compute is the meaning of the names in
`ir.stream_functions`. A graph whose FIFOs are too short stops, as it does in time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.ir.stream import Fifo, StreamGraph, StreamNode

Array = NDArray[np.float64]
Tokens = dict[str, Array]


class StreamStopsError(AssertionError):
    """No node of the graph can fire, and some have not finished."""


def execute_stream(
    graph: StreamGraph, operands: Mapping[str, Array], depths: Mapping[str, int] | None = None
) -> dict[str, Array]:
    """What the sinks write, by tensor: tokens in rows.

    Args:
        graph: which nodes, which FIFOs.
        operands: what the sources read, tokens in rows; fewer than they give begin again.
        depths: of FIFOs, instead of their own.

    Raises:
        StreamStopsError: naming the FIFOs that are full or empty.
    """
    run = _Run(graph, operands, depths or {})
    while sum(run.fire(node) for node in graph.nodes):
        pass
    left = {n.name: n for n in graph.nodes if run.done[n.name] < run.total(n)}
    if left:
        raise StreamStopsError("; ".join(run.waits(node) for node in left.values()))
    return {n.tensor: np.array(run.written[n.name]) for n in graph.nodes if n.kind == "sink"}


class _Run:
    """Queues, and where each node is."""

    def __init__(
        self, graph: StreamGraph, operands: Mapping[str, Array], depths: Mapping[str, int]
    ) -> None:
        self.graph, self.operands = graph, operands
        self.depth = {f.name: depths.get(f.name, f.depth) for f in graph.fifos}
        self.queue: dict[str, deque[Array]] = {
            f.name: deque(np.zeros(graph.ends(f)[0].elements) for _ in range(f.initial))
            for f in graph.fifos
        }
        self.done = dict.fromkeys(graph.node, 0)
        self.held: dict[str, Tokens] = {name: {} for name in graph.node}
        self.state: dict[str, Any] = dict.fromkeys(graph.node)
        self.written: dict[str, list[Array]] = {name: [] for name in graph.node}

    def total(self, node: StreamNode) -> int:
        """Firings of a node in the whole run."""
        return self.graph.iterations * self.graph.firings[node.name]

    def _inputs(self, node: StreamNode) -> list[tuple[Fifo, str]]:
        """FIFOs that the next firing takes from, and the port each leads to."""
        at = self.done[node.name]
        ends = [(f, self.graph.ends(f)[1]) for f in self.graph.fifos if f.consumer[0] == node.name]
        return [(f, port.name) for f, port in ends if at % port.every == 0]

    def _outputs(self, node: StreamNode) -> list[tuple[Fifo, str]]:
        """FIFOs that the next firing gives to, and the port each comes from."""
        at = self.done[node.name] + 1
        ends = [(f, self.graph.ends(f)[0]) for f in self.graph.fifos if f.producer[0] == node.name]
        return [(f, port.name) for f, port in ends if at % port.every == 0]

    def fire(self, node: StreamNode) -> bool:
        """Fire a node once, if it can."""
        if self.done[node.name] == self.total(node):
            return False
        takes, gives = self._inputs(node), self._outputs(node)
        if not all(self.queue[f.name] for f, _ in takes):
            return False
        if any(len(self.queue[f.name]) >= self.depth[f.name] for f, _ in gives):
            return False
        self.held[node.name] |= {port: self.queue[f.name].popleft() for f, port in takes}
        made = self._compute(node, self.held[node.name])
        for fifo, port in gives:
            self.queue[fifo.name].append(made[port])
        self.done[node.name] += 1
        return True

    def waits(self, node: StreamNode) -> str:
        """Why a node does not fire."""
        empty = [f.name for f, _ in self._inputs(node) if not self.queue[f.name]]
        full = [
            f.name for f, _ in self._outputs(node) if len(self.queue[f.name]) >= self.depth[f.name]
        ]
        why = [f"{name} is empty" for name in empty] + [f"{name} is full" for name in full]
        return f"{node.name}: {', '.join(why)}"

    def _compute(self, node: StreamNode, t: Tokens) -> Tokens:
        at = self.done[node.name]
        if node.kind == "source":
            tokens = self.operands[node.tensor]
            return {"out": tokens[at % len(tokens)]}
        if node.kind == "sink":
            self.written[node.name].append(t["in"])
            return {}
        if at % node.over == 0:
            self.state[node.name] = None
        if node.kind == "broadcast":
            return {port.name: t["in"] for port in node.outputs}
        made, self.state[node.name] = _MEANING[node.does](t, self.state[node.name])
        return made


def _dot(t: Tokens, state: Any) -> tuple[Tokens, Any]:
    return {"out": np.array([t["a"] @ t["b"] / np.sqrt(len(t["a"]))])}, state


def _map(function: Callable[[Tokens], Array]) -> Callable[[Tokens, Any], tuple[Tokens, Any]]:
    return lambda t, state: ({"out": function(t)}, state)


def _fold(function: Callable[[Tokens, Any], Array]) -> Callable[[Tokens, Any], tuple[Tokens, Any]]:
    def step(t: Tokens, state: Any) -> tuple[Tokens, Any]:
        state = function(t, state)
        return {"out": state}, state

    return step


def _running_max(t: Tokens, state: Any) -> tuple[Tokens, Any]:
    before = np.array([-np.inf]) if state is None else state
    now = np.maximum(before, t["in"])
    return {"shifted": t["in"] - now, "fade": before - now}, now


_MEANING: Mapping[str, Callable[[Tokens, Any], tuple[Tokens, Any]]] = {
    "scaled_dot": _dot,
    "exp": _map(lambda t: np.exp(t["in"])),
    "subtract": _map(lambda t: t["a"] - t["b"]),
    "divide": _map(lambda t: t["a"] / t["b"]),
    "repeat": _map(lambda t: t["in"]),
    "sum": _fold(lambda t, s: t["in"] + (0 if s is None else s)),
    "max": _fold(lambda t, s: t["in"] if s is None else np.maximum(t["in"], s)),
    "weighted_sum": _fold(lambda t, s: t["w"] * t["v"] + (0 if s is None else s)),
    "running_max": _running_max,
    "faded_sum": _fold(lambda t, s: t["in"] + (0 if s is None else s * t["fade"])),
    "faded_weighted_sum": _fold(lambda t, s: t["w"] * t["v"] + (0 if s is None else s * t["fade"])),
}
