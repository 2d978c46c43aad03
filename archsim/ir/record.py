"""What a run leaves behind for the report: plain data, no live object, everything by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import fsum, inf

from archsim.ir.dispatch_record import DispatchRecord
from archsim.ir.floor_record import FloorRecord
from archsim.ir.graph import OpGraph
from archsim.ir.pim_record import PimRecord
from archsim.ir.pod_record import PodRecord
from archsim.ir.stream_record import StreamRecord


@dataclass(frozen=True, slots=True)
class Price:
    """Energy of one counted action: where it is spent, pJ, and who says so."""

    component: str
    pj: float
    source: str
    accuracy: str


@dataclass(frozen=True)
class MachineRecord:
    """What the report must know of the machine.

    Attributes:
        name: in reports.
        sram, dram: names of the on-chip memory and of the nearest one behind the chip.
        dram_peak_bytes_per_s: peak bandwidth of that.
        engine_peak_flops: peak FLOP/s of each engine that multiplies and accumulates, at the
            element type of most of the MACs; empty for a graph without any.
        mac_engines: names of those engines.
        area_mm2, leakage_w: by component.
        prices: by counted action; None for counts that spend nothing.
        movers: the two memories that each DMA joins.
        budgets: most that a run may take, by metric (latency_s, energy_j, area_mm2).
        engine_devices: devices that have an engine, where these are not all.
    """

    name: str
    sram: str
    dram: str
    dram_peak_bytes_per_s: float
    engine_peak_flops: Mapping[str, float]
    mac_engines: tuple[str, ...]
    area_mm2: Mapping[str, float]
    leakage_w: Mapping[str, float]
    prices: Mapping[str, Price | None]
    movers: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    budgets: Mapping[str, float] = field(default_factory=dict)
    engine_devices: Mapping[str, int] = field(default_factory=dict)

    @property
    def peak_flops(self) -> float:
        """Peak FLOP/s of all engines together; infinite where there is nothing to multiply."""
        return fsum(self.engine_peak_flops.values()) or inf


@dataclass(frozen=True, slots=True)
class BankRecord:
    """What a stage did to a memory with banks, in one run of it.

    Attributes:
        memory: name of the memory.
        stage: path of the stage.
        repeats: runs of the stage.
        bursts: of the whole stage.
        simulated: bursts that went through the engine, on all channels that it stands for.
        row_hits: of the simulated bursts, those that found their row open.
        row_misses: those that found the bank closed.
        row_conflicts: those that found another row open.
        activates: rows opened for them.
        refreshes: refresh commands meanwhile.
        moved: bytes, and time on the port in ps, by tensor.
    """

    memory: str
    stage: str
    repeats: int
    bursts: int
    simulated: int
    row_hits: int
    row_misses: int
    row_conflicts: int
    activates: int
    refreshes: int
    moved: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class StageRecord:
    """One stage: an op, the ops fused to it, where and how it ran."""

    path: str
    fused: str
    op_class: str
    engine: str
    dataflow: str
    is_mac: bool
    repeats: int
    mapping_eff_pct: float | None
    cells_used: str = ""  # what of a spatial array works, and why not more of it
    devices: int = 1  # that ran it


@dataclass(frozen=True, slots=True)
class RowRecord:
    """One kind of step: its unit, its stage, how often it ran, and its time in picoseconds."""

    unit: str
    port: str | None  # memory whose port its unit shares with others: it waits for bandwidth
    stage: int
    counts: Mapping[str, int]
    executions: int
    holds: Mapping[str, int]  # bytes that each execution takes up in a memory, or gives back
    busy_ps: int
    stall_in_ps: int
    stall_out_ps: int
    stall_shared_ps: int
    critical_busy_ps: int
    critical_lag_ps: int
    devices: int = 1  # alike ones, for which the row stands

    @property
    def shared(self) -> bool:
        """True for a row on the port of a memory."""
        return self.port is not None


@dataclass(frozen=True)
class TierRecord:
    """What a memory behind the chip holds.

    Attributes:
        path: memories that its data pass on their way to the chip, itself first.
        held_bytes: by class of tensors, over the whole run.
        staging_bytes: reserved for data of memories further away that pass through.
        compulsory_bytes: that any schedule moves through its port.
    """

    name: str
    capacity_bytes: int
    peak_bytes_per_s: float
    path: tuple[str, ...]
    held_bytes: Mapping[str, int]
    staging_bytes: int
    compulsory_bytes: int

    @property
    def peak_bytes(self) -> int:
        """Most that it holds at once."""
        return sum(self.held_bytes.values()) + self.staging_bytes


@dataclass(frozen=True, slots=True)
class ExpertRecord:
    """What a cache of one layer's experts saw.

    Attributes:
        name: of the layer's experts.
        repeats: layers that are alike.
        policy, held, prefetch: of the cache, for each layer.
        hits, misses, evictions: of one layer.
        expert_bytes: of one expert.
        miss_ps: the time that one takes from the memory behind, alone.
    """

    name: str
    repeats: int
    policy: str
    held: int
    prefetch: bool
    hits: int
    misses: int
    evictions: int
    expert_bytes: int
    miss_ps: int


@dataclass(frozen=True)
class MemoryRecord:
    """What lay where: bytes on chip and behind it, and the tensors that stayed on chip."""

    resident: tuple[str, ...]
    resident_bytes: int
    stream_bytes: int
    tiles_bytes: int
    sram_capacity_bytes: int
    dram_bytes: Mapping[str, int]
    tiers: tuple[TierRecord, ...]  # the nearest first
    experts: tuple[ExpertRecord, ...] = ()  # of what is cached in the nearest


@dataclass(frozen=True)
class BoundRecord:
    """The least time physics allows: compulsory bytes and peak arithmetic, nothing else.

    `communication_ps` is None for one device.
    """

    memory_ps: int
    compute_ps: int
    vector_ps: int
    communication_ps: int | None = None

    @property
    def times(self) -> dict[str, int]:
        """Each of them by name."""
        found = {"memory": self.memory_ps, "compute": self.compute_ps, "vector": self.vector_ps}
        if self.communication_ps is not None:
            found["communication"] = self.communication_ps
        return found

    @property
    def ps(self) -> int:
        """The largest of them."""
        return max(self.times.values())

    @property
    def by(self) -> str:
        """Which of them it is."""
        times = self.times
        return max(times, key=times.__getitem__)


@dataclass(frozen=True)
class FoldRecord:
    """Iterations that were counted because the state recurred."""

    loop: str
    period: int
    simulated: int
    counted: int


@dataclass(frozen=True)
class RunRecord:
    """Everything the report reads.

    Attributes:
        time_ps: the makespan; the bound's time when nothing was timed.
        timed: True when a schedule was run or reduced, so that rows are there.
        simulated: True when it was run through time, so that stalls are there.
        banks: what each stage did to each memory with banks, where they were simulated.
        unmatched: rules of the machine that no op matched.
        dispatch: where each op ran, and why; empty for a machine without dispatch rules.
        unheard: code and text of each option of a memory that had no effect.
        streams: what stream graphs did.
        launches: kernels, or regions, that were launched, repeats counted.
        steps, steps_simulated: of the schedule.
        pod: all devices, where there are several; then `graph` is of all of them, `machine` has the
            peaks, areas and static power of all, and `memory` is of the one that holds most.
        floor: the network on the chip, where there is one.
        pims: what stages inside memories did.
    """

    graph: OpGraph
    machine: MachineRecord
    memory: MemoryRecord
    bound: BoundRecord
    time_ps: int
    timed: bool
    simulated: bool
    stages: tuple[StageRecord, ...] = ()
    rows: tuple[RowRecord, ...] = ()
    folds: tuple[FoldRecord, ...] = ()
    banks: tuple[BankRecord, ...] = ()
    unmatched: tuple[str, ...] = ()
    dispatch: tuple[DispatchRecord, ...] = ()
    unheard: tuple[tuple[str, str], ...] = ()
    launches: int = 0
    streams: tuple[StreamRecord, ...] = ()
    steps: int = 0
    steps_simulated: int = 0
    pod: PodRecord | None = None
    floor: FloorRecord | None = None
    pims: tuple[PimRecord, ...] = ()

    @property
    def devices(self) -> int:
        """Chips of the machine."""
        return self.pod.devices if self.pod else 1
