"""Which numbers of a Transformer contradict each other, or are of a part that it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from archsim.lowering.architectures._description import Transformer

Found = tuple[str, str, str, str | None]  # the key that it is about, code, message, help


def misfit(key: str, code: str, message: str, help: str | None = None) -> PydanticCustomError:
    """A contradiction for a validator of a spec to raise; whoever made the numbers finds the key.

    Args:
        key: of the spec that the mistake is about.
        code: kind of mistake, such as `E202`.
        message: one line, without the place.
        help: what to do about it.
    """
    said = {"code": code, "message": message, "help": help, "key": key}
    return PydanticCustomError("archsim", "{message}", said)


def contradictions(m: Transformer) -> Iterator[Found]:
    """Every contradiction, worst first."""
    if m.heads % m.kv_heads:
        yield (
            "kv_heads",
            "E202",
            f"{m.kv_heads} key-value heads do not divide {m.heads} heads",
            None,
        )
    yield from _positions(m)
    yield from _windows(m)
    yield from of_blocks(m)
    yield from _layers(m)
    yield from _parts(m)


def _positions(m: Transformer) -> Iterator[Found]:
    if (m.position == "learned") != (m.positions > m.position_offset):
        yield (
            "positions",
            "E202",
            f"position {m.position} disagrees with positions: {m.positions}",
            "a learned table has rows that tokens use; other kinds have none",
        )
    if (m.position == "relative") != (m.relative_buckets > 0):
        message = f"position {m.position} disagrees with relative_buckets: {m.relative_buckets}"
        yield (
            "relative_buckets",
            "E202",
            message,
            "relative positions have a table of buckets; other kinds have none",
        )
    if m.rotary_dim and m.position != "rope":
        message = f"rotary_dim {m.rotary_dim} is of rope, and position is {m.position}"
        yield "rotary_dim", "E202", message, None
    if m.rotary_dim and m.rotary_dim > m.head_dim:
        message = f"rotary_dim {m.rotary_dim} exceeds the {m.head_dim} elements of a head"
        yield "rotary_dim", "E107", message, f"rotary_dim: 1 to {m.head_dim}"


def _windows(m: Transformer) -> Iterator[Found]:
    if m.sliding_window and not any(m.window_pattern):
        message = f"no layer of window_pattern has the sliding_window {m.sliding_window}"
        yield "window_pattern", "E202", message, "example `window_pattern: [true, false]`"
    if m.sliding_window is None and m.window_pattern != (True,):
        message = "window_pattern is of a sliding_window, and there is none"
        yield "window_pattern", "E202", message, None
    if m.limit and m.sliding_window and m.sliding_window > m.limit:
        message = f"a window of {m.sliding_window} is longer than the {m.limit} positions"
        yield "sliding_window", "E107", message, f"sliding_window: up to {m.limit}, or none"


def of_blocks(m: Transformer) -> Iterator[Found]:
    """What a mask of blocks does not go with."""
    for key, given in (("sliding_window", m.sliding_window), ("latent attention", m.mla)):
        if given and m.block_sparse:
            yield "block_sparse", "E202", f"a mask of blocks does not go with {key}", None


def _layers(m: Transformer) -> Iterator[Found]:
    for key, given in (("dense_layers", m.dense_layers > 0), ("moe_every", m.moe_every > 1)):
        if given and m.moe is None:
            yield key, "E202", f"{key} is of a model with experts, and there are none", None
    if m.moe is not None and not any(kind.moe for kind in m.layer_kinds()):
        message = f"dense_layers {m.dense_layers} and moe_every {m.moe_every} leave no layer"
        key = "dense_layers" if m.dense_layers else "moe_every"
        yield key, "E107", f"{message} of {m.layers} with experts", None


def _parts(m: Transformer) -> Iterator[Found]:
    parallel, head = m.block == "parallel", m.lm_head and not m.encoder
    for key, given, lacks in (
        ("parallel_norms: 2", m.parallel_norms == 2 and not parallel, "block: parallel"),
        ("block: parallel", parallel and not m.norm_first, "norm_first"),
        ("sandwich_norms", m.sandwich_norms and not m.norm_first, "norm_first"),
        ("lm_head_bias", m.lm_head_bias and not head, "an LM head"),
    ):
        if given:
            yield key.partition(":")[0], "E202", f"{key} needs {lacks}", None
    for key, given in (
        ("qk_norm", m.qk_norm != "none"),
        ("attention_sinks", m.attention_sinks),
        ("rotary_dim", m.rotary_dim is not None),
        ("relative positions", m.position == "relative"),
        ("an encoder", m.encoder),
    ):
        if given and m.mla:
            yield "mla", "E202", f"latent attention does not go with {key}", None
