"""Falcon: attention and feed-forward side by side behind one norm or two."""

from __future__ import annotations

from typing import Any

from archsim.lowering.hf.base import (
    ActivationName,
    HfConfig,
    Unbuildable,
    activation,
    head_width,
    spelt,
)
from archsim.lowering.phase import Count, Listed


class FalconConfig(HfConfig):
    """Fields of `FalconConfig` in transformers, and the names of its first release."""

    kind = "falcon"

    hidden_size: Count = spelt("hidden_size", "n_embed", example=8192)
    layers: Listed = spelt("num_hidden_layers", "n_layer", example=60)
    heads: Count = spelt("num_attention_heads", "n_head", example=128)
    kv_heads: Count | None = spelt("num_kv_heads", "n_head_kv", default=None)
    vocab_size: Count = 65024
    ffn_hidden_size: Count | None = None
    activation: ActivationName = "gelu"
    multi_query: bool = True
    new_decoder_architecture: bool = False
    num_ln_in_parallel_attn: int | None = None
    parallel_attn: bool = True
    bias: bool = False
    alibi: bool = False
    tie_word_embeddings: bool = True

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`."""
        if self.alibi:
            raise Unbuildable("alibi", "alibi: its positions have no builder")
        one = 1 if self.multi_query else self.heads
        kv_heads = (self.kv_heads or self.heads) if self.new_decoder_architecture else one
        two = self.new_decoder_architecture and self.num_ln_in_parallel_attn != 1
        return {
            "layers": self.layers,
            "hidden": self.hidden_size,
            "heads": self.heads,
            "kv_heads": kv_heads,
            "head_dim": head_width(None, self.hidden_size, self.heads),
            "ffn": self.ffn_hidden_size or 4 * self.hidden_size,
            "ffn_matrices": 2,
            "activation": activation(self.activation),
            "norm": "layer",
            "position": "rope",
            "vocab": self.vocab_size,
            "block": "parallel" if self.parallel_attn or self.new_decoder_architecture
            else "sequential",
            "parallel_norms": 2 if two else 1,
            "qkv_bias": self.bias,
            "out_bias": self.bias,
            "ffn_bias": self.bias,
            "tied": self.tie_word_embeddings,
        }  # fmt: skip
