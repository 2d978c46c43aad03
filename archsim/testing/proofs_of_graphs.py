"""Proofs of mappings that are graphs rather than tiles of one op: cascades and stream graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from archsim.ir.cascade import Cascade, Einsum, Nest, Operand
from archsim.ir.cascade_mapping import CascadeMapping
from archsim.ir.stream import StreamGraph
from archsim.ir.stream_check import mistakes
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.testing.cascades import cascade_mappings, moved_bytes
from archsim.testing.functional import UnsoundMappingError
from archsim.testing.functional_cascade import execute_cascade
from archsim.testing.functional_stream import StreamStopsError, execute_stream
from archsim.testing.mutations import Tried
from archsim.testing.proofs import Proof, attention_kinds

SEEDS = 8  # a correction of one matters only where a later block of keys has the larger score


def _cascade_verify(mapping: CascadeMapping) -> None:
    """Attention by its definition, and the closed form of what moves unless scores spill."""
    entered = execute_cascade(mapping)
    if any("spilled" in word for word in mapping.traffic()):
        return
    dtypes = mapping.problem.dtypes
    bytes_of = {word: int(n * dtypes[word].stored_bits / 8) for word, n in entered.items()}
    if bytes_of != moved_bytes(mapping):
        raise UnsoundMappingError(f"{bytes_of} bytes moved, {moved_bytes(mapping)} are charged")


def _cascade_mistakes(mapping: CascadeMapping) -> Iterator[Tried]:
    for name, mutant in _cascade_mutants(mapping):
        yield Tried("cascade", name, _cascade_complaint(mutant, mapping))


def _cascade_complaint(mutant: CascadeMapping, original: CascadeMapping) -> str:
    for seed in range(SEEDS):
        try:
            moved = execute_cascade(mutant, seed)
        except UnsoundMappingError as error:
            return str(error)
        if moved != execute_cascade(original, seed):
            return f"{moved} elements moved"
    return ""


def _cascade_mutants(mapping: CascadeMapping) -> Iterator[tuple[str, CascadeMapping]]:
    """Mistakes in the Einsums, and in the loops that they run in."""
    cascade = mapping.cascade
    # a lone block of keys has nothing to correct
    blocks = min(loop.steps for nest in mapping.nests for loop in nest.loops if loop.rank == "m1")
    for name, einsum, change in EINSUM_MISTAKES:
        if blocks > 1 and any(e.name == einsum for e in cascade.einsums):
            einsums = tuple(change(e) if e.name == einsum else e for e in cascade.einsums)
            yield name, replace(mapping, cascade=replace(cascade, einsums=einsums))
    for i, loop in enumerate(mapping.nests[0].loops):
        if loop.steps > 1:
            nest = mapping.nests[0]
            loops = [*nest.loops]
            loops[i] = replace(loop, steps=loop.steps - 1)
            nests = (replace(nest, loops=tuple(loops)), *mapping.nests[1:])
            yield f"last step of a loop over {loop.rank} dropped", replace(mapping, nests=nests)
    if cascade.passes("m1") > 1 and blocks > 1 and all(map(_shares_keys, mapping.nests)):
        merged = _Merged(cascade.name, cascade.einsums, cascade.starts)
        yield "passes merged", replace(mapping, cascade=merged)


def _shares_keys(nest: Nest) -> bool:
    """True where several Einsums run inside one loop over blocks of keys: passes matter there."""
    return "m1" in [loop.rank for loop in nest.loops[: nest.shared]]


class _Merged(Cascade):
    """A cascade that takes all its Einsums for those of one pass."""

    def visits(self, rank: str) -> dict[str, int]:
        """A pass too few."""
        return dict.fromkeys(super().visits(rank), 1)


def _uncorrected(e: Einsum) -> Einsum:
    return replace(e, inputs=(e.inputs[0],))


def _local_maximum(e: Einsum) -> Einsum:
    return replace(e, inputs=(e.inputs[0], Operand("LM", ("m1", "p"))))


EINSUM_MISTAKES: tuple[tuple[str, str, Callable[[Einsum], Einsum]], ...] = (
    ("sum without correction", "SPD", _uncorrected),
    ("numerator without correction", "SPNV", _uncorrected),
    ("maximum of the block alone", "SLN", _local_maximum),
)
CASCADES = Proof(
    "cascades of Einsums",
    cascade_mappings(),
    lambda mapping: (mapping.dataflow, *attention_kinds(mapping)[1:]),
    _cascade_verify,
    _cascade_mistakes,
)

GRAPHS = ("naive", "scaled", "reordered", "memory_free")


def stream_graph(name: str, tokens: int, head_dim: int, **config: Any) -> StreamGraph:
    """A built-in streaming attention."""
    config |= {"architecture": "streaming_sdpa", "graph": name}
    config |= {"tokens": tokens, "head_dim": head_dim}
    work = {"schema": "archsim.workload/1", "name": name, "model": {"config": config}}
    graph = lower(load_workload(work)[0]).blocks[0].ops[0].stream
    assert graph is not None
    return graph


@st.composite
def stream_graphs(draw: st.DrawFn) -> StreamGraph:
    """Streaming attentions of any order, with FIFOs of any depth that is enough."""
    name, tokens = draw(st.sampled_from(GRAPHS)), draw(st.integers(2, 9))
    return stream_graph(name, tokens, draw(st.integers(2, 5)), depth=draw(st.integers(1, 3)))


def _stream_verify(graph: StreamGraph, seed: int = 0) -> None:
    """Compare with attention by its definition."""
    rng = np.random.default_rng(seed)
    head_dim = next(n.outputs[0].elements for n in graph.nodes if n.tensor == "Q")
    tokens = graph.iterations
    q, k, v = rng.normal(size=(3, tokens, head_dim))
    scores = q @ k.T / np.sqrt(head_dim)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    want = shares / shares.sum(axis=1, keepdims=True) @ v
    wrong = list(mistakes(graph))
    if wrong:
        raise UnsoundMappingError(f"{graph.name}: {wrong[0]}")
    try:
        with np.errstate(all="ignore"):
            found = execute_stream(graph, {"Q": q, "K": k, "V": v})["O"]
    except StreamStopsError as error:
        raise UnsoundMappingError(f"{graph.name} stops: {error}") from None
    if found.shape != want.shape or not np.allclose(found, want, rtol=1e-9, atol=1e-9):
        raise UnsoundMappingError(f"{graph.name}: the graph computes something else")


def _stream_mistakes(graph: StreamGraph) -> Iterator[Tried]:
    for name, mutant in _stream_mutants(graph):
        words = ""
        try:
            _stream_verify(mutant)
        except UnsoundMappingError as error:
            words = str(error)
        yield Tried("stream", name, words)


def _stream_mutants(graph: StreamGraph) -> Iterator[tuple[str, StreamGraph]]:
    # a maximum only keeps scores in range: any number will do, and mistakes in it change nothing
    for reduce in (n for n in graph.nodes if n.kind == "reduce" and n.does != "max"):
        if not reduce.does.startswith("faded"):  # a row's first maximum fades what was before
            yield "a sum that is never reset", _node(graph, reduce.name, over=10**6)
        yield "a sum that is reset early", _node(graph, reduce.name, over=1)
    yield "an exponential that is left out", _node(graph, "exp", does="repeat")
    for i in range(len(graph.fifos)):
        yield (
            "a FIFO that is left out",
            replace(graph, fifos=(*graph.fifos[:i], *graph.fifos[i + 1 :])),
        )
    score = graph.node["score"]
    once = tuple(replace(port, every=1) for port in score.inputs)
    yield "a query for every key", _node(graph, "score", inputs=once)
    for fifo in graph.fifos:
        if fifo.depth == graph.iterations + 2:  # it holds a whole row of scores
            short = replace(fifo, depth=graph.iterations - 1)
            fifos = tuple(short if f is fifo else f for f in graph.fifos)
            yield "a FIFO that is too short for a row", replace(graph, fifos=fifos)


def _node(graph: StreamGraph, name: str, **changes: Any) -> StreamGraph:
    nodes = tuple(replace(n, **changes) if n.name == name else n for n in graph.nodes)
    return replace(graph, nodes=nodes)


STREAMS = Proof(
    "stream graphs",
    stream_graphs(),
    lambda graph: (f"streaming SDPA, {graph.name}",),
    _stream_verify,
    _stream_mistakes,
)
