"""OPT: LayerNorm, learned positions two rows late, ReLU, tied head."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from archsim.lowering.hf.base import (
    ActivationName,
    HfConfig,
    Unbuildable,
    activation,
    head_width,
)
from archsim.lowering.phase import Count, Listed

OFFSET = 2  # rows of the position table before the first token's (OPTLearnedPositionalEmbedding)


class OptConfig(HfConfig):
    """Fields of `OPTConfig` in transformers."""

    kind = "opt"

    hidden_size: Count = Field(examples=[9216])
    num_hidden_layers: Listed = Field(examples=[64])
    num_attention_heads: Count = Field(examples=[72])
    ffn_dim: Count = Field(examples=[36864])
    vocab_size: Count = Field(examples=[50272])
    max_position_embeddings: Count = Field(examples=[2048])
    word_embed_proj_dim: Count | None = None
    activation_function: ActivationName = "relu"
    do_layer_norm_before: bool = True
    enable_bias: bool = True
    tie_word_embeddings: bool = True

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`."""
        hidden, heads = self.hidden_size, self.num_attention_heads
        if self.word_embed_proj_dim not in (None, hidden):
            reason = (
                f"word_embed_proj_dim {self.word_embed_proj_dim} differs from hidden_size "
                f"{hidden}: projections between them have no builder"
            )
            raise Unbuildable("word_embed_proj_dim", reason)
        return {
            "layers": self.num_hidden_layers,
            "hidden": hidden,
            "heads": heads,
            "kv_heads": heads,
            "head_dim": head_width(None, hidden, heads),
            "ffn": self.ffn_dim,
            "ffn_matrices": 2,
            "activation": activation(self.activation_function),
            "norm": "layer",
            "norm_first": self.do_layer_norm_before,
            "final_norm": self.do_layer_norm_before,
            "position": "learned",
            "positions": self.max_position_embeddings + OFFSET,
            "position_offset": OFFSET,
            "vocab": self.vocab_size,
            "qkv_bias": self.enable_bias,
            "out_bias": self.enable_bias,
            "ffn_bias": self.enable_bias,
            "tied": self.tie_word_embeddings,
        }
