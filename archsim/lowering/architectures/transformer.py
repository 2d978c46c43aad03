"""A Transformer: a decoder that generates with a KV cache, or an encoder; dense or in experts.

Here are its phases and blocks; its numbers and closed forms are in `_description`, the ops of a
block in `_attention`, `_mla`, `_moe` and `_transformer_ops`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Op
from archsim.ir.tensor import Role
from archsim.lowering.architectures._attention import attention
from archsim.lowering.architectures._description import Transformer
from archsim.lowering.architectures._layers import Run, runs
from archsim.lowering.architectures._transformer_ops import embedding, feed_forward, head
from archsim.lowering.architectures.base import Architecture, Objection
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, Decode, DTypes, Encode, Infer, Sequences
from archsim.lowering.routing import Routed

CONTEXT = 2048  # at which a model without a phase is counted, or all its positions where fewer


class TransformerBuilder(Architecture):
    """Embedding, layers that repeat, head."""

    kind = "transformer"
    Spec = Transformer

    spec: Transformer

    @property
    def phases(self) -> tuple[str, ...]:
        """An encoder encodes; a decoder prefills and decodes."""
        return ("encode",) if self.spec.encoder else ("decode", "prefill")

    @property
    def keeps_cache(self) -> bool:
        """Decoders do."""
        return not self.spec.encoder

    def default_phase(self) -> AnyPhase:
        """One sequence at a context of 2048, or at as many tokens as the model has positions."""
        context = min(CONTEXT, self.spec.limit or CONTEXT)
        if self.spec.encoder:
            return Encode(kind="encode", tokens=context)
        return Decode(kind="decode", context=context)

    def objections(self, phase: AnyPhase) -> Iterator[Objection]:
        """A learned position table cannot be exceeded."""
        limit = self.spec.limit
        s = _sequences(phase)
        if limit is not None and s.longest > limit:
            key = "context" if isinstance(phase, Decode) else "tokens"
            yield Objection(
                key, "E107", f"{s.longest} tokens exceed the {limit} positions of the model"
            )

    def warnings(self, phase: AnyPhase) -> Iterator[tuple[str, str]]:
        """A window that shortens the context asked for."""
        window, s = self.spec.sliding_window, _sequences(phase)
        if window and s.longest > window:
            yield "W102", f"tokens attend to a sliding window of {window}, not to {s.longest}"

    def routed(self, phase: AnyPhase) -> Routed | None:
        """Tokens and experts of each layer that has some."""
        m = self.spec
        if m.moe is None:
            return None
        layers = sum(kind.moe for kind in m.layer_kinds())
        return Routed(m.moe.experts, m.moe.top_k, _sequences(phase).tokens, layers)

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """The masked points of a prefill are computed, as unfused kernels do."""
        m, s = self.spec, _sequences(phase)
        kinds = m.layer_kinds()
        layered = m.moe is not None and parts.routing is not None and parts.routing.layered
        found = [Run((kind,), 1, i) for i, kind in enumerate(kinds)] if layered else runs(kinds)
        blocks = [Block("embed", 1, tuple(embedding(parts, m, s)))]
        names = _block_names(found)
        before = "hidden"
        for i, (run, name) in enumerate(zip(found, names, strict=True)):
            after = "hidden.out" if i == len(found) - 1 else f"hidden.{i + 1}"
            single = len(found) == 1
            ops = self._period(parts, s, run, "" if single else f"{name}.", (before, after))
            blocks.append(Block(name, run.times, ops, ((before, after),) if run.times > 1 else ()))
            before = after
        last = tuple(head(parts, m, s))
        return (*blocks, Block("head", 1, last)) if last else tuple(blocks)

    def _period(
        self, parts: Parts, s: Sequences, run: Run, block: str, ends: tuple[str, str]
    ) -> tuple[Op, ...]:
        """The ops of one period of layers, from the residual stream at one end to the other."""
        m, ops, size = self.spec, [], len(run.period)
        here = ends[0]
        for j, kind in enumerate(run.period):
            after = ends[1] if j == size - 1 else f"{block}hidden.{j}"
            within = f"{j}.{kind.name}." if size > 1 else ""
            window = m.sliding_window if kind.windowed else None
            p = parts.scope(block, within, {"hidden": here, "hidden.out": after})
            seen = s.within(window)
            ops += attention(p, m, seen, window)
            ops += feed_forward(p, m, seen, run.first + j, moe=kind.moe)
            here = after
        return tuple(ops)

    def facts(self, graph: OpGraph, phase: AnyPhase, dtypes: DTypes) -> dict[str, Any]:
        """Counts; `macs_causal` leaves out what the mask discards."""
        m, s = self.spec, _sequences(phase)
        cached = m.kv_elements_per_token()
        return {
            "layers": m.layers,
            "parameters": m.parameters(),
            **({"active_parameters": m.active_parameters()} if m.moe else {}),
            "macs": graph.macs(),
            "macs_causal": graph.macs() - m.masked_macs(s),
            "macs_per_token": m.macs_per_token(s.longest),
            "context": s.longest,
            "kv_bytes_per_token": dtypes.of(Role.KV_CACHE).bytes(cached) if cached else 0,
            "output_tokens": s.tokens if m.encoder else s.batch,
        }


def _block_names(found: list[Run]) -> list[str]:
    """One run is `layer`; of several the longest is, and the others say what they are."""
    if len(found) == 1:
        return ["layer"]
    longest = max(range(len(found)), key=lambda i: found[i].times * len(found[i].period))
    return ["layer" if i == longest else f"layers_{run.first}" for i, run in enumerate(found)]


def _sequences(phase: AnyPhase) -> Sequences:
    assert not isinstance(phase, Infer), "phases of the model are checked before it is built"
    return Sequences.of(phase)
