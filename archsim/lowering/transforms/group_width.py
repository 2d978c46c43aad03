"""Group width: depthwise convolutions become grouped ones, so that inputs are used more than once.

Source: Jha et al., DRACO (ISVLSI 2020), its data reuse transform; G of its published networks
(shreyas1998/nn_dataflow, nns/readme.md) is channels a group: G = 1 is depthwise.
"""

from __future__ import annotations

from typing import Any, Literal

from archsim.lowering.phase import Count
from archsim.lowering.transforms.base import LayerChoice, Transform


class GroupWidth(Transform):
    """Depthwise convolutions become grouped ones of a chosen width (DRACO, ISVLSI 2020)."""

    kind = "group_width"
    instead = "{most} divides those of every layer that is changed"

    class Spec(LayerChoice):
        """How wide the groups become, and in which layers."""

        kind: Literal["group_width"]
        """Which transform this is."""

        width: Count
        """Channels that each filter sees afterwards; it divides the channels of each such layer."""

    spec: Spec

    def divisor(self) -> tuple[str, int]:
        """Whole groups."""
        return "width", self.spec.width

    def changed(self) -> dict[str, Any]:
        """The width of the groups."""
        return {"split": "none", "group_width": self.spec.width}
