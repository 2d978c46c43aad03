"""What Llama and its descendants share: RMSNorm, rotary positions, gated feed-forward."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from archsim.lowering.hf.base import (
    ActivationName,
    HfConfig,
    Unbuildable,
    activation,
    head_width,
    spelt,
)
from archsim.lowering.phase import Count, Listed

FULL, SLIDING = "full_attention", "sliding_attention"


class GatedDecoder(HfConfig):
    """Fields that decide sizes in every one of them; `head_dim` and key heads may be null."""

    hidden_size: Count = Field(examples=[4096])
    num_hidden_layers: Listed = Field(examples=[32])
    num_attention_heads: Count = Field(examples=[32])
    num_key_value_heads: Count | None = None
    head_dim: Count | None = None
    intermediate_size: Count = Field(examples=[14336])
    vocab_size: Count = Field(examples=[32000])
    hidden_act: ActivationName = spelt("hidden_act", "hidden_activation", default="silu")
    tie_word_embeddings: bool = False

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`."""
        heads = self.num_attention_heads
        return {
            "layers": self.num_hidden_layers,
            "hidden": self.hidden_size,
            "heads": heads,
            "kv_heads": self.num_key_value_heads or heads,
            "head_dim": head_width(self.head_dim, self.hidden_size, heads),
            "ffn": self.intermediate_size,
            "ffn_matrices": 3,
            "activation": activation(self.hidden_act),
            "norm": "rms",
            "position": "rope",
            "vocab": self.vocab_size,
            "tied": self.tie_word_embeddings,
        }


def windows(layers: int, window: int | None, kinds: tuple[str, ...] | None) -> dict[str, Any]:
    """The window fields of a `Transformer` from `layer_types`, which names the kind of each layer.

    Raises:
        Unbuildable: where there are not as many kinds as layers, or one is unknown.
    """
    if kinds is None:
        return {"sliding_window": window}
    if len(kinds) != layers:
        reason = f"layer_types names {len(kinds)} layers of {layers}"
        raise Unbuildable("layer_types", reason)
    unknown = sorted(set(kinds) - {FULL, SLIDING})
    if unknown:
        raise Unbuildable("layer_types", f"layer_types: {unknown[0]} has no builder")
    if window is None or SLIDING not in kinds:
        return {}
    pattern = tuple(kind == SLIDING for kind in kinds)
    return {"sliding_window": window, "window_pattern": _shortest(pattern)}


def _shortest(pattern: tuple[bool, ...]) -> tuple[bool, ...]:
    """The shortest beginning of a pattern that, repeated, is all of it."""
    size = len(pattern)
    for period in range(1, size + 1):
        if all(pattern[i] == pattern[i % period] for i in range(size)):
            return pattern[:period]
    return pattern
