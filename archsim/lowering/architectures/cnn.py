"""A convolutional network as blocks of ops: convolutions, pools, residual blocks, a head.

A batch norm is folded into the weights and the bias of its convolution, as it is for inference.
The layers are described in `_cnn_layers`; the ops they become are made in `_cnn_walk`.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import Spec, problem
from archsim.ir.graph import Block, OpGraph
from archsim.lowering.architectures._cnn_layers import AnyLayer
from archsim.lowering.architectures._cnn_walk import Walk
from archsim.lowering.architectures.base import Architecture
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, Count, DTypes, Infer, Several


class Cnn(Spec):
    """A convolutional network as a list of layers, each reading the one before."""

    architecture: Literal["cnn"] = "cnn"
    """Which builder reads these numbers."""

    input: tuple[Count, Count, Count]
    """Channels, height and width of one input."""

    layers: Several[Annotated[AnyLayer, Field(discriminator="kind")]]
    """Layers in order; each has a name of its own."""

    @model_validator(mode="after")
    def _named(self) -> Self:
        twice = [name for name, n in Counter(x.name for x in self.layers).items() if n > 1]
        if twice:
            raise problem("E002", f'layer "{twice[0]}" is given twice')
        return self


class CnnBuilder(Architecture):
    """Walks the layers and cuts them into blocks where residual ones repeat."""

    kind = "cnn"
    Spec = Cnn

    spec: Cnn

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """One block a run of plain layers, two a residual: its first, and the repeating ones."""
        return tuple(self._walked(phase, parts).blocks)

    def facts(self, graph: OpGraph, phase: AnyPhase, dtypes: DTypes) -> dict[str, Any]:
        """Parameters as checkpoints have them: batch norm has two a filter, of which one folds."""
        found = super().facts(graph, phase, dtypes)
        folded = self._walked(phase, Parts(dtypes)).norms
        return {**found, "parameters": found["parameters"] + folded}

    def _walked(self, phase: AnyPhase, parts: Parts) -> Walk:
        assert isinstance(phase, Infer)
        walk = Walk(parts, self.spec.input, phase.batch)
        for layer in self.spec.layers:
            walk.add(layer)
        walk.close()
        return walk
