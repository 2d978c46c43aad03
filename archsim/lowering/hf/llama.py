"""Llama: RMSNorm, rotary positions, gated feed-forward, grouped queries."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from archsim.lowering.hf.base import ActivationName, HfConfig, activation, head_width
from archsim.lowering.phase import Count


class LlamaConfig(HfConfig):
    """Fields of `LlamaConfig` in transformers; `head_dim` and `num_key_value_heads` may be null."""

    kind = "llama"

    hidden_size: Count = Field(examples=[4096])
    num_hidden_layers: Count = Field(examples=[32])
    num_attention_heads: Count = Field(examples=[32])
    num_key_value_heads: Count | None = None
    head_dim: Count | None = None
    intermediate_size: Count = Field(examples=[14336])
    vocab_size: Count = Field(examples=[128256])
    hidden_act: ActivationName = "silu"
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False

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
            "qkv_bias": self.attention_bias,
            "out_bias": self.attention_bias,
            "ffn_bias": self.mlp_bias,
            "tied": self.tie_word_embeddings,
        }
