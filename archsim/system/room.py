"""What the choice of a stage's tiles may use: the graph, the machine, and room on chip."""

from __future__ import annotations

from dataclasses import dataclass, field

from archsim.components.base import MacEngine
from archsim.core.errors import Unsupported
from archsim.ir.graph import OpGraph
from archsim.ir.mapping import Mapping
from archsim.ir.tensor import DTYPES
from archsim.system.build import Machine


@dataclass(frozen=True)
class Room:
    """The surroundings of a stage while its tiles are chosen.

    Attributes:
        resident: tensors that stay on chip.
        budget_bytes: on-chip bytes that the tiles of a stage may take.
        accumulator_bits: width of partial sums.
        used: rules that matched an op; added to as rules are looked up.
        mapped: tiles found so far, by what their choice depends on.
    """

    graph: OpGraph
    machine: Machine
    resident: frozenset[str]
    budget_bytes: int
    accumulator_bits: int
    used: set[str]
    mapped: dict[tuple[object, ...], Mapping] = field(default_factory=dict)


def no_rate(path: str, dtype: str, engine: MacEngine) -> Unsupported:
    """The refusal of a stage whose element type the engine does not multiply."""
    stored = (
        [
            d
            for d in DTYPES.values()
            if d.bits == DTYPES[dtype].bits and d.math in engine.dtypes and d.name != dtype
        ]
        if dtype in DTYPES
        else []
    )
    ways = [
        f"{' or '.join(names)} is stored in {DTYPES[dtype].bits} bit and computed in {math}"
        for math in engine.dtypes
        if (names := [d.name for d in stored if d.math == math])
    ]
    setting = f"--set engines.{engine.name}.rates.{dtype}=1"
    return Unsupported(
        f"{path} computes in {dtype}, and engine {engine.name} has no rate for it",
        code="E302",
        help=f"{'; or '.join([*ways, setting])}, or one of: {', '.join(engine.dtypes)}",
    )
