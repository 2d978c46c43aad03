"""ViT: an encoder of image patches with a class token, and a classifier or a pooler on it."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from archsim.core.spec import Spec
from archsim.lowering.architectures.vit import Vit
from archsim.lowering.hf.base import ActivationName, HfConfig, Unbuildable, activation
from archsim.lowering.phase import Count, Listed

CLASSIFIER, BARE = "ViTForImageClassification", "ViTModel"


class ViTConfig(HfConfig):
    """Fields of `ViTConfig` in transformers; without a name of its class, `ViTModel`."""

    kind = "vit"
    builds: ClassVar[type[Spec]] = Vit

    architectures: tuple[str, ...] | None = None
    hidden_size: Count = Field(examples=[768])
    num_hidden_layers: Listed = Field(examples=[12])
    num_attention_heads: Count = Field(examples=[12])
    intermediate_size: Count = Field(examples=[3072])
    image_size: Count | tuple[Count, Count] = Field(examples=[224])
    patch_size: Count = Field(examples=[16])
    num_channels: Count = 3
    hidden_act: ActivationName = "gelu"
    qkv_bias: bool = True
    id2label: dict[str, str] | None = None
    num_labels: Count | None = None

    def numbers(self) -> dict[str, Any]:
        """The fields of a `Vit`."""
        name = (self.architectures or (BARE,))[0]
        if name not in (CLASSIFIER, BARE):
            raise Unbuildable("architectures", f"{name} has no builder: {CLASSIFIER}, {BARE} have")
        size = self.image_size
        high, wide = (size, size) if isinstance(size, int) else size
        labels = len(self.id2label or ()) or self.num_labels or 2  # two are PretrainedConfig's own
        return {
            "input": (self.num_channels, high, wide),
            "patch": self.patch_size,
            "layers": self.num_hidden_layers,
            "hidden": self.hidden_size,
            "heads": self.num_attention_heads,
            "ffn": self.intermediate_size,
            "activation": activation(self.hidden_act),
            "qkv_bias": self.qkv_bias,
            "classes": labels if name == CLASSIFIER else 0,
            "pooler": name == BARE,
        }
