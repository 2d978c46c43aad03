"""Products that are computed inside a memory: what is asked, what they take, and their mapping.

Here lives plain data. How a product becomes commands to banks is in `memory.pim`, which unit
computes what it costs in `components`, and how it becomes rows through time in `system`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from archsim.core.html import Rendered
from archsim.ir.kernel import Flow
from archsim.ir.problem import Extents
from archsim.ir.tensor import Role

Layout = Literal["row", "column", "interleaved"]
Deal = Literal["spread", "balanced", "in_turn"]
"""Ways to deal whole matrices over channels: see `memory.pim.products.PimDevice.of`."""

ACTIONS = ("activate", "read", "input", "result", "mac")
"""What is counted and priced of products inside a memory: `PimWork.actions`."""

STORED = {Role.WEIGHT: "weights", Role.KV_CACHE: "kv_cache"}
"""Matrices that lie in a memory before a product begins, with their names under `placement:`."""


@dataclass(frozen=True, slots=True)
class Product:
    """Alike products out[m,n] += in[m,k] * matrix[k,n] whose matrices lie in the memory.

    Attributes:
        cases: extents of each ragged case; `b` matrices each, every one of k x n.
        matrix_bits, in_bits, out_bits: bits of an element.
        layout: how a matrix lies over banks: outputs dealt over units and the reduction along rows
            of the memory (`row`), the reduction dealt over units (`column`), or several outputs
            sharing a row where the reduction is short (`interleaved`).
        dealt: whole matrices are dealt over channels, as heads of a cache are; else each matrix
            lies over all of them.
        together: matrices of each case that belong to one sequence.
        over: channels that a dealt matrix lies over at most; None: any number.
    """

    cases: tuple[Extents, ...]
    matrix_bits: float
    in_bits: float
    out_bits: float
    layout: Layout = "row"
    dealt: bool = False
    together: int = 1
    over: int | None = None

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return sum(e.b * e.m * e.n * e.k for e in self.cases)


@dataclass(frozen=True)
class PimWork:
    """What a product takes of a memory that computes; times are of its busiest channel.

    Attributes:
        banks_ps: from the first command to the end of the last, refresh included.
        bus_ps: of it, time on the channel's data bus (inputs, results), which ordinary accesses
            cannot use.
        window_ps: of it, time in which its opening of rows leaves none to ordinary accesses in the
            window of activates.
        bound_ps: least time: matrix bytes at the units' peak rate, or MACs at theirs.
        waits_ps: `banks_ps` by what it was spent on: `mac`, `row`, `input`, `result`, `compute`,
            `power`, `refresh`, `mode`, `link`; they add up to it.
        commands: commands by name, over all channels.
        activates: rows opened, counted bank by bank, over all channels.
        read_bytes: out of banks into units, padding included, over all channels.
        input_bytes, result_bytes: over data buses into units and back, over all channels.
        matrix_bytes: of the matrices as they are.
        stored_bytes: that they occupy, padding included.
        bank_utilisation: share of all bank-time in which a bank feeds its unit.
        row_hit_rate: share of column accesses that find their row open.
        exact: whether its commands were timed one by one, not in closed form.
    """

    banks_ps: int
    bus_ps: int
    bound_ps: int
    waits_ps: Mapping[str, int]
    commands: Mapping[str, int]
    activates: int
    read_bytes: int
    input_bytes: int
    result_bytes: int
    matrix_bytes: int
    stored_bytes: int
    bank_utilisation: float
    row_hit_rate: float
    window_ps: int = 0
    exact: bool = False

    def actions(self, product: Product) -> dict[str, int]:
        """What it counts for a product, by action."""
        moved = self.read_bytes, self.input_bytes, self.result_bytes
        return dict(zip(ACTIONS, (self.activates, *moved, product.macs), strict=True))

    @property
    def held_ps(self) -> int:
        """Time that ordinary accesses beside it lose: on the data bus, or half of the window's.

        Whoever fills the window lets the others open rows behind each command, and of these two
        turns data flows in one.
        """
        return min(max(self.bus_ps, self.window_ps // 2), self.banks_ps)


@dataclass(frozen=True, slots=True)
class Crossing:
    """What a product in a memory further away sends over the DMAs between that and the chip.

    Attributes:
        movers: names of these, that of its memory first.
        size_bytes: inputs and results.
        ps: time that they take on the slowest.
    """

    movers: tuple[str, ...]
    size_bytes: int
    ps: int


@dataclass(frozen=True)
class PimStep:
    """One of the products of a mapping: what it asks, what it takes, and what crosses for it."""

    name: str
    product: Product
    work: PimWork
    over: Crossing | None = None


@dataclass(frozen=True)
class PimMapping(Rendered):
    """The mapping of a stage that runs inside a memory.

    Attributes:
        name: path of the stage.
        engine: name in the machine.
        memory: whose banks work.
        steps: its products in order: one, or scores and values of an attention.
        pieces: in which it is issued, so that others may use the memory between them.
        loads, stores: tensors that pass through memory on their way to and from it.
        counts: what all of it counts, by counter.
        dataflow: template, as reports name it.
    """

    name: str
    engine: str
    memory: str
    steps: tuple[PimStep, ...]
    pieces: int = 1
    loads: tuple[Flow, ...] = ()
    stores: tuple[Flow, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    dataflow: str = "gemv_pim"

    @property
    def order(self) -> tuple[str, ...]:
        """Loops, outermost first."""
        return ("b", "n", "k")

    @property
    def tile(self) -> Mapping[str, int]:
        """Extents of what one pass works on."""
        e = self.steps[0].product.cases[0]
        return {"b": 1, "m": e.m, "n": e.n, "k": e.k}

    @property
    def keep(self) -> frozenset[str]:
        """The matrix never moves."""
        return frozenset({"weight"})

    def render(self) -> str:
        """What is computed where, as text."""
        lines = [f"{self.name}: {self.dataflow} on {self.engine}, inside {self.memory}"]
        for step in self.steps:
            e, work = max(step.product.cases, key=lambda e: e.b * e.m * e.n * e.k), step.work
            more = len(step.product.cases) - 1
            ragged = f" and {more} more" if more else ""
            lines.append(
                f"  {step.name} [b {e.b}  m {e.m}  n {e.n}  k {e.k}{ragged}], "
                f"{step.product.layout} layout"
            )
            lines.append(
                f"    {work.activates:,} rows opened, {work.banks_ps / 1e6:.3g} us "
                f"({work.bound_ps / 1e6:.3g} us at best)"
            )
        return "\n".join(lines)
