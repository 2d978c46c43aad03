"""GPT-2: LayerNorm, learned positions, one matrix for Q, K and V, tied head."""

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


class Gpt2Config(HfConfig):
    """Fields of `GPT2Config` in transformers, and the names it maps them to."""

    kind = "gpt2"

    hidden: Count = spelt("n_embd", "hidden_size", example=768)
    layers: Listed = spelt("n_layer", "num_hidden_layers", example=12)
    heads: Count = spelt("n_head", "num_attention_heads", example=12)
    inner: Count | None = spelt("n_inner", default=None)
    positions: Count = spelt("n_positions", "n_ctx", "max_position_embeddings", example=1024)
    vocab: Count = spelt("vocab_size", example=50257)
    activation_function: ActivationName = "gelu_new"
    tie_word_embeddings: bool = True
    add_cross_attention: bool = False

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`."""
        if self.add_cross_attention:
            raise Unbuildable(
                "add_cross_attention", "add_cross_attention: cross-attention has no builder"
            )
        return {
            "layers": self.layers,
            "hidden": self.hidden,
            "heads": self.heads,
            "kv_heads": self.heads,
            "head_dim": head_width(None, self.hidden, self.heads),
            "ffn": self.inner or 4 * self.hidden,
            "ffn_matrices": 2,
            "activation": activation(self.activation_function),
            "norm": "layer",
            "position": "learned",
            "positions": self.positions,
            "vocab": self.vocab,
            "qkv_bias": True,
            "out_bias": True,
            "ffn_bias": True,
            "tied": self.tie_word_embeddings,
        }
