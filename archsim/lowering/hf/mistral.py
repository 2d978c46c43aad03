"""Mistral: Llama's block, with a window beyond which no token attends in some releases."""

from __future__ import annotations

from typing import Any

from archsim.lowering.hf._gated import GatedDecoder
from archsim.lowering.phase import Count


class MistralConfig(GatedDecoder):
    """Fields of `MistralConfig` in transformers."""

    kind = "mistral"

    num_key_value_heads: Count | None = 8
    sliding_window: Count | None = None

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`."""
        return super().numbers() | {"sliding_window": self.sliding_window}
