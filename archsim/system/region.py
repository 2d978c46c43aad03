"""The plan of a region: units by balance, room on chip by closed form, tiles by the least time.

An op's units are in proportion to the cycles of its slowest tile. A buffer between two ops holds
as many tiles as the second one runs behind the first, and one more. What an op multiplies with is
held while all tiles pass, or, where a region has one tile, or is one op, passes through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from archsim.components.spatial_pipeline import SpatialPipeline
from archsim.core.units import PS_PER_S
from archsim.ir.graph import OpGraph
from archsim.ir.op import Access, Op
from archsim.ir.region import Operand, Placed, RegionMapping, Way
from archsim.system.build import Machine
from archsim.system.region_flow import Flows, Ways
from archsim.system.region_work import OpWork
from archsim.system.room import no_rate

MOST_TILES = 256  # of a region: keeps its schedule short


def deal(units: int, works: Sequence[int]) -> list[int]:
    """Units for each of several works: at least one each, the rest in proportion.

    Rounded by largest remainder; ties go to the first.
    """
    spare, total = units - len(works), sum(works) or 1
    exact = [spare * work / total for work in works]
    given = [1 + int(e) for e in exact]
    order = sorted(range(len(works)), key=lambda i: (int(exact[i]) - exact[i], i))
    for i in order[: units - sum(given) if sum(works) else 0]:
        given[i] += 1
    return given


@dataclass(frozen=True)
class Planner:
    """What the plan of regions of a block depends on beside their ops.

    Attributes:
        graph: of the block.
        machine: with the engine.
        engine: that runs them.
        resident: tensors that stay on chip.
        budget_bytes: on chip for a region.
        accumulator_bits: width of partial sums.
        known: work of ops found so far, by name, tiles and whether a mask cuts them.
    """

    graph: OpGraph
    machine: Machine
    engine: SpatialPipeline
    resident: frozenset[str]
    budget_bytes: int
    accumulator_bits: int
    known: dict[tuple[str, int, bool], OpWork] = field(default_factory=dict)

    @property
    def unit_bytes(self) -> int:
        """Bytes of one memory unit."""
        return max(1, self.machine.sram.capacity_bytes // self.engine.spec.memory_units)

    def plan(self, path: str, ops: Sequence[Op], leaving: frozenset[str]) -> RegionMapping | None:
        """The fastest region of these ops that fits; None where none does.

        Args:
            path: of its stage.
            ops: in the order of their block.
            leaving: what they write that others read, or that is kept.
        """
        if len(ops) > self.engine.spec.compute_units:
            return None
        for op in ops:
            if op.is_mac:
                dtype = self.graph.tensors[op.reads[1].tensor].dtype.computes_as
                if dtype not in self.engine.dtypes:
                    raise no_rate(f"{path.partition('/')[0]}/{op.name}", dtype, self.engine)
        found = []
        for steps in self._steps(ops):
            mapping = _Candidate(self, path, ops, leaving, steps).mapping()
            if mapping is None and len(ops) == 1:
                mapping = _Candidate(self, path, ops, leaving, steps, again=True).mapping()
            found += [mapping] if mapping else []
        return min(found, key=lambda m: m.estimate_s, default=None)

    def _steps(self, ops: Sequence[Op]) -> list[int]:
        """Numbers of tiles to try: of a power of two of the rows of the op that has fewest."""
        rows = min(work.limit for work in self._works(ops, 1))
        widths = [1 << i for i in range(rows.bit_length() + 1)]
        return sorted({n for width in widths if (n := -(-rows // width)) <= MOST_TILES})

    def _works(self, ops: Sequence[Op], steps: int) -> list[OpWork]:
        masked = is_masked(ops)
        return [self._work(op, steps, masked=masked) for op in ops]

    def _work(self, op: Op, steps: int, *, masked: bool) -> OpWork:
        """The work of an op, found once: ops of a block have names of their own."""
        key = op.name, steps, masked
        if key not in self.known:
            self.known[key] = OpWork(
                op,
                self.graph,
                self.engine,
                steps,
                masked=masked,
                accumulator_bits=self.accumulator_bits,
                bytes_per_cycle=self.machine.sram.bytes_per_s / self.engine.clock_hz,
            )
        return self.known[key]

    def works(self, mapping: RegionMapping, ops: Sequence[Op]) -> list[OpWork]:
        """The work of each op of a region in the tiles that it was cut into."""
        return self._works(ops, mapping.steps)


def is_masked(ops: Sequence[Op]) -> bool:
    """True where a whole attention is among the ops, so that what its mask hides is left out."""
    classes = {op.op_class for op in ops if op.causal}
    return {"attention_score", "attention_value"} <= classes


class _Candidate:
    """A region cut into a given number of tiles."""

    def __init__(
        self,
        planner: Planner,
        path: str,
        ops: Sequence[Op],
        leaving: frozenset[str],
        steps: int,
        *,
        again: bool = False,
    ) -> None:
        self.p, self.path, self.ops, self.leaving, self.steps = planner, path, ops, leaving, steps
        self.again = again  # what its op multiplies with comes anew for each tile
        self.graph, self.engine = planner.graph, planner.engine
        self.works = planner._works(ops, steps)

    def mapping(self) -> RegionMapping | None:
        """The region, if it fits."""
        memory = self.p.machine.dram
        flows = Flows(
            self.graph,
            self.p.resident,
            self.ops,
            self.works,
            least_bytes=round(memory.bytes_per_s * memory.latency_ps / PS_PER_S),
            again=self.again,
        )
        ways, lags = flows.ways()
        spare = self._units_left(ways)
        if spare < 0 and self.steps == 1:
            ways = self._shallow(ways)
            spare = self._units_left(ways)
        if spare < 0:
            return None
        works = [work.one_unit_cycles() for work in self.works]
        units = deal(self.engine.spec.compute_units, works)
        resident = self.p.resident
        placed = tuple(
            Placed(
                op.name,
                op.op_class,
                units[i],
                self.works[i].best(units[i]),
                ways[i],
                tuple(t for t in self._leaving(op) if t not in resident),
                tuple(t for t in self._leaving(op) if t in resident),
                lags[i],
            )
            for i, op in enumerate(self.ops)
        )
        room = sum(o.room_bytes for operands in ways for o in operands) + self._store_bytes()
        return RegionMapping(
            name=self.path,
            engine=self.engine.name,
            ops=placed,
            steps=self.steps,
            tokens=max(1, min(work.width for work in self.works)),
            masked=is_masked(self.ops),
            units=self.engine.spec.compute_units,
            memory_units=self.engine.spec.memory_units,
            memory_used=self.p.budget_bytes // self.p.unit_bytes - spare,
            room_bytes=room,
            estimate_s=self._estimate_s(placed),
        )

    def _size(self, access: Access) -> int:
        return self.graph.touched_bytes(access)

    def _leaving(self, op: Op) -> list[str]:
        return [a.tensor for a in op.writes if a.tensor in self.leaving]

    def _shallow(self, ways: Ways) -> Ways:
        """With one tile, what does not fit all at once waits its turn: fewer pieces on chip.

        As many as fit; rounding to memory units may ask for fewer than their bytes do.
        """
        loose = [o for ops in ways for o in ops if o.way is Way.PASSED and o.pieces > 2]
        need = sum(o.room_bytes for o in loose) or 1
        fixed = self._used(ways) * self.p.unit_bytes - need
        share = max(0.0, (self.p.budget_bytes - fixed) / need)

        def less(o: Operand, share: float) -> Operand:
            if o not in loose:
                return o
            depth = max(2, int(o.pieces * share) - 1)
            each = -(-o.size_bytes // o.pieces)
            return replace(o, depth=depth, room_bytes=depth * each + o.fresh_bytes)

        while True:
            fewer = [tuple(less(o, share) for o in operands) for operands in ways]
            deep = any(o.depth > 2 for operands in fewer for o in operands if o.way is Way.PASSED)
            if not deep or self._units_left(fewer) >= 0:
                return fewer
            share /= 2

    def _store_bytes(self) -> int:
        """Two tiles of each result on its way to memory."""
        tiles = min(2, self.steps)
        return sum(
            tiles * -(-self._size(a) // self.steps)
            for op in self.ops
            for a in op.writes
            if a.tensor in self.leaving and a.tensor not in self.p.resident
        )

    def _used(self, ways: Ways) -> int:
        rooms = [o.room_bytes for operands in ways for o in operands]
        return sum(-(-room // self.p.unit_bytes) for room in [*rooms, self._store_bytes()])

    def _units_left(self, ways: Ways) -> int:
        return self.p.budget_bytes // self.p.unit_bytes - self._used(ways)

    def _estimate_s(self, placed: tuple[Placed, ...]) -> float:
        """The longer of memory and pipeline; the pipeline fills, then its slowest op decides."""
        memory = self.p.machine.dram
        moved = 0.0
        cycles = []
        for work, op in zip(self.works, placed, strict=True):
            cycles.append(work.cost(op.units, op.stationary).cycles)
            for o in op.operands:
                whole = o.size_bytes + o.fresh_bytes
                if o.way is Way.AGAIN:
                    moved += whole * sum(work.prefix)
                elif o.way in (Way.TILES, Way.HELD, Way.PASSED):
                    moved += whole
        moved += sum(
            self._size(a)
            for op in self.ops
            for a in op.writes
            if a.tensor in self.leaving and a.tensor not in self.p.resident
        )
        slowest = sum(max(int(c[i]) for c in cycles) for i in range(self.steps))
        mean = [float(c.mean()) for c in cycles]
        pipeline = (slowest + sum(mean) - max(mean)) / self.engine.clock_hz
        waits = any(o.way is Way.TILES for op in placed for o in op.operands)
        # of the next tile while one is used: it takes its latency, however small it is
        waited = self.steps * memory.latency_ps / 2 / PS_PER_S if waits else 0.0
        loaded = max(moved / memory.bytes_per_s, waited)
        return max(pipeline, loaded) + min(pipeline, loaded) / (2 * self.steps)
