"""FuSeConv: one-dimensional row and column filters instead of two-dimensional ones, each channel.

Source: Selvam et al., FuSeConv (DATE 2021), section IV: the full variant (D = 1) filters every
channel along rows and along columns, the half variant (D = 2) half of the channels either way.
"""

from __future__ import annotations

from typing import Any, Literal

from archsim.lowering.transforms.base import LayerChoice, Transform


class FuSeConv(Transform):
    """Depthwise k x k convolutions become row and column filters (FuSeConv, DATE 2021)."""

    kind = "fuseconv"
    instead = "variant: full, or leave that layer out of `layers`"

    class Spec(LayerChoice):
        """Which variant, and of which layers."""

        kind: Literal["fuseconv"]
        """Which transform this is."""

        variant: Literal["full", "half"]
        """`full`: both filters on every channel, and twice the channels behind them; `half`: row
        filters on the first half of the channels, column filters on the second."""

    spec: Spec

    def divisor(self) -> tuple[str, int]:
        """Half of the channels each way, or all."""
        return "variant", 2 if self.spec.variant == "half" else 1

    def changed(self) -> dict[str, Any]:
        """The split of the filters."""
        return {"split": self.spec.variant, "group_width": 1}
