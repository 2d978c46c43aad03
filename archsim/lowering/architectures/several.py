"""Several networks at once: each a workload of its own, side by side in one op graph.

No network reads another's tensors. Blocks, tensors and stacks bear the network's name in front, so
that selectors such as `vision.*` name one network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from archsim.core.spec import Spec
from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Access, Op
from archsim.lowering.architectures.base import Architecture, Objection
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, Infer


class SeveralNetworks(Spec):
    """Workloads by the name that they have here, each resolved."""

    architecture: Literal["several"] = "several"
    """Which builder reads these numbers."""

    networks: dict[str, dict[str, Any]]
    """Workloads, each with its own phase and element types."""


class SeveralBuilder(Architecture):
    """The graphs of all networks, one after the other; they share a machine and nothing else."""

    kind = "several"
    Spec = SeveralNetworks

    spec: SeveralNetworks

    def objections(self, phase: AnyPhase | None) -> Iterator[Objection]:
        """Sizes are those of each network."""
        if isinstance(phase, Infer) and phase.batch != 1:
            message = "networks that run at once have a batch each"
            yield Objection("batch", "E601", message, "give the batch in each network's workload")

    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """Blocks of every network, in the order of their names."""
        blocks: list[Block] = []
        for name, data in sorted(self.spec.networks.items()):
            graph = _graph(data)
            parts.tensors.update(
                {f"{name}.{t.name}": replace(t, name=f"{name}.{t.name}")
                 for t in graph.tensors.values()}
            )  # fmt: skip
            blocks += [_renamed(block, name) for block in graph.blocks]
        return tuple(blocks)


def _graph(data: dict[str, Any]) -> OpGraph:
    from archsim.lowering.lower import lower  # late: it knows this room
    from archsim.lowering.spec import load_workload

    return lower(load_workload(data)[0])


def _renamed(block: Block, network: str) -> Block:
    """A block whose names begin with its network's."""
    ops = tuple(_op(op, network) for op in block.ops)
    carry = tuple((f"{network}.{read}", f"{network}.{wrote}") for read, wrote in block.carry)
    return replace(block, name=f"{network}.{block.name}", ops=ops, carry=carry, network=network)


def _op(op: Op, network: str) -> Op:
    def named(accesses: tuple[Access, ...]) -> tuple[Access, ...]:
        return tuple(replace(a, tensor=f"{network}.{a.tensor}") for a in accesses)

    picks = op.picks
    if picks is not None:
        picks = replace(picks, of=f"{network}.{picks.of}", by=f"{network}.{picks.by}")
    return replace(op, reads=named(op.reads), writes=named(op.writes), picks=picks)
