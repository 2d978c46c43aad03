"""What can be wrong with a stream graph: ports, depths, rates, cycles; each with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from archsim.ir.stream import Fifo, StreamGraph, StreamNode


class Mistake(NamedTuple):
    """What is wrong: `nodes` or `fifos`, the place there, the key, and the message."""

    section: str
    at: int
    key: str
    code: str
    message: str
    help: str | None = None


def mistakes(graph: StreamGraph) -> Iterator[Mistake]:
    """Everything wrong with a graph; rates are judged only where all ends are there."""
    found = list(_names(graph)) or list(_ends(graph))
    yield from found
    for i, fifo in enumerate(graph.fifos):
        yield from _sizes(i, fifo)
    if not found:
        found = [*_unreached(graph), *_rates(graph)]
        yield from found
    if not found:
        yield from _cycles(graph)


def _names(graph: StreamGraph) -> Iterator[Mistake]:
    nodes, fifos = [n.name for n in graph.nodes], [f.name for f in graph.fifos]
    for section, names in (("nodes", nodes), ("fifos", fifos)):
        for i, name in enumerate(names):
            if name in names[:i]:
                what = section.removesuffix("s")
                yield Mistake(section, i, "name", "E002", f'{what} "{name}" is given twice')


def _ends(graph: StreamGraph) -> Iterator[Mistake]:
    """FIFOs that lead nowhere, inputs with several FIFOs, ports with none."""
    used = Counter[tuple[str, str, str]]()
    for i, fifo in enumerate(graph.fifos):
        for key, side, (name, port) in (
            ("from", "outputs", fifo.producer),
            ("to", "inputs", fifo.consumer),
        ):
            node = graph.node.get(name)
            if node is None:
                listed = ", ".join(graph.node)
                text = f'fifo {fifo.name}: no node "{name}"'
                yield Mistake("fifos", i, key, "E201", text, f"nodes: {listed}")
                continue
            end = node.port(side, port)
            if end is None:
                ports = [p.name for p in getattr(node, side)]
                what = f'no {side[:-1]} "{port}"' if port else f"{len(ports)} {side}: say which"
                text = f"fifo {fifo.name}: {name} has {what}"
                listed = ", ".join(ports) or "none"
                yield Mistake("fifos", i, key, "E201", text, f"{side} of {name}: {listed}")
                continue
            used[name, side, end.name] += 1
            if side == "inputs" and used[name, side, end.name] > 1:
                text = f"fifo {fifo.name}: another FIFO leads to {name}.{end.name} already"
                yield Mistake("fifos", i, key, "E202", text)
    for i, node in enumerate(graph.nodes):
        for side in ("inputs", "outputs"):
            for port in getattr(node, side):
                if not used[node.name, side, port.name]:
                    text = f"{side[:-1]} {port.name} of {node.name} dangles: no FIFO joins it"
                    yield Mistake("nodes", i, "name", "E201", text)


def _sizes(i: int, fifo: Fifo) -> Iterator[Mistake]:
    if fifo.depth < 1:
        text = f"fifo {fifo.name} has depth {fifo.depth}: no token ever passes it"
        yield Mistake("fifos", i, "depth", "E107", text, "the least is 1; 2 let both ends work")
    elif fifo.initial > fifo.depth:
        text = f"fifo {fifo.name} begins with {fifo.initial} tokens, its depth is {fifo.depth}"
        yield Mistake("fifos", i, "initial", "E202", text)


def _unreached(graph: StreamGraph) -> Iterator[Mistake]:
    for i, node in enumerate(graph.nodes):
        if node.name not in graph.firings:
            text = f"{node.name} is fed by no source: how often it fires cannot be told"
            yield Mistake("nodes", i, "name", "E201", text)


def _rates(graph: StreamGraph) -> Iterator[Mistake]:
    """Tokens that a FIFO gets and gives in an iteration differ, or are no whole number."""
    for i, node in enumerate(graph.nodes):
        if node.name in graph.firings:  # else it is named as unreached
            yield from _periods(graph, i, node)
    for i, fifo in enumerate(graph.fifos):
        start, end = fifo.producer[0], fifo.consumer[0]
        if start not in graph.firings or end not in graph.firings:
            continue
        out, into = graph.ends(fifo)
        given, taken = graph.firings[start] / out.every, graph.firings[end] / into.every
        if given != taken:
            text = (
                f"fifo {fifo.name}: {start} gives {given:g} tokens an iteration, {end} takes "
                f"{taken:g}"
            )
            yield Mistake("fifos", i, "to", "E202", text, "a rate on the way does not fit")
        if out.elements != into.elements:
            text = (
                f"fifo {fifo.name}: tokens of {start} have {out.elements} elements, {end} takes "
                f"{into.elements}"
            )
            yield Mistake("fifos", i, "to", "E202", text)


def _periods(graph: StreamGraph, i: int, node: StreamNode) -> Iterator[Mistake]:
    """Periods of a node's ports divide each other, and its firings, so that loops tell them."""
    ports = (*node.inputs, *node.outputs)
    times = max(1, graph.firings[node.name])  # none where less than a token arrives: told below
    periods = sorted({1, *(p.every for p in ports), node.over, times})
    for short, long in pairwise(periods):
        if long % short:
            last = times == long
            what = f"fires {long} times an iteration" if last else f"has a rate of {long}"
            text = f"{node.name} {what}, which its rate of {short} does not divide"
            yield Mistake("nodes", i, "name", "E202", text)
            return


def _cycles(graph: StreamGraph) -> Iterator[Mistake]:
    """Nodes on a cycle, none of whose FIFOs holds a token at first, can never fire."""
    after: dict[str, list[tuple[int, str]]] = {n.name: [] for n in graph.nodes}
    for i, fifo in enumerate(graph.fifos):
        if not fifo.initial:
            after[fifo.producer[0]].append((i, fifo.consumer[0]))
    done: set[str] = set()
    for first in after:
        path: list[str] = []
        found = _cycle(first, after, done, path)
        if found is not None:
            index, names = found
            text = f"fifo {graph.fifos[index].name} closes a cycle without a token: " + " -> ".join(
                names
            )
            help_text = "give a FIFO of the cycle `initial` tokens"
            yield Mistake("fifos", index, "from", "E202", text, help_text)
            return


def _cycle(
    name: str, after: dict[str, list[tuple[int, str]]], done: set[str], path: list[str]
) -> tuple[int, list[str]] | None:
    """The FIFO that closes a cycle reached from a node, and the nodes of the cycle."""
    if name in done:
        return None
    path.append(name)
    for index, then in after[name]:
        if then in path:
            return index, [*path[path.index(then) :], then]
        found = _cycle(then, after, done, path)
        if found is not None:
            return found
    path.pop()
    done.add(name)
    return None
