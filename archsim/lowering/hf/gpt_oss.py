"""gpt-oss: windows in every second layer, a sink logit a head, quantised experts with biases."""

from __future__ import annotations

from typing import Any

from archsim.lowering.hf._gated import FULL, SLIDING, GatedDecoder, windows
from archsim.lowering.hf.base import spelt
from archsim.lowering.phase import Count, Listed


class GptOssConfig(GatedDecoder):
    """Fields of `GptOssConfig` in transformers; released experts are mxfp4."""

    kind = "gpt_oss"

    head_dim: Count | None = 64
    num_local_experts: Listed = spelt("num_local_experts", "num_experts", default=128)
    num_experts_per_tok: Count = spelt("num_experts_per_tok", "experts_per_token", default=4)
    sliding_window: Count | None = 128
    layer_types: tuple[str, ...] | None = None
    attention_bias: bool = True
    quantization_config: dict[str, Any] | None = None

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`."""
        layers = self.num_hidden_layers
        kinds = self.layer_types or tuple((SLIDING, FULL)[i % 2] for i in range(layers))
        experts: dict[str, Any] = {
            "experts": self.num_local_experts,
            "top_k": self.num_experts_per_tok,
            "ffn": self.intermediate_size,
            "bias": True,
            "router_bias": True,
        }
        if (self.quantization_config or {}).get("quant_method") == "mxfp4":
            experts["weights"] = "mxfp4"
        return super().numbers() | windows(layers, self.sliding_window, kinds) | {
            "qkv_bias": self.attention_bias,
            "out_bias": self.attention_bias,
            "attention_sinks": True,
            "moe": experts,
        }  # fmt: skip
