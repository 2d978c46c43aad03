"""The layers that a convolutional network is described by; `_cnn_walk` makes ops of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from archsim.core.spec import Spec
from archsim.lowering.phase import Count

Padding = Annotated[int, Field(ge=0, le=1_000_000)]


class Conv(Spec):
    """A convolution, its batch norm and its activation."""

    kind: Literal["conv"]
    """Which layer this is."""

    name: str
    """Name of the op."""

    out_channels: Count
    """Filters."""

    kernel: Count | tuple[Count, Count]
    """Height and width of a filter."""

    stride: Count | tuple[Count, Count] = 1
    """Step of the window."""

    padding: Padding | tuple[Padding, Padding] = 0
    """Zeros around the input."""

    dilation: Count | tuple[Count, Count] = 1
    """Distance between the taps."""

    groups: Count | Literal["depthwise"] = 1
    """Groups of channels; `depthwise` is one for each input channel."""

    batch_norm: bool = True
    """A batch norm follows; without one the convolution has a bias of its own."""

    activation: Literal["relu", "relu6", "none"] = "relu"
    """Activation that follows."""


class Pool(Spec):
    """Maximum or average over windows."""

    kind: Literal["pool"]
    """Which layer this is."""

    name: str
    """Name of the op."""

    mode: Literal["max", "average"] = "max"
    """What is taken of a window."""

    kernel: Count | tuple[Count, Count]
    """Height and width of the window."""

    stride: Count | tuple[Count, Count] = 1
    """Step of the window."""

    padding: Padding | tuple[Padding, Padding] = 0
    """Room around the input that counts for nothing."""


class Bottleneck(Spec):
    """Residual blocks of 1x1, 3x3 and 1x1 convolutions; the first one changes the shape."""

    kind: Literal["bottleneck"]
    """Which layer this is."""

    name: str
    """Beginning of the names of its blocks."""

    width: Count
    """Channels between the 1x1 convolutions."""

    out_channels: Count
    """Channels of the result."""

    count: Count = 1
    """Blocks."""

    stride: Count = 1
    """Step of the first block's 3x3 convolution and of its shortcut."""


class Separable(Spec):
    """Depthwise separable convolutions (MobileNetV1): 3x3 on each channel, then 1x1."""

    kind: Literal["separable"]
    """Which layer this is."""

    name: str
    """Beginning of the names of its blocks."""

    out_channels: Count
    """Channels of the result."""

    count: Count = 1
    """Blocks."""

    stride: Count = 1
    """Step of the first block's 3x3 convolution."""

    activation: Literal["relu", "relu6"] = "relu"
    """Activation behind each of the two."""


class Inverted(Spec):
    """Inverted residual blocks (MobileNetV2): 1x1 up, 3x3 on each channel, 1x1 down.

    Input and result are added where they have one shape.
    """

    kind: Literal["inverted"]
    """Which layer this is."""

    name: str
    """Beginning of the names of its blocks."""

    expand: Count = 6
    """Channels between the 1x1 convolutions, in multiples of the input's; 1 has no first one."""

    out_channels: Count
    """Channels of the result."""

    count: Count = 1
    """Blocks."""

    stride: Count = 1
    """Step of the first block's 3x3 convolution."""

    activation: Literal["relu", "relu6"] = "relu6"
    """Activation behind the first two convolutions."""


class GlobalPool(Spec):
    """Average of each channel."""

    kind: Literal["global_pool"]
    """Which layer this is."""

    name: str
    """Name of the op."""


class Linear(Spec):
    """A dense layer with a bias."""

    kind: Literal["linear"]
    """Which layer this is."""

    name: str
    """Name of the op."""

    out_features: Count
    """Width of the result."""


AnyLayer = Conv | Pool | Bottleneck | Separable | Inverted | GlobalPool | Linear
Repeating = Bottleneck | Separable | Inverted
