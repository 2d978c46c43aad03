"""Mixtral: Mistral's block, the feed-forward part in experts."""

from __future__ import annotations

from typing import Any

from archsim.lowering.hf.mistral import MistralConfig as Mistral
from archsim.lowering.phase import Count, Listed


class MixtralConfig(Mistral):
    """Fields of `MixtralConfig` in transformers."""

    kind = "mixtral"

    num_local_experts: Listed = 8
    num_experts_per_tok: Count = 2

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Transformer`."""
        experts = {
            "experts": self.num_local_experts,
            "top_k": self.num_experts_per_tok,
            "ffn": self.intermediate_size,
        }
        return super().numbers() | {"moe": experts}
