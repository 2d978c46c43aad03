"""Qwen2 and Qwen2.5: Llama's block with biases on Q, K and V."""

from __future__ import annotations

from typing import Any

from archsim.lowering.hf._gated import GatedDecoder, windows
from archsim.lowering.phase import Count


class Qwen2Config(GatedDecoder):
    """Fields of `Qwen2Config` in transformers."""

    kind = "qwen2"

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
        return super().numbers() | {"qkv_bias": True} | windows(layers, window, kinds)
