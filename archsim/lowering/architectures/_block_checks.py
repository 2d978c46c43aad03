"""Where a block-sparse mask does not suit a Transformer, its cache options, or a phase."""

from __future__ import annotations

from collections.abc import Iterator

from archsim.lowering.architectures._contradictions import of_blocks
from archsim.lowering.architectures._description import Transformer
from archsim.lowering.architectures.base import Objection
from archsim.lowering.kv import KvOptions
from archsim.lowering.phase import AnyPhase
from archsim.lowering.sequences import Step

HERE = ("block_sparse", "attention")  # key and section


def block_objections(
    m: Transformer, kv: KvOptions, phase: AnyPhase | None, steps: tuple[Step, ...]
) -> Iterator[Objection]:
    """What does not fit, for a model with a mask of blocks.

    Args:
        m: the model, with the options of the workload.
        kv: options of the cache.
        phase: None where there is none yet.
        steps: of the phase; none where there is no phase.
    """
    if m.block_sparse is None:
        return
    key, section = HERE
    for _, code, message, help_text in of_blocks(m):
        yield Objection(key, code, message, help_text, section)
    for option in ("kept", "shared_prefix"):
        if getattr(kv, option):
            message = f"blocks are chosen by a mask, so kv.{option} has nothing to say"
            yield Objection(key, "E202", message, f"without kv.{option}", section)
    block = m.block_sparse.block
    for part in (part for step in steps for part in step.parts if part.new > 1):
        for name, tokens in (("tokens", part.new), ("context_before", part.context - part.new)):
            if tokens % block:
                message = f"{name} {tokens} is no whole number of blocks of {block}"
                at = "prefill" if phase is not None and phase.kind == "mixed" else name
                fitting = -(-tokens // block) * block
                yield Objection(at, "E202", message, f"{name}: {fitting}, or another block")


def without_effect(m: Transformer, steps: tuple[Step, ...]) -> bool:
    """True where a mask of blocks leaves nothing out."""
    blocks = m.block_sparse
    if blocks is None:
        return False
    causal = not m.encoder
    for part in (part for step in steps for part in step.parts):
        for length, _ in part.contexts:
            if part.new == 1:
                if blocks.attended(length) < length:
                    return False
                continue
            total = length // blocks.block
            first = (length - part.new) // blocks.block
            if any(
                blocks.row(i, total, causal=causal) < (i + 1 if causal else total)
                for i in range(first, total)
            ):
                return False
    return True
