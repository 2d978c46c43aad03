"""What the choice of a stage's tiles may use: the graph, the machine, and room on chip."""

from __future__ import annotations

from dataclasses import dataclass, field

from archsim.ir.graph import OpGraph
from archsim.ir.mapping import Mapping
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
