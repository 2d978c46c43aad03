"""Gemma 3 (text): norms before and after each part, head norms, one global layer in six."""

from __future__ import annotations

from typing import Any

from archsim.lowering.hf._gated import FULL, SLIDING, GatedDecoder, windows
from archsim.lowering.hf.base import ActivationName, spelt
from archsim.lowering.phase import Count


class Gemma3TextConfig(GatedDecoder):
    """Fields of `Gemma3TextConfig` in transformers."""

    kind = "gemma3_text"

    head_dim: Count | None = 256
    hidden_act: ActivationName = spelt(
        "hidden_activation", "hidden_act", default="gelu_pytorch_tanh"
    )
    tie_word_embeddings: bool = True
    attention_bias: bool = False
    sliding_window: Count | None = 4096
    sliding_window_pattern: Count = spelt(
        "sliding_window_pattern", "_sliding_window_pattern", default=6
    )
    layer_types: tuple[str, ...] | None = None

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`."""
        layers, period = self.num_hidden_layers, self.sliding_window_pattern
        kinds = self.layer_types or tuple(
            FULL if (i + 1) % period == 0 else SLIDING for i in range(layers)
        )
        return super().numbers() | windows(layers, self.sliding_window, kinds) | {
            "qk_norm": "rms",
            "sandwich_norms": True,
            "qkv_bias": self.attention_bias,
            "out_bias": self.attention_bias,
        }  # fmt: skip
