"""Placement: which engine and dataflow runs each op, which ops fuse, which tensors stay on chip."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field, replace

from archsim.components.base import Engine, KernelEngine, VectorEngine
from archsim.components.systolic_array import SystolicArray
from archsim.core import html
from archsim.core.units import PS_PER_S
from archsim.dataflows.base import covers_attention
from archsim.ir.collective_mapping import CollectiveMapping
from archsim.ir.flash import FlashMapping
from archsim.ir.flash_backward import FlashBackwardMapping
from archsim.ir.graph import Block, OpGraph
from archsim.ir.kernel import KernelMapping
from archsim.ir.mapping import Mapping
from archsim.ir.nest import NestMapping
from archsim.ir.nest_fused import FusedNest
from archsim.ir.op import Access, Op
from archsim.ir.partition import Partition
from archsim.ir.pim import PimMapping
from archsim.ir.region import RegionMapping
from archsim.ir.stream_mapping import StreamMapping
from archsim.system.build import Machine
from archsim.system.chains import (
    INSIDE,
    attention_chain,
    lanes_beside,
    softmax_lanes,
    tail_of,
)
from archsim.system.flash_backward_chain import FLASH, kept_chain, leaves_of
from archsim.system.fused_nest_chain import FUSED, fused_ops
from archsim.system.homes import Homes
from archsim.system.mapper_record import Searched
from archsim.system.mapper_rule import AUTO
from archsim.system.pim_laid import Laid
from archsim.system.region_cut import cautious, regions, takes
from archsim.system.rules import engine_of, rule_option

WINDOW = 4  # ops in flight: the sequencer issues no further ahead of the oldest unfinished one
PAGES = 64  # streaming room is handed out in this many pages
ACTIVATION_SHARE = 0.5  # of the on-chip memory that resident activations may take

AnyMapping = (
    Mapping | NestMapping | FlashMapping | KernelMapping | RegionMapping | StreamMapping
    | CollectiveMapping | FlashBackwardMapping | FusedNest | PimMapping
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """One op and the vector ops fused to its tiles, on the engines that run them.

    Attributes:
        block: name of the block; with `ops[0].name` the path of the stage.
        ops: the op that gives the stage its tiles, then the fused ones in order.
        engine: runs `ops[0]`.
        vector: runs the fused ops.
        template: of a stage that is a whole attention, such as `flash_attention`; else empty.
        mapping: tiles of a MAC stage; None for a vector stage.
        tile_rows: rows of a tile of a vector stage.
        by_point: its tiles are cut between points, not rows: a row is too long for the chip.
        room_bytes: bytes on chip that the tiles need.
        exclusive: it runs with the chip to itself, as a kernel does.
        launch_ps: time to launch it, before anything of it moves.
        searched: what the search for its mapping was like, where there was one.
        leaves: tensors that leave it, where those are not what its last op writes.
    """

    block: str
    ops: tuple[Op, ...]
    engine: Engine
    vector: VectorEngine | None = None
    template: str = ""
    mapping: AnyMapping | None = None
    tile_rows: int = 0
    by_point: bool = False
    room_bytes: int = 0
    exclusive: bool = False
    launch_ps: int = 0
    leaves: tuple[str, ...] = ()
    searched: Searched | None = None

    @property
    def path(self) -> str:
        """`block/op`, which selectors and reports use."""
        return f"{self.block}/{self.ops[0].name}"

    @property
    def reads(self) -> tuple[str, ...]:
        """Tensors that come from outside the stage, in order of first use."""
        inner = {a.tensor for op in self.ops for a in op.writes}
        names = [a.tensor for op in self.ops for a in op.reads if a.tensor not in inner]
        return tuple(dict.fromkeys(names))

    @property
    def writes(self) -> tuple[str, ...]:
        """Tensors that leave the stage."""
        return self.leaves or tuple(a.tensor for a in self.ops[-1].writes)

    @property
    def launched(self) -> bool:
        """True where something launches it, and not together with its neighbour."""
        return self.launch_ps > 0 or isinstance(self.mapping, RegionMapping)

    @property
    def results(self) -> tuple[Access, ...]:
        """How what leaves the stage is written."""
        names = set(self.writes)
        return tuple(a for op in self.ops for a in op.writes if a.tensor in names)


@dataclass(frozen=True)
class StagedBlock:
    """The stages of a block of the graph, in issue order."""

    block: Block
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Plan:
    """Everything decided before tiles are timed.

    Attributes:
        resident: tensors that stay on chip; the others pass through DRAM.
        resident_bytes: most that resident tensors occupy at once.
        stream_bytes: on-chip room left for tiles.
        dram_bytes: bytes held behind the chip, by role.
        homes: where tensors lie that the nearest memory does not hold.
        unmatched: dispatch and mapping rules that no op matched.
        laid: tensors that lie as an engine inside a memory wants them.
        pod: plans of all devices, of which this is the first; None for a machine of one.
    """

    graph: OpGraph
    machine: Machine
    blocks: tuple[StagedBlock, ...]
    resident: frozenset[str]
    resident_bytes: int
    stream_bytes: int
    dram_bytes: MappingType[str, int]
    accumulator_bits: int
    unmatched: tuple[str, ...] = field(default=())
    homes: Homes = field(default_factory=Homes)
    laid: MappingType[str, Laid] = field(default_factory=dict)
    pod: Pod | None = None

    def _repr_html_(self) -> str:
        rows = []
        for block in self.blocks:
            for stage in block.stages:
                how, fused = stage.mapping, " + ".join(op.name for op in stage.ops[1:])
                nest = html.folded(how.dataflow, html.lines(how.render())) if how else "streaming"
                times, engine = block.block.count, stage.engine.name
                rows.append((stage.path, times, fused, engine, nest, stage.room_bytes))
        title = f"{self.machine.spec.name} x {self.graph.name}"
        says = f"on chip: {self.resident_bytes:,} B of tensors, {self.stream_bytes:,} B for tiles"
        head = ("stage", "runs", "fused to it", "engine", "mapping", "tiles [B]")
        return html.joined(html.heading(title, says), html.table(rows, head))

    @property
    def page_bytes(self) -> int:
        """Bytes of one page of streaming room; networks that run at once have their own pages."""
        return max(1, self.stream_bytes // (PAGES * len(self.graph.networks)))


@dataclass(frozen=True)
class Pod:
    """A graph divided over devices, and the plan of each share, in order.

    Attributes:
        partition: what each device runs.
        plans: by share.
        odd: plans of devices whose hardware is unlike the others', by number.
    """

    partition: Partition
    plans: tuple[Plan, ...]
    odd: MappingType[int, Plan] = field(default_factory=dict)


def stage_blocks(
    graph: OpGraph, machine: Machine, accumulator_bits: int
) -> tuple[tuple[StagedBlock, ...], set[str]]:
    """Ops grouped into stages and sent to engines; and the rules that matched something."""
    used: set[str] = set()
    blocks = tuple(
        StagedBlock(block, tuple(_stages(graph, machine, block, used, accumulator_bits)))
        for block in graph.blocks
    )
    return blocks, used


def _stages(
    graph: OpGraph, machine: Machine, block: Block, used: set[str], accumulator_bits: int
) -> list[Stage]:
    readers: dict[str, list[int]] = {}
    writer: dict[str, int] = {}
    for i, op in enumerate(block.ops):
        for access in op.reads:
            readers.setdefault(access.tensor, []).append(i)
        for access in op.writes:
            writer[access.tensor] = i
    carried = {name for _, name in block.carry}
    outside = {
        a.tensor for b in graph.blocks if b is not block for op in b.ops for a in op.reads
    } | carried
    stages: list[Stage] = []
    done: set[int] = set()
    for i, op in enumerate(block.ops):
        if i in done:
            continue
        path = f"{block.name}/{op.name}"
        engine = engine_of(machine, path, op, used)
        if _pipelined(machine, path, op, engine, used):
            found = _region_stages(graph, machine, block, i, used, accumulator_bits)
            stages += found
            done.update(range(i, i + sum(len(stage.ops) for stage in found)))
            continue
        ops, vector, template = [op], None, ""
        kept = kept_chain(graph, block, i)
        attention = kept or attention_chain(block, i, readers, outside)
        asked = rule_option(machine, path, op, "dataflow", used) if attention else None
        if kept or (asked == AUTO and isinstance(engine, SystolicArray | KernelEngine)):
            asked = FLASH
        if unit := lanes_beside(machine, block, attention, engine, used):
            template, vector, ops = INSIDE, unit, [block.ops[j] for j in attention]
            done.update(attention)
        elif asked and covers_attention(asked):
            template, ops = asked, [block.ops[j] for j in attention]
            done.update(attention)
            vector = softmax_lanes(machine, block, attention, used)
        elif fused := fused_ops(graph, machine, block, i, (readers, writer, outside), used):
            template, (places, vector) = FUSED, fused
            ops = [block.ops[j] for j in places]
            done.update(places)
        elif op.is_mac and len(op.writes) == 1:
            tail, vector = tail_of(machine, block, i, (readers, writer, outside), used)
            ops += [block.ops[j] for j in tail]
            done.update(tail)
        leaves = leaves_of(tuple(ops)) if template else ()
        stage = Stage(block.name, tuple(ops), engine, vector, template, leaves=leaves)
        stages.append(_launched(stage, machine, used))
    return stages


def _pipelined(machine: Machine, path: str, op: Op, engine: Engine, used: set[str]) -> bool:
    """True for an op of a region: on a fabric, where no rule says that it runs otherwise."""
    if not takes(engine, op):
        return False
    return rule_option(machine, path, op, "fuse", used) in (None, "region")


def least_room_bytes(graph: OpGraph, machine: Machine) -> int:
    """On-chip bytes that a stage which runs alone has, however much else may stay there."""
    allowed, whole = machine.spec.placement.activations, machine.sram.capacity_bytes
    stays = not allowed or machine.sram.name in allowed
    stream = whole - int(whole * ACTIVATION_SHARE) if stays else whole
    return PAGES * max(1, stream // (PAGES * len(graph.networks)))


def _region_stages(
    graph: OpGraph, machine: Machine, block: Block, at: int, used: set[str], accumulator_bits: int
) -> list[Stage]:
    """Regions of the ops of a block from one on that may be in one."""
    ops = [block.ops[at]]
    engine = engine_of(machine, f"{block.name}/{ops[0].name}", ops[0], used)
    room = least_room_bytes(graph, machine)
    planner = cautious(graph, machine, engine, room, accumulator_bits)
    for op in block.ops[at + 1 :]:
        path = f"{block.name}/{op.name}"
        if engine_of(machine, path, op, used) is not engine:
            break
        if not _pipelined(machine, path, op, engine, used):
            break
        ops.append(op)
    return [
        _launched(Stage(block.name, some, engine, leaves=leaves), machine, used)
        for some, leaves in regions(planner, block, ops)
    ]


def _launched(stage: Stage, machine: Machine, used: set[str]) -> Stage:
    """A stage with what its engine spends before it starts, if that engine launches kernels."""
    launch = stage.engine.launch_s
    if launch is None:
        return stage
    how = rule_option(machine, stage.path, stage.ops[0], "launch", used) or "own"
    given = {"own": launch, "joined": 0.0}
    seconds = given[how] if how in given else float(how)
    return replace(stage, exclusive=True, launch_ps=round(seconds * PS_PER_S))
