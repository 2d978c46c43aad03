"""BERT: an encoder with norms after the residuals, token types and a pooler."""

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


class BertConfig(HfConfig):
    """Fields of `BertConfig` in transformers; the model is `BertModel` with its pooler."""

    kind = "bert"

    hidden_size: Count = Field(examples=[768])
    num_hidden_layers: Listed = Field(examples=[12])
    num_attention_heads: Count = Field(examples=[12])
    intermediate_size: Count = Field(examples=[3072])
    vocab_size: Count = Field(examples=[30522])
    max_position_embeddings: Count = Field(examples=[512])
    type_vocab_size: Count = 2
    hidden_act: ActivationName = "gelu"
    position_embedding_type: str | None = "absolute"
    is_decoder: bool = False

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`."""
        if self.position_embedding_type not in (None, "absolute"):
            reason = f"position_embedding_type {self.position_embedding_type} has no builder"
            raise Unbuildable("position_embedding_type", reason)
        if self.is_decoder:
            raise Unbuildable("is_decoder", "is_decoder: BERT as a decoder has no builder")
        heads = self.num_attention_heads
        return {
            "layers": self.num_hidden_layers,
            "hidden": self.hidden_size,
            "heads": heads,
            "kv_heads": heads,
            "head_dim": head_width(None, self.hidden_size, heads),
            "ffn": self.intermediate_size,
            "ffn_matrices": 2,
            "activation": activation(self.hidden_act),
            "norm": "layer",
            "norm_first": False,
            "final_norm": False,
            "embedding_norm": True,
            "position": "learned",
            "positions": self.max_position_embeddings,
            "token_types": self.type_vocab_size,
            "vocab": self.vocab_size,
            "qkv_bias": True,
            "out_bias": True,
            "ffn_bias": True,
            "encoder": True,
            "lm_head": False,
            "pooler": True,
        }
