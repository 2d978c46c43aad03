"""Llama: RMSNorm, rotary positions, gated feed-forward, grouped queries."""

from __future__ import annotations

from typing import Any

from archsim.lowering.hf._gated import GatedDecoder
from archsim.lowering.hf.base import Unbuildable


class LlamaConfig(GatedDecoder):
    """Fields of `LlamaConfig` in transformers."""

    kind = "llama"

    attention_bias: bool = False
    mlp_bias: bool = False
    num_local_experts: int | None = None

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`."""
        if self.num_local_experts:
            reason = "num_local_experts: a llama has no experts; mixtral has"
            raise Unbuildable("num_local_experts", reason)
        return super().numbers() | {
            "qkv_bias": self.attention_bias,
            "out_bias": self.attention_bias,
            "ffn_bias": self.mlp_bias,
        }
