"""What the choice of a stage's tiles may use: the graph, the machine, and room on chip."""

from __future__ import annotations

from dataclasses import dataclass, field

from archsim.components.base import MacEngine
from archsim.core.errors import Unsupported
from archsim.dataflows._auto import Found
from archsim.dataflows._nest_fit import Fit
from archsim.ir.graph import OpGraph
from archsim.ir.mapping import Mapping
from archsim.ir.tensor import DTYPES, DType
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
        nests: the same of nests on spatial arrays.
        searched: answers of the mapper so far, by the hash of what they depend on.
    """

    graph: OpGraph
    machine: Machine
    resident: frozenset[str]
    budget_bytes: int
    accumulator_bits: int
    used: set[str]
    mapped: dict[tuple[object, ...], Mapping] = field(default_factory=dict)
    nests: dict[tuple[object, ...], Fit] = field(default_factory=dict)
    searched: dict[str, Found] = field(default_factory=dict)


def no_rate(path: str, dtype: str, engine: MacEngine, weight: DType | None = None) -> Unsupported:
    """The refusal of a stage whose element type the engine does not multiply.

    Args:
        path: of the stage.
        dtype: name of the type that its MACs run at.
        engine: that has no rate for it.
        weight: what it multiplies by, where its form of storage has a name of its own.
    """
    form = f"multiplies by {weight.name}, which " if weight and weight.name != dtype else ""
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
    if not hasattr(engine.spec, "rates"):  # one whose cycles follow from bits
        return _too_wide(path, weight or DTYPES[dtype], engine)
    return Unsupported(
        f"{path} {form}computes in {dtype}, and engine {engine.name} has no rate for it",
        code="E302",
        help=f"{'; or '.join([*ways, setting])}, or one of: {', '.join(engine.dtypes)}",
        details={"path": f"engines.{engine.name}"},
    )


def _too_wide(path: str, weight: DType, engine: MacEngine) -> Unsupported:
    """The refusal of an engine that takes weights by their bits."""
    return Unsupported(
        f"{path} multiplies by {weight.name} of {weight.bits} bits, and engine {engine.name} does "
        "not take it",
        code="E302",
        help=f"it takes {', '.join(engine.dtypes)}, integers and narrower forms, of at most "
        f"{engine.spec.max_bits} bits",
        details={"path": f"engines.{engine.name}"},
    )
