"""Which options of the KV cache a Transformer and a phase refuse, and at which key."""

from __future__ import annotations

from collections.abc import Iterator

from archsim.lowering.architectures._description import Transformer
from archsim.lowering.architectures.base import Objection
from archsim.lowering.kv import KvOptions
from archsim.lowering.phase import AnyPhase, Contexts, Mixed
from archsim.lowering.sequences import steps_of


def kv_objections(m: Transformer, kv: KvOptions, phase: AnyPhase | None) -> Iterator[Objection]:
    """What does not fit.

    Args:
        m: the model, as it is without options.
        kv: the options.
        phase: None where there is none yet.
    """
    if m.encoder:
        return
    yield from _of_model(m, kv)
    if phase is None:
        return
    longest = steps_of(phase)[-1].context
    if kv.window and kv.window > longest:
        message = f"a window of {kv.window} tokens is longer than the context of {longest}"
        yield _at("window", "E107", message, f"window: 1 to {longest}")
    decode = phase.decode if isinstance(phase, Mixed) else phase
    if isinstance(decode, Contexts) and kv.shared_prefix:
        yield from _of_prefix(kv, decode, kv.shared_prefix)


def _of_model(m: Transformer, kv: KvOptions) -> Iterator[Objection]:
    if kv.heads and m.mla:
        yield _at("heads", "E202", "latent attention has no key-value heads")
    elif kv.heads and m.heads % kv.heads:
        message = f"{kv.heads} key-value heads do not divide {m.heads} heads"
        fitting = ", ".join(str(n) for n in range(1, m.heads + 1) if m.heads % n == 0)
        yield _at("heads", "E202", message, f"one of {fitting}")
    if m.mla and kv.v_bits and kv.v_bits != kv.k_bits:
        message = "a latent is key and value: it has one width"
        yield _at("v_bits", "E202", message, "k_bits alone")
    if m.mla and kv.kept and m.mla.absorb == "never":
        message = "tokens are chosen in the absorbed form, which the model never takes"
        yield _at("kept", "E202", message, "absorb: decode")
    width = m.mla.cached if m.mla else m.head_dim
    if kv.select_width and kv.select_width > width:
        message = f"a choice by {kv.select_width} elements exceeds the {width} of a key"
        yield _at("select_width", "E107", message, f"select_width: 1 to {width}")


def _of_prefix(kv: KvOptions, decode: Contexts, prefix: int) -> Iterator[Objection]:
    counts = decode.counts()
    batch, shortest = sum(counts.values()), min(counts)
    if prefix >= shortest:
        message = f"a prefix of {prefix} tokens leaves none of a context of {shortest}"
        yield _at("shared_prefix", "E107", message, f"shared_prefix: 1 to {shortest - 1}")
    if kv.sharers and batch % kv.sharers:
        message = f"groups of {kv.sharers} do not make up {batch} sequences"
        yield _at("sharers", "E202", message)


def _at(key: str, code: str, message: str, help_text: str | None = None) -> Objection:
    return Objection(key, code, message, help_text, "kv")
