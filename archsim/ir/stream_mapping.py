"""A stream graph on a fabric: a compute unit for each node, memory units for what is long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archsim.core.html import Rendered
from archsim.ir.stream import StreamGraph


@dataclass(frozen=True)
class StreamMapping(Rendered):
    """Which units a stream graph takes, and how long they need for a firing.

    Attributes:
        name: path of the stage.
        engine: name in the machine.
        graph: what runs.
        cycles: of a firing, by node.
        latency_cycles: from the start of a firing until its tokens leave, by node.
        memory_units: that each long FIFO (`fifo name`) and each tensor (`tensor name`) lies in.
        compute_units: that nodes take; sources and sinks work on memory units.
        room_bytes: on chip, of all those memory units.
    """

    name: str
    engine: str
    graph: StreamGraph
    cycles: Mapping[str, int]
    latency_cycles: Mapping[str, int]
    memory_units: Mapping[str, int]
    compute_units: int
    room_bytes: int
    dataflow: str = "stream"

    @property
    def order(self) -> tuple[str, ...]:
        """Loops, outermost first: iterations, then firings of each node."""
        return ("iteration", "firing")

    @property
    def tile(self) -> dict[str, int]:
        """A token at a time."""
        return {"iteration": 1, "firing": 1}

    @property
    def keep(self) -> dict[str, str]:
        """FIFOs and tensors that lie in memory units."""
        return {name: f"{units} memory units" for name, units in self.memory_units.items()}

    def bottleneck(self) -> str:
        """The node that works longest in an iteration."""
        busy = {n.name: self.busy_cycles(n.name) for n in self.graph.nodes}
        return max(busy, key=busy.__getitem__)

    def busy_cycles(self, node: str) -> int:
        """Cycles that a node works in one iteration."""
        return self.cycles[node] * self.graph.firings[node]

    def render(self) -> str:
        """Nodes with their rates, FIFOs with their depths, as text."""
        graph = self.graph
        lines = [
            f"{self.name}: stream on {self.engine}, {self.compute_units} compute units, "
            f"{sum(self.memory_units.values())} memory units",
            f"for iteration in {graph.iterations}",
        ]
        lines += [
            f"  {n.name}: {n.does or n.kind}, {graph.firings[n.name]} firings of "
            f"{self.cycles[n.name]} cycles"
            for n in graph.nodes
        ]
        lines += [
            f"  {f.name}: depth {f.depth} x {graph.token_bytes(f)} B"
            + (
                f", {units} memory units"
                if (units := self.memory_units.get(f"fifo {f.name}"))
                else ""
            )
            for f in graph.fifos
        ]
        return "\n".join(lines)
