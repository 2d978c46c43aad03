"""What an architecture is: numbers that describe a model, phases it has, and the ops of a phase."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

from archsim.core.registry import Registry
from archsim.core.spec import Spec as Description
from archsim.ir.graph import Block, OpGraph
from archsim.ir.tensor import Role
from archsim.lowering.kv import KvOptions
from archsim.lowering.parts import Parts
from archsim.lowering.phase import AnyPhase, DTypes, Infer
from archsim.lowering.routing import Routed


class Objection(NamedTuple):
    """Why a workload does not suit a model: the key of the section it is about, and the message."""

    key: str
    code: str
    message: str
    help: str | None = None
    section: str = "phase"


class Architecture(ABC):
    """A family of models. A subclass sets `kind` and `Spec`, whose `architecture` is that kind."""

    kind: ClassVar[str]
    Spec: ClassVar[type[Description]]

    def __init__(self, spec: Any, kv: KvOptions | None = None) -> None:
        self.spec = spec
        self.kv = kv or KvOptions()

    @property
    def phases(self) -> tuple[str, ...]:
        """Kinds of phases that the model has."""
        return ("infer",)

    @property
    def keeps_cache(self) -> bool:
        """True for a model with a KV cache."""
        return False

    @property
    def default_dtypes(self) -> tuple[str, str]:
        """Element types where the workload gives none: of data, of partial sums."""
        return "bf16", "fp32"

    def default_phase(self) -> AnyPhase:
        """Phase at which a bare model is counted."""
        return Infer(kind="infer")

    def objections(self, phase: AnyPhase | None) -> Iterator[Objection]:
        """What is wrong with a phase of one of the model's kinds, or without one in any."""
        yield from ()

    def warnings(self, phase: AnyPhase) -> Iterator[tuple[str, str]]:
        """Code and text of what has no effect, or another one than may be thought."""
        yield from ()

    def routed(self, phase: AnyPhase) -> Routed | None:
        """What is routed to experts in a phase; None for a model without experts."""
        return None

    @abstractmethod
    def blocks(self, phase: AnyPhase, parts: Parts) -> tuple[Block, ...]:
        """Blocks of ops of a phase; their tensors are left in `parts`."""

    def facts(self, graph: OpGraph, phase: AnyPhase, dtypes: DTypes) -> dict[str, Any]:
        """Counts for reports; null where a count does not exist for the model.

        Keys: layers (those with weights), parameters, macs, macs_per_input, macs_per_token,
        context (at which the last one holds), kv_bytes_per_token, output_tokens.
        """
        return {
            "layers": sum(block.count for block, op in graph.ops() if op.is_mac),
            "parameters": stored_elements(graph, Role.WEIGHT),
            "macs": graph.macs(),
            "macs_per_input": graph.macs() // phase.batch if isinstance(phase, Infer) else None,
            "macs_per_token": None,
            "kv_bytes_per_token": None,
            "output_tokens": None,
        }


def stored_elements(graph: OpGraph, role: Role) -> int:
    """Elements of all tensors of a role, those of a repeated block once a repeat."""
    counts: dict[str, int] = {}
    for block, op in graph.ops():
        for access in op.reads:
            tensor = graph.tensors[access.tensor]
            if tensor.role is role:
                counts.setdefault(access.tensor, block.count * tensor.elements)
    return sum(counts.values())


architectures: Registry[Architecture] = Registry(
    "archsim.lowering.architectures",
    Architecture,  # type: ignore[type-abstract]
)
