"""An ONNX model: the ops of its nodes in the order of the file, layers that repeat as blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from archsim.ir.graph import Block, OpGraph
from archsim.lowering.architectures.base import Architecture, Objection
from archsim.lowering.onnx.nodes import Onnx
from archsim.lowering.onnx.repeat import Folder
from archsim.lowering.onnx.table import ops_of
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, DTypes, Infer


class OnnxBuilder(Architecture):
    """One op a node, or a few; none where data stay where they are."""

    kind = "onnx"
    Spec = Onnx

    spec: Onnx

    def objections(self, phase: AnyPhase | None) -> Iterator[Objection]:
        """A model's batch is one of its own extents."""
        if isinstance(phase, Infer) and phase.batch != 1:
            yield Objection("batch", "E202", "an ONNX model has its batch in its own extents")

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """Runs of alike ops repeat; only the first run's tensors are left."""
        ops = list(ops_of(self.spec, parts))
        blocks = Folder(ops, parts.tensors, set(self.spec.results)).blocks()
        used = {a.tensor for b in blocks for op in b.ops for a in (*op.reads, *op.writes)}
        for name in parts.tensors.keys() - used:
            del parts.tensors[name]
        return blocks

    def facts(self, graph: OpGraph, phase: AnyPhase, dtypes: DTypes) -> dict[str, Any]:
        """Parameters as the file has them: a folded norm's scale counts."""
        found = super().facts(graph, phase, dtypes)
        return {**found, "parameters": self.spec.parameters}
