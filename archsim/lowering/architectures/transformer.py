"""A Transformer: a decoder that generates with a KV cache, or an encoder; dense or in experts.

Here are its phases and blocks; its numbers and closed forms are in `_description`, the ops of a
block in `_attention`, `_mla`, `_moe` and `_transformer_ops`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Op
from archsim.lowering.architectures._attention import attention
from archsim.lowering.architectures._block_checks import block_objections, without_effect
from archsim.lowering.architectures._description import Transformer
from archsim.lowering.architectures._kv_checks import kv_objections
from archsim.lowering.architectures._layers import Run, runs
from archsim.lowering.architectures._train import training
from archsim.lowering.architectures._train_checks import train_objections, trained, trains
from archsim.lowering.architectures._transformer_ops import embedding, feed_forward, head
from archsim.lowering.architectures.base import Architecture, Objection
from archsim.lowering.kv import KvOptions
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, Decode, DTypes, Encode, Train
from archsim.lowering.routing import Routed
from archsim.lowering.sequences import Step, steps_of

OF_DECODE = ("kept", "shared_prefix")  # options of the cache without effect elsewhere
OF_CACHE = ("k_bits", "v_bits")
CONTEXT = 2048  # at which a model without a phase is counted, or all its positions where fewer


class TransformerBuilder(Architecture):
    """Embedding, layers that repeat, head."""

    kind = "transformer"
    Spec = Transformer

    spec: Transformer

    def __init__(self, spec: Any, kv: KvOptions | None = None) -> None:
        super().__init__(spec, kv)
        self.given: Transformer = spec
        changes = {"kv_heads": self.kv.heads, "sliding_window": self.kv.window}
        self.spec = spec.model_copy(update={k: v for k, v in changes.items() if v})

    @property
    def phases(self) -> tuple[str, ...]:
        """An encoder encodes; a decoder prefills, decodes, does both; a dense one is trained."""
        if self.spec.encoder:
            return ("encode",)
        return ("decode", "prefill", "mixed", *(("train",) if trains(self.spec) else ()))

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

    def objections(self, phase: AnyPhase | None) -> Iterator[Objection]:
        """A learned position table cannot be exceeded; options of the cache fit model and phase."""
        yield from kv_objections(self.given, self.kv, phase)
        steps = self._steps(phase) if phase else ()
        yield from block_objections(self.spec, self.kv, phase, steps)
        if isinstance(phase, Train):
            yield from train_objections(self.spec)
        limit = self.spec.limit
        if phase is None or limit is None:
            return
        last = steps[-1]
        longest = last.context
        if longest > limit:
            key = {"decode": "context", "mixed": "decode"}.get(phase.kind, "tokens")
            if phase.kind == "mixed" and last.parts[0].context <= limit:
                key = "prefill"
            yield Objection(
                key, "E107", f"{longest} tokens exceed the {limit} positions of the model"
            )

    def warnings(self, phase: AnyPhase) -> Iterator[tuple[str, str]]:
        """A window that shortens the context asked for, and options without an effect."""
        window, longest = self.given.sliding_window, self._steps(phase)[-1].context
        if window and longest > window and not self.kv.window:
            yield "W102", f"tokens attend to a sliding window of {window}, not to {longest}"
        if without_effect(self.spec, self._steps(phase)):
            yield "W101", "attention.block_sparse has no effect: no block is left out"
        idle = {"prefill": OF_DECODE, "train": (*OF_DECODE, *OF_CACHE)}.get(phase.kind, ())
        for key in idle:
            if getattr(self.kv, key):
                what = "sequences that decode" if key in OF_DECODE else "a cache, and there is none"
                yield "W101", f"kv.{key} has no effect: it is of {what}"

    def routed(self, phase: AnyPhase) -> Routed | None:
        """Tokens and experts of each layer that has some."""
        m = self.spec
        if m.moe is None:
            return None
        layers = sum(kind.moe for kind in m.layer_kinds())
        steps = self._steps(phase)
        return Routed(m.moe.experts, m.moe.top_k, steps[0].tokens, layers, len(steps))

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """The masked points of a prefill are computed, as unfused kernels do."""
        blocks = tuple(b for step in self._steps(phase) for b in self._step(parts, step))
        if not isinstance(phase, Train):
            return blocks
        tokens = phase.batch * phase.tokens
        return (*blocks, *training(parts, self.spec, tokens, blocks, phase.optimizer))

    def _steps(self, phase: AnyPhase) -> tuple[Step, ...]:
        steps, blocks = steps_of(phase, self.kv), self.spec.block_sparse
        if blocks is None:
            return steps
        return tuple(
            replace(step, parts=tuple(replace(part, blocks=blocks) for part in step.parts))
            for step in steps
        )

    def _step(self, parts: Parts, step: Step) -> Iterator[Block]:
        """The blocks of one step; steps share weights and cache."""
        m, p = self.spec, replace(parts, step=step.before, kv=self.kv)
        kinds = m.layer_kinds()
        layered = m.moe is not None and parts.routing is not None and parts.routing.layered
        found = [Run((kind,), 1, i) for i, kind in enumerate(kinds)] if layered else runs(kinds)
        yield Block(f"embed{step.behind}", 1, tuple(embedding(p, m, step)))
        names = _block_names(found)
        here = p.name("hidden")
        for i, (run, name) in enumerate(zip(found, names, strict=True)):
            after = p.name("hidden.out" if i == len(found) - 1 else f"hidden.{i + 1}")
            single = len(found) == 1
            ops = self._period(p, step, run, "" if single else f"{name}.", (here, after))
            carry = ((here, after),) if run.times > 1 else ()
            yield Block(f"{name}{step.behind}", run.times, ops, carry)
            here = after
        last = tuple(head(p, m, step))
        if last:
            yield Block(f"head{step.behind}", 1, last)

    def _period(
        self, parts: Parts, step: Step, run: Run, block: str, ends: tuple[str, str]
    ) -> tuple[Op, ...]:
        """The ops of one period of layers, from the residual stream at one end to the other."""
        m, ops, size = self.spec, [], len(run.period)
        here = ends[0]
        for j, kind in enumerate(run.period):
            after = ends[1] if j == size - 1 else parts.name(f"{block}hidden.{j}")
            within = f"{j}.{kind.name}." if size > 1 else ""
            window = m.sliding_window if kind.windowed else None
            p = parts.scope(block, within, {"hidden": here, "hidden.out": after})
            ops += attention(p, m, step, window)
            ops += feed_forward(p, m, step, run.first + j, moe=kind.moe)
            here = after
        return tuple(ops)

    def facts(self, graph: OpGraph, phase: AnyPhase, dtypes: DTypes) -> dict[str, Any]:
        """Counts; `macs_causal` leaves out what the mask discards."""
        m, steps = self.spec, self._steps(phase)
        masked = sum(m.masked_macs(part) for step in steps for part in step.parts)
        if isinstance(phase, Train):  # seven products of each score where a prompt has two
            masked = masked * 7 // 2
        keys, values = self.kv.formats(dtypes)
        cached = m.cached_elements()
        return {
            "layers": m.layers,
            "parameters": m.parameters(),
            **({"active_parameters": m.active_parameters()} if m.moe else {}),
            "macs": graph.macs(),
            "macs_causal": graph.macs() - masked,
            "macs_per_token": m.macs_per_token(steps[-1].context),
            "context": steps[-1].context,
            "kv_bytes_per_token": keys.bytes(cached[0]) + values.bytes(cached[1]),
            "output_tokens": sum(s.tokens if m.encoder or s.trains else s.batch for s in steps),
            **_prompt_tokens(phase, steps),
            **(trained(graph) if isinstance(phase, Train) else {}),
        }


def _prompt_tokens(phase: AnyPhase, steps: tuple[Step, ...]) -> dict[str, int]:
    """Tokens of prompts that a phase processes; nothing where there is none."""
    if phase.kind not in ("prefill", "mixed"):
        return {}
    first = 1 if phase.kind == "mixed" else 0  # decoding sequences come before
    return {"prompt_tokens": sum(part.tokens for step in steps for part in step.parts[first:])}


def _block_names(found: list[Run]) -> list[str]:
    """One run is `layer`; of several the longest is, and the others say what they are."""
    if len(found) == 1:
        return ["layer"]
    longest = max(range(len(found)), key=lambda i: found[i].times * len(found[i].period))
    return ["layer" if i == longest else f"layers_{run.first}" for i, run in enumerate(found)]
