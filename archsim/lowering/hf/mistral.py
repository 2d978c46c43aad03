"""Mistral: Llama's block, with a window beyond which no token attends in some releases."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from archsim.lowering.hf.base import ActivationName, HfConfig, activation, head_width
from archsim.lowering.phase import Count


class MistralConfig(HfConfig):
    """Fields of `MistralConfig` in transformers."""

    kind = "mistral"

    hidden_size: Count = Field(examples=[4096])
    num_hidden_layers: Count = Field(examples=[32])
    num_attention_heads: Count = Field(examples=[32])
    num_key_value_heads: Count | None = 8
    head_dim: Count | None = None
    intermediate_size: Count = Field(examples=[14336])
    vocab_size: Count = Field(examples=[32000])
    hidden_act: ActivationName = "silu"
    tie_word_embeddings: bool = False
    sliding_window: Count | None = None

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
            "sliding_window": self.sliding_window,
        }
