"""Channels that the depthwise convolutions of a network filter, by the layer that they are of."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from archsim.lowering.architectures._cnn_layers import Conv
from archsim.lowering.architectures._cnn_walk import Walk
from archsim.lowering.parts import Parts
from archsim.lowering.phase import DTypes


class _Channels(Walk):
    """A walk that notes the channels before each depthwise convolution."""

    filtered: list[int]

    def conv(self, c: Conv) -> None:
        """Convolution, with its channels noted."""
        if c.filters_channels:
            self.filtered.append(self.here.channels)
        super().conv(c)


def filtered_channels(model: Any, chosen: Collection[str]) -> dict[str, list[int]]:
    """Channels of every depthwise convolution of chosen layers, in order, by the layer's name.

    Args:
        model: the description of a convolutional network.
        chosen: layers whose filters will be changed, and are walked as if nothing had changed them.
    """
    walk, found = _Channels(Parts(DTypes()), model.input, 1), {}
    for layer in model.layers:
        walk.filtered = []
        plain = {"split": "none", "group_width": 1} if layer.name in chosen else {}
        walk.add(layer.model_copy(update=plain))
        if layer.name in chosen:
            found[layer.name] = walk.filtered
    return found
