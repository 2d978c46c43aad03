"""Qwen3: Llama's block with a norm on each query and key head."""

from __future__ import annotations

from typing import Any

from archsim.lowering.hf._gated import GatedDecoder, windows
from archsim.lowering.phase import Count


class Qwen3Config(GatedDecoder):
    """Fields of `Qwen3Config` in transformers."""

    kind = "qwen3"

    head_dim: Count | None = 128
    attention_bias: bool = False
    use_sliding_window: bool = False
    sliding_window: Count | None = None
    max_window_layers: int = 28
    layer_types: tuple[str, ...] | None = None

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`; layers from `max_window_layers` on have the window."""
        layers = self.num_hidden_layers
        full = ("full_attention",) * min(self.max_window_layers, layers)
        kinds = self.layer_types or full + ("sliding_attention",) * (layers - len(full))
        window = self.sliding_window if self.use_sliding_window else None
        return super().numbers() | windows(layers, window, kinds) | {
            "qk_norm": "rms",
            "qkv_bias": self.attention_bias,
            "out_bias": self.attention_bias,
        }  # fmt: skip
