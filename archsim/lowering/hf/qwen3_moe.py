"""Qwen3 MoE: Qwen3's block, the feed-forward part in many small experts."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from archsim.lowering.hf.base import Unbuildable, spelt
from archsim.lowering.hf.qwen3 import Qwen3Config as Qwen3
from archsim.lowering.phase import Count, Listed


class Qwen3MoeConfig(Qwen3):
    """Fields of `Qwen3MoeConfig` in transformers."""

    kind = "qwen3_moe"

    num_experts: Listed = spelt("num_experts", "num_local_experts", default=128)
    num_experts_per_tok: Count = 8
    moe_intermediate_size: Count = Field(default=768, examples=[1536])
    decoder_sparse_step: Count = 1
    mlp_only_layers: tuple[int, ...] | None = ()

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`."""
        dense = tuple(sorted(self.mlp_only_layers or ()))
        if dense != tuple(range(len(dense))):
            reason = f"mlp_only_layers {list(dense)}: dense layers that are not the first"
            raise Unbuildable("mlp_only_layers", f"{reason} have no builder")
        experts = {
            "experts": self.num_experts,
            "top_k": self.num_experts_per_tok,
            "ffn": self.moe_intermediate_size,
        }
        return super().numbers() | {
            "moe": experts,
            "moe_every": self.decoder_sparse_step,
            "dense_layers": len(dense),
        }
