"""What an engine is: a spec, the actions it spends energy on, a pure cost, an area."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from archsim.core.registry import Registry
from archsim.core.spec import Seconds, Spec
from archsim.ir.kernel import TileGrid
from archsim.ir.mapping import Loop
from archsim.ir.op import Kind, Op
from archsim.ir.problem import Problem
from archsim.ir.target import Cost, Tiles
from archsim.ir.tensor import DType

if TYPE_CHECKING:
    from archsim.energy.table import EnergyTable

Ints = NDArray[np.int64]


class EngineSpec(Spec):
    """Fields that every engine has."""

    clock: str = "core"
    """Clock that this engine runs on: a name under `clocks:`."""

    memory: str | None = None
    """On-chip memory its operands lie in: a name under `memory:`. Default: the first `sram`."""

    launch: Seconds | None = None
    """Time to launch a kernel. An engine with one runs a kernel at a time, with the chip to itself;
    one without (default) is fed by a sequencer, ops overlapping."""

    provenance: dict[str, str] = {}
    """Where each number comes from, by field; `assumed` where there is no source."""


class Engine:
    """An engine of the machine. A subclass states its Spec, its ACTIONS and pure physics.

    `KINDS` are the op kinds it can run. `cost` maps tile shapes to cycles and counts, in one
    vectorised call before time starts; nothing here waits or remembers.
    """

    kind: ClassVar[str]
    KINDS: ClassVar[frozenset[Kind]]
    ACTIONS: ClassVar[tuple[tuple[str, str], ...]]  # (energy class, action) it may count
    Spec: ClassVar[type[EngineSpec]]
    # what relieves it, by what it is short of: field of the Spec -> factor; tried, never assumed
    KNOBS: ClassVar[Mapping[str, Mapping[str, float]]] = {}

    def __init__(self, name: str, spec: Any, clock_hz: float) -> None:
        self.name = name
        self.spec = spec
        self.clock_hz = clock_hz

    @classmethod
    def example(cls) -> dict[str, Any]:
        """A small valid description, for contract tests and documentation."""
        raise NotImplementedError

    @property
    def launch_s(self) -> float | None:
        """Seconds to launch a kernel; None where ops are issued, not launched."""
        launch: float | None = self.spec.launch
        return launch

    def can_run(self, op: Op) -> bool:
        """True when this engine has a way to run the op."""
        return op.kind in self.KINDS

    def area_mm2(self, table: EnergyTable) -> float:
        """Silicon area in mm2, from the table's rows."""
        raise NotImplementedError

    def leakage_w(self, table: EnergyTable) -> float:
        """Static power in W, from the table's rows."""
        raise NotImplementedError


class MacEngine(Engine):
    """An engine that multiplies and accumulates on `count` alike grids of rows x cols cells."""

    @property
    def grid(self) -> tuple[int, int, int]:
        """Rows, columns and alike instances that a mapping may spread over."""
        raise NotImplementedError

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Element types it can compute in."""
        raise NotImplementedError

    @property
    def broadcasts(self) -> bool:
        """Whether a link along each row brings one weight to all of the row's cells."""
        return False

    @property
    def limits(self) -> dict[str, Any]:
        """What bounds the tiles that it takes: fields of a `Target` beside its extents."""
        return {}

    def macs_per_s(self, dtype: str) -> float:
        """Peak multiply-accumulates per second at a dtype; 0 for one it cannot compute in."""
        raise NotImplementedError

    def cost(self, tiles: Tiles, dtype: str) -> Cost:
        """Cycles, lag and on-chip accesses of tiles, one array element a tile."""
        raise NotImplementedError

    def rated(self, weight: DType) -> str:
        """Name of the type that MACs by weights of a form run at: its own where it has a rate."""
        return weight.name if weight.name in self.dtypes else weight.computes_as

    def takes(self, weight: DType) -> bool:
        """Whether it multiplies by weights of a form; by default those whose MACs have a rate."""
        return self.rated(weight) in self.dtypes

    def lies(self, tile: Mapping[str, int], weight: DType) -> tuple[Loop, ...]:
        """Loops inside the array over a tile, where no template says how its units lie."""
        return ()

    def unpacks(self, weight: DType) -> bool:
        """Whether it brings weights to the type that MACs run at by itself; else lanes must."""
        return True

    def live(self, weight: DType, zeros: Fraction) -> Fraction:
        """Share of the MACs that it does, where weights are sparse or inputs have zeros; else all.

        It is the mean: lanes are taken to be balanced, and inputs and weights to be zero apart.
        """
        skips = getattr(self.spec, "skips", None)
        share = Fraction(1)
        if skips in ("weights", "both") and weight.sparse:
            share *= weight.sparse.share
        if skips in ("activations", "both"):
            share *= 1 - zeros
        return share

    def peak(self, weight: DType) -> float:
        """Peak multiply-accumulates per second by weights of a form; 0 for one it refuses."""
        return self.macs_per_s(self.rated(weight))

    @property
    def cost_content(self) -> Hashable:
        """What its costs depend on, by default all that it is made of: equal where costs are."""
        return self.spec.model_dump_json(), self.clock_hz

    def cost_of(self, tiles: Tiles, weight: DType) -> Cost:
        """Cost of tiles by weights of a form: as of the type that MACs run at, by default."""
        return self.cost(tiles, self.rated(weight))

    def work(self, size: Mapping[str, int], weight: DType) -> dict[str, int]:
        """What a tile of b x m x n x k counts for its energy: its MACs, by default.

        Keys that begin with `mac.` and `skipped.zero_macs` add up to the MACs of the op.
        """
        return {f"mac.{self.rated(weight)}": size["b"] * size["m"] * size["n"] * size["k"]}


class KernelEngine(MacEngine):
    """An engine that runs kernels: grids of output tiles dealt to alike cores."""

    @property
    def memory_efficiency(self) -> float | None:
        """Share of the memory's peak bandwidth that operands of a kernel reach; None: its own."""
        raise NotImplementedError

    def kernel(self, view: Problem, dtype: str, moved_bytes: int, bytes_per_s: float) -> TileGrid:
        """The grid of tiles that a library would choose: the fastest of its catalogue.

        Args:
            view: the product, with its ragged cases and element widths.
            dtype: that it computes in, one of `dtypes`.
            moved_bytes: that pass through memory.
            bytes_per_s: that memory gives a kernel.
        """
        raise NotImplementedError


class VectorEngine(Engine):
    """An engine that applies arithmetic primitives to a stream of points."""

    @property
    def lag_cycles(self) -> int:
        """Depth of its pipeline: delays a result, not the engine."""
        return 0

    def lane_cycles(self, op: Op) -> tuple[Fraction, Fraction]:
        """Work of an op per point and per row, in lane-cycles."""
        raise NotImplementedError

    def cycles(self, point: Fraction, row: Fraction, points: Ints, rows: Ints) -> Ints:
        """Cycles of tiles of so many points and rows, one array element a tile."""
        raise NotImplementedError


engines: Registry[Engine] = Registry("archsim.components", Engine)
