"""What a workload transform is: options that users write, and a description made of another one.

A transform changes what a network computes, not how it is mapped: the description that comes out
has weights and layers of its own. Convolutions whose filters change are said by the layers of a
convolutional network, so most transforms only set options there.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from math import gcd
from typing import Any, ClassVar, NamedTuple

from archsim.core.errors import nearest
from archsim.core.registry import Registry
from archsim.core.spec import Spec as Description
from archsim.lowering.architectures._cnn_layers import Filters
from archsim.lowering.phase import Several


class Refusal(NamedTuple):
    """Why a transform does not suit a model: where in `transform:`, and the message."""

    key: tuple[str | int, ...]
    code: str
    message: str
    help: str | None = None


class LayerChoice(Description):
    """Which layers a transform of depthwise convolutions changes."""

    layers: Several[str] | None = None
    """Names of layers of the description, or globs such as `stage[1-3]`. Default: every layer with
    a depthwise convolution."""


class Transform:
    """A rewriting of a model's description. A subclass sets `kind`, `Spec` and `changed`."""

    kind: ClassVar[str]
    Spec: ClassVar[type[LayerChoice]]
    instead: ClassVar[str]  # what to do where channels do not divide; `most` divides them all

    def __init__(self, spec: Any) -> None:
        self.spec = spec

    def changed(self) -> dict[str, Any]:
        """Options of a layer with a depthwise convolution that are set."""
        raise NotImplementedError

    def divisor(self) -> tuple[str, int]:
        """What the channels of every changed convolution divide by, and the option that says so."""
        raise NotImplementedError

    def apply(self, model: Any) -> Any:
        """The description with the chosen layers changed; the others are the same objects."""
        chosen = {layer.name for layer in self._chosen(model)}
        layers = tuple(
            layer.model_copy(update=self.changed()) if layer.name in chosen else layer
            for layer in model.layers
        )
        return model.model_copy(update={"layers": layers})

    def refusals(self, name: str, model: Any) -> Iterator[Refusal]:
        """What is wrong with transforming a model of that name; nothing where it can be done."""
        if getattr(model, "architecture", "") != "cnn":
            message = f"{self.kind} changes convolutional networks, and {name} is described as none"
            yield Refusal(("kind",), "E202", message, "`model: {preset: mobilenet-v2}` is one")
            return
        able = [layer.name for layer in model.layers if _filters_channels(layer)]
        if not able:
            yield Refusal(("kind",), "E202", f"{name} has no depthwise convolution to change")
            return
        every = [layer.name for layer in model.layers]
        for i, word in enumerate(self.spec.layers or ()):
            found = [one for one in every if fnmatchcase(one, word)]
            if not found:
                close = nearest(word, able)
                help_text = f'did you mean "{close}"?' if close else f"one of {', '.join(able)}"
                yield Refusal(("layers", i), "E108", f'{name} has no layer "{word}"', help_text)
            elif not set(found) & set(able):
                message = f'layer "{word}" has no depthwise convolution to change'
                yield Refusal(("layers", i), "E202", message, f"one of {', '.join(able)}")
        yield from self._uneven(model)

    def _uneven(self, model: Any) -> Iterator[Refusal]:
        """The first layer whose channels do not divide as the transform divides them."""
        key, parts = self.divisor()
        if parts == 1:
            return
        from archsim.lowering.transforms._filtered import filtered_channels  # it walks the network

        found = filtered_channels(model, {layer.name for layer in self._chosen(model)})
        uneven = [(name, n) for name, channels in found.items() for n in channels if n % parts]
        if uneven:
            name, n = uneven[0]
            most = gcd(*(n for channels in found.values() for n in channels))
            message = f'the {n} channels of layer "{name}" do not divide by {parts}'
            yield Refusal((key,), "E107", message, self.instead.format(most=most))

    def _chosen(self, model: Any) -> list[Filters]:
        """Layers that change."""
        words = self.spec.layers
        return [
            layer
            for layer in model.layers
            if _filters_channels(layer)
            and (words is None or any(fnmatchcase(layer.name, word) for word in words))
        ]


def _filters_channels(layer: object) -> bool:
    """True for a layer with a depthwise convolution."""
    return isinstance(layer, Filters) and layer.filters_channels


transforms: Registry[Transform] = Registry("archsim.lowering.transforms", Transform)
