"""Networks that run at once: the order in which they share each engine.

Every network has a sequencer of its own, so none waits for another's stages but where both need
one engine or one memory. An engine serves stages in a fixed order, which is settled here: first
the stage that can start first, judged by how long each takes alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from archsim.core.errors import Unsupported
from archsim.sim.program import Leaf, Loop
from archsim.system.place import Plan
from archsim.system.rows import Book
from archsim.system.sequence import Pieces, Sequencer, Shared
from archsim.system.split_lanes import served_by


@dataclass(frozen=True)
class Turn:
    """A stage of one network, once: the units it keeps busy, and for how long."""

    network: str
    engines: tuple[str, ...]
    time_ps: int


def side_by_side(plan: Plan, shared: Shared) -> list[Loop | Leaf]:
    """The rows of all networks of a plan, repeated blocks unrolled.

    Raises:
        Unsupported: E302 where tensors are staged between memories: a lane has one customer.
    """
    if plan.homes.far:
        raise Unsupported(
            f"{plan.graph.name} runs networks at once, and their data come from further memories",
            code="E302",
            help=f"put them into {plan.machine.dram.name}, or run the networks one by one",
        )
    turns: dict[str, list[Turn]] = {}
    pieces: dict[str, Pieces] = {}
    for network in plan.graph.networks:
        sequencer = Sequencer(plan, shared, network)
        turns[network], pieces[network] = [], []
        for block in plan.blocks:
            if block.block.network != network:
                continue
            base = sequencer.enter(block)
            for _ in range(block.block.count):
                rows = sequencer.once(block, base)
                pieces[network] += rows
                turns[network] += [
                    Turn(network, served_by(plan, stage), busiest_ps(shared.book, piece))
                    for stage, piece in zip(block.stages, rows, strict=True)
                ]
    order = served(list(turns.values()))
    if sorted(order) != sorted(shared.order):
        shared.order[:] = order
    # devices of a pod that are not alike keep one order, so that each meets the others in turn
    return [node for network, i in shared.order for node in pieces[network][i]]


def busiest_ps(book: Book, nodes: Sequence[Loop | Leaf]) -> int:
    """How long the busiest unit of some rows works: what they take where nothing is in the way."""
    busy: Counter[int] = Counter()

    def walk(nodes: Sequence[Loop | Leaf], times: int) -> None:
        for node in nodes:
            if isinstance(node, Loop):
                walk(node.body, times * node.n)
            else:
                for row in (book.drafts[i] for i in node.rows):
                    busy[row.unit] += times * row.run * row.dur_ps

    walk(nodes, 1)
    return max(busy.values(), default=0)


def served(turns: Sequence[Sequence[Turn]]) -> list[tuple[str, int]]:
    """The order in which stages are served: (network, place in it), each network's in its order.

    List scheduling: the stage that can start first goes first; of several, that of the network
    with most left to do.
    """
    free: dict[str, int] = {}
    ready = [0] * len(turns)
    at = [0] * len(turns)
    left = [sum(t.time_ps for t in own) for own in turns]
    order: list[tuple[str, int]] = []
    while any(i < len(own) for i, own in zip(at, turns, strict=True)):
        waiting = [n for n, own in enumerate(turns) if at[n] < len(own)]

        def start(n: int) -> int:
            return max(ready[n], *(free.get(e, 0) for e in turns[n][at[n]].engines))

        n = min(waiting, key=lambda n: (start(n), -left[n], n))
        turn = turns[n][at[n]]
        ready[n] = start(n) + turn.time_ps
        for engine in turn.engines:
            free[engine] = ready[n]
        left[n] -= turn.time_ps
        order.append((turn.network, at[n]))
        at[n] += 1
    return order
