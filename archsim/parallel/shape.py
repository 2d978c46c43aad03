"""What a plan must know of a graph: heads, sequences, tokens, widths, layers, experts.

All is read from ops and facts: a graph may come from any builder. How a plan uses it is said in
the passes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.tensor import Role

CHUNK = re.compile(r"\bprefill(\d+)\.")  # of a prompt, in names of its ops and tensors


@dataclass(frozen=True)
class Shape:
    """Sizes of a graph of a Transformer; numbers are 0 where it has no such part.

    Attributes:
        heads: of queries.
        kv_heads: of keys; 1 where all heads share one latent.
        batch: sequences of a step.
        tokens: new tokens of a step.
        ffn: widths of feed-forward parts, experts' and shared ones included.
        width: of the residual stream.
        vocab: columns of the head.
        layers: blocks of layers by name, and how many layers each repetition of one has.
        experts: of a layer.
        trains: whether there is a backward pass.
        parts: attentions of a layer's step, such as one of decoding sequences and one of a prompt.
        part_batch: sequences of each of them, the decoding ones first; empty where there is one.
    """

    heads: int
    kv_heads: int
    batch: int
    tokens: int
    ffn: tuple[int, ...]
    width: int
    vocab: int
    layers: tuple[tuple[str, int], ...]
    experts: int
    trains: bool
    parts: int
    part_batch: tuple[int, ...] = ()

    @classmethod
    def of(cls, graph: OpGraph) -> Shape:
        """The sizes of a graph."""
        ops = [op for _, op in graph.ops()]
        phase = dict(graph.facts.get("phase") or {})
        batch = sequences(phase)
        heads, kv_heads = _heads(graph, batch)
        attentions = [
            (block.name, sum(op.op_class == "attention_score" for op in block.ops))
            for block in graph.blocks
        ]
        outs = {
            block.name: sum(
                op.op_class == "out_proj" and op.name.endswith("attn.out") for op in block.ops
            )
            for block in graph.blocks
        }
        layered = tuple((name, n) for name, n in outs.items() if n)
        return cls(
            heads=heads,
            kv_heads=kv_heads,
            batch=batch,
            tokens=next((op.ranks["M"] for op in ops if op.op_class == "embedding"), 0),
            ffn=tuple(sorted({n for op in ops if (n := _inner(op))})),
            width=next((op.ranks["N"] for op in ops if op.op_class == "embedding"), 0),
            vocab=next((op.ranks["N"] for op in ops if op.op_class == "lm_head"), 0),
            layers=layered,
            experts=next((op.ranks["N"] for op in ops if op.op_class == "moe_router"), 0),
            trains=any(op.op_class.endswith("_backward") for op in ops),
            parts=max((n // outs[name] for name, n in attentions if outs[name]), default=0),
            part_batch=_part_batch(phase),
        )

    def batch_of(self, name: str) -> int:
        """Sequences of the part of a step that one of attention's ops or tensors is of."""
        if not self.part_batch:
            return self.batch
        chunk = CHUNK.search(name)
        return self.part_batch[int(chunk.group(1)) if chunk else 0]

    @property
    def count(self) -> int:
        """Layers of one repetition of each block, over all blocks."""
        return sum(n for _, n in self.layers)


def sequences(phase: dict[str, Any]) -> int:
    """Sequences of a step of a phase, as facts keep it."""
    if phase.get("kind") == "mixed":
        chunks = phase["prefill"]
        chunks = chunks if isinstance(chunks, list | tuple) else [chunks]
        return sequences(phase["decode"]) + sum(int(chunk.get("batch", 1)) for chunk in chunks)
    contexts = phase.get("context")
    if isinstance(contexts, list | tuple):
        return len(contexts)
    return int(phase.get("batch") or 1)


def _part_batch(phase: dict[str, Any]) -> tuple[int, ...]:
    if phase.get("kind") != "mixed":
        return ()
    chunks = phase["prefill"]
    chunks = chunks if isinstance(chunks, list | tuple) else [chunks]
    return (sequences(phase["decode"]), *(int(chunk.get("batch") or 1) for chunk in chunks))


def _inner(op: Op) -> int:
    """Inner width of a feed-forward product that widens."""
    if op.op_class not in ("ffn", "moe_expert", "moe_shared") or op.name.endswith("scale"):
        return 0
    return op.ranks["K"] if op.name.endswith("down") else op.ranks["N"]


def _heads(graph: OpGraph, batch: int) -> tuple[int, int]:
    """Heads of queries and of keys, from the first attention."""
    for block in graph.blocks:
        score = next((op for op in block.ops if op.op_class == "attention_score"), None)
        if score is None:
            continue
        up = next((op for op in block.ops if op.name.endswith("attn.k_up")), None)
        if up is not None:
            return up.ranks["B"], 1
        value = next(op for op in block.ops if op.op_class == "attention_value")
        out = next((op for op in block.ops if op.name.endswith("attn.out")), None)
        if out is None:
            continue
        heads = out.ranks["K"] // value.ranks["N"]
        keys = next((op for op in block.ops if op.name.endswith("kv_append")), None)
        if keys is None:
            key = graph.tensors[score.reads[1].tensor]
            return heads, max(1, key.elements // (score.ranks["N"] * score.ranks["K"] * batch))
        cache = graph.tensors[keys.writes[0].tensor]
        latent = cache.role is Role.KV_CACHE and keys.writes[0].tensor.endswith("latent")
        return heads, heads if latent else keys.ranks["N"] // (score.ranks["K"] + value.ranks["N"])
    return 0, 0
