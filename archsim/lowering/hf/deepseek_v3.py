"""DeepSeek-V3: attention over a latent cache, many experts chosen by groups, one shared."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from archsim.lowering.hf._gated import GatedDecoder
from archsim.lowering.hf.base import Unbuildable
from archsim.lowering.phase import Count, Listed


class DeepseekV3Config(GatedDecoder):
    """Fields of `DeepseekV3Config` in transformers, without multi-token prediction."""

    kind = "deepseek_v3"

    q_lora_rank: Count | None = 1536
    kv_lora_rank: Count = 512
    qk_nope_head_dim: Count = 128
    qk_rope_head_dim: Count = 64
    v_head_dim: Count = 128
    n_routed_experts: Listed = 256
    n_shared_experts: int | None = 1
    num_experts_per_tok: Count = 8
    moe_intermediate_size: Count = Field(default=2048, examples=[2048])
    first_k_dense_replace: int = 3
    moe_layer_freq: int = 1
    n_group: Count = 8
    topk_group: Count = 4
    attention_bias: bool = False

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`."""
        if self.moe_layer_freq != 1:
            reason = f"moe_layer_freq {self.moe_layer_freq} has no builder"
            raise Unbuildable("moe_layer_freq", reason)
        if self.attention_bias:
            raise Unbuildable("attention_bias", "attention_bias: MLA with biases has no builder")
        shared = self.n_shared_experts or 0
        experts = {
            "experts": self.n_routed_experts,
            "top_k": self.num_experts_per_tok,
            "ffn": self.moe_intermediate_size,
            "router": "sigmoid",
            "router_bias": True,
            "groups": self.n_group,
            "top_groups": self.topk_group,
        }
        if shared:
            experts |= {"shared": shared, "shared_ffn": self.moe_intermediate_size}
        mla = {
            "q_lora_rank": self.q_lora_rank,
            "kv_lora_rank": self.kv_lora_rank,
            "qk_nope_head_dim": self.qk_nope_head_dim,
            "qk_rope_head_dim": self.qk_rope_head_dim,
            "v_head_dim": self.v_head_dim,
        }
        heads = self.num_attention_heads
        return super().numbers() | {
            "kv_heads": heads,
            "head_dim": self.v_head_dim,
            "mla": mla,
            "moe": experts,
            "dense_layers": self.first_k_dense_replace,
        }
