"""The layers that a convolutional network is described by; `_cnn_walk` makes ops of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import Spec, problem
from archsim.lowering.phase import Count

Activation = Literal["relu", "relu6", "hard_swish", "none"]
Padding = Annotated[int, Field(ge=0, le=1_000_000)]


class Filters(Spec):
    """How the filters of a depthwise convolution are changed; a workload's transform says it too.

    Both options are of depthwise convolutions only, and one excludes the other.
    """

    name: str
    """Name of the op, or the beginning of the names of the layer's blocks."""

    split: Literal["none", "full", "half"] = "none"
    """One-dimensional filters instead of k x k ones: a row and a column filter on every channel,
    which doubles the channels (`full`), or row filters on the first half of the channels and column
    filters on the second (`half`)."""

    group_width: Count = 1
    """Channels that each filter of the depthwise convolution sees; 1 is depthwise."""

    @property
    def filters_channels(self) -> bool:
        """True for a layer with a depthwise convolution."""
        return True

    @model_validator(mode="after")
    def _one_change(self) -> Self:
        changed = self.split != "none", self.group_width > 1
        if all(changed):
            message = f"split: {self.split} filters each channel apart, and group_width does not"
            raise problem("E202", message, "give one of the two")
        if any(changed) and not self.filters_channels:
            raise problem("E202", f'layer "{self.name}" has no depthwise convolution to change')
        return self


class Conv(Filters):
    """A convolution, its batch norm and its activation."""

    kind: Literal["conv"]
    """Which layer this is."""

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

    activation: Activation = "relu"
    """Activation that follows."""

    @property
    def filters_channels(self) -> bool:
        """True where the groups are the channels."""
        return self.groups == "depthwise"


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


class Separable(Filters):
    """Depthwise separable convolutions (MobileNetV1): k x k on each channel, then 1x1."""

    kind: Literal["separable"]
    """Which layer this is."""

    out_channels: Count
    """Channels of the result."""

    count: Count = 1
    """Blocks."""

    kernel: Count = 3
    """Height and width of the filter on each channel."""

    stride: Count = 1
    """Step of the first block's depthwise convolution."""

    activation: Activation = "relu"
    """Activation behind each of the two."""


class Squeeze(Spec):
    """Squeeze and excitation: each channel is scaled by what two dense layers make of all means."""

    ratio: Count = 4
    """Channels for one that lies between the two dense layers."""

    multiple: Count = 8
    """Channels between them are a multiple of this: the nearest, and never 10 % less."""

    bias: bool = True
    """Whether the two dense layers have a bias."""

    def width(self, channels: int) -> int:
        """Channels between the dense layers, rounded as the authors of MobileNet round."""
        wanted, unit = channels // self.ratio, self.multiple
        near = max(unit, (wanted + unit // 2) // unit * unit)
        return near + unit if near < 0.9 * wanted else near


class Inverted(Filters):
    """Inverted residual blocks (MobileNetV2, V3): 1x1 up, k x k on each channel, 1x1 down.

    Input and result are added where they have one shape.
    """

    kind: Literal["inverted"]
    """Which layer this is."""

    expand: Count | None = None
    """Channels between the 1x1 convolutions, in multiples of the input's; 1 has no first one.
    Default: 6."""

    hidden: Count | None = None
    """Channels between the 1x1 convolutions, instead of `expand`; the first one is always there."""

    out_channels: Count
    """Channels of the result."""

    count: Count = 1
    """Blocks."""

    kernel: Count = 3
    """Height and width of the filter on each channel."""

    stride: Count = 1
    """Step of the first block's depthwise convolution."""

    activation: Activation = "relu6"
    """Activation behind the first two convolutions."""

    squeeze: Squeeze | None = None
    """Squeeze and excitation behind the depthwise convolution. Default: none."""

    @model_validator(mode="after")
    def _one_width(self) -> Self:
        if self.hidden and self.expand:
            raise problem("E202", f'layer "{self.name}" gives both expand and hidden', "give one")
        return self


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

    activation: Activation = "none"
    """Activation that follows."""


AnyLayer = Conv | Pool | Bottleneck | Separable | Inverted | GlobalPool | Linear
Repeating = Bottleneck | Separable | Inverted
