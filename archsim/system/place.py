"""Placement: which engine and dataflow runs each op, which ops fuse, which tensors stay on chip."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field, replace

from archsim.components.base import Engine, VectorEngine
from archsim.core.errors import Infeasible, InputError, Unsupported
from archsim.core.units import PS_PER_S
from archsim.ir.flash import FlashMapping
from archsim.ir.graph import Block, OpGraph
from archsim.ir.kernel import KernelMapping
from archsim.ir.mapping import Mapping
from archsim.ir.op import Kind, Op
from archsim.ir.tensor import Role, Tensor
from archsim.system.build import Machine, selects
from archsim.system.homes import Homes

WINDOW = 4  # ops in flight: the sequencer issues no further ahead of the oldest unfinished one
FLASH = "flash_attention"  # the template that takes scores, softmax and values as one stage
PAGES = 64  # streaming room is handed out in this many pages
ACTIVATION_SHARE = 0.5  # of the on-chip memory that resident activations may take


@dataclass(frozen=True)
class Stage:
    """One op and the vector ops fused to its tiles, on the engines that run them.

    Attributes:
        block: name of the block; with `ops[0].name` the path of the stage.
        ops: the op that gives the stage its tiles, then the fused ones in order.
        engine: runs `ops[0]`.
        vector: runs the fused ops.
        template: `flash_attention` where the stage is a whole attention, else empty.
        mapping: tiles of a MAC stage; None for a vector stage.
        tile_rows: rows of a tile of a vector stage.
        by_point: its tiles are cut between points, not rows: a row is too long for the chip.
        room_bytes: bytes on chip that the tiles need.
        exclusive: it runs with the chip to itself, as a kernel does.
        launch_ps: time to launch it, before anything of it moves.
    """

    block: str
    ops: tuple[Op, ...]
    engine: Engine
    vector: VectorEngine | None = None
    template: str = ""
    mapping: Mapping | FlashMapping | KernelMapping | None = None
    tile_rows: int = 0
    by_point: bool = False
    room_bytes: int = 0
    exclusive: bool = False
    launch_ps: int = 0

    @property
    def path(self) -> str:
        """`block/op`, which selectors and reports use."""
        return f"{self.block}/{self.ops[0].name}"

    @property
    def reads(self) -> tuple[str, ...]:
        """Tensors that come from outside the stage, in order of first use."""
        inner = {a.tensor for op in self.ops[:-1] for a in op.writes}
        names = [a.tensor for op in self.ops for a in op.reads if a.tensor not in inner]
        return tuple(dict.fromkeys(names))

    @property
    def writes(self) -> tuple[str, ...]:
        """Tensors that leave the stage."""
        return tuple(a.tensor for a in self.ops[-1].writes)


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

    @property
    def page_bytes(self) -> int:
        """Bytes of one page of streaming room."""
        return max(1, self.stream_bytes // PAGES)


def stage_blocks(graph: OpGraph, machine: Machine) -> tuple[tuple[StagedBlock, ...], set[str]]:
    """Ops grouped into stages and sent to engines; and the rules that matched something."""
    used: set[str] = set()
    blocks = tuple(
        StagedBlock(block, tuple(_stages(graph, machine, block, used))) for block in graph.blocks
    )
    return blocks, used


def rule_option(machine: Machine, path: str, op: Op, option: str, used: set[str]) -> str | None:
    """The value of a mapping option for an op: that of the first matching rule that gives it."""
    for i, rule in enumerate(machine.spec.mapping):
        if selects(rule.ops, path, op.op_class):
            used.add(f"mapping[{i}]")
            value = getattr(rule, option)
            if value is not None:
                return str(value)
    return None


def _engine(machine: Machine, path: str, op: Op, used: set[str]) -> Engine:
    for i, rule in enumerate(machine.spec.dispatch):
        if selects(rule.ops, path, op.op_class):
            engine = machine.engines[rule.run_on]
            if engine.can_run(op):
                used.add(f"dispatch[{i}]")
                return engine
            if rule.ops != "*":
                raise InputError(
                    f"dispatch[{i}] sends {path} to {rule.run_on}, "
                    f"but a {engine.kind} cannot run a {op.kind} op",
                    code="E201",
                    help=f"it runs: {', '.join(sorted(engine.KINDS))}",
                )
    for _, engine in sorted(machine.engines.items()):
        if engine.can_run(op):
            return engine
    raise Unsupported(
        f"no engine of {machine.spec.name} runs {op.kind} ops, and {path} is one",
        code="E302",
        help="add an engine of a kind that does: see `archsim list components`",
    )


def _stages(graph: OpGraph, machine: Machine, block: Block, used: set[str]) -> list[Stage]:
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
        engine = _engine(machine, path, op, used)
        ops, vector, template = [op], None, ""
        attention = _attention(block, i, readers, outside)
        if attention and rule_option(machine, path, op, "dataflow", used) == FLASH:
            template, ops = FLASH, [block.ops[j] for j in attention]
            done.update(attention)
            unit = _engine(machine, f"{block.name}/{ops[1].name}", ops[1], used)
            if not isinstance(unit, VectorEngine):
                raise InputError(f"{path}: its softmax needs a vector unit", code="E201")
            vector = unit
        elif op.is_mac and len(op.writes) == 1:
            how = rule_option(machine, path, op, "fuse", used) or "elementwise"
            while how != "none":
                tail = ops[-1].writes[0].tensor
                nexts = readers.get(tail, [])
                if len(set(nexts)) != 1 or tail in outside or len(ops[-1].writes) != 1:
                    break
                follower = block.ops[nexts[0]]
                ready = all(writer.get(a.tensor, -1) <= i or a.tensor == tail
                            for a in follower.reads)  # fmt: skip
                alike = follower.kind is Kind.VECTOR and follower.points() == _outputs(op)
                if not (ready and alike) or (follower.reduces and how != "reductions"):
                    break
                unit = _engine(machine, f"{block.name}/{follower.name}", follower, used)
                if not isinstance(unit, VectorEngine):
                    break
                vector = unit
                ops.append(follower)
                done.add(nexts[0])
        stage = Stage(block.name, tuple(ops), engine, vector, template)
        stages.append(_launched(stage, machine, used))
    return stages


def _attention(
    block: Block, at: int, readers: dict[str, list[int]], outside: set[str]
) -> list[int]:
    """Places of scores, softmax and values that begin at an op; empty where they are no chain."""
    if block.ops[at].op_class != "attention_score":
        return []
    chain = [at]
    while block.ops[chain[-1]].op_class != "attention_value":
        written = block.ops[chain[-1]].writes
        nexts = {j for a in written for j in readers.get(a.tensor, ())}
        if len(nexts) != 1 or any(a.tensor in outside for a in written):
            return []
        chain += nexts
    return chain


def _launched(stage: Stage, machine: Machine, used: set[str]) -> Stage:
    """A stage with what its engine spends before it starts, if that engine launches kernels."""
    launch = stage.engine.spec.launch
    if launch is None:
        return stage
    how = rule_option(machine, stage.path, stage.ops[0], "launch", used) or "own"
    ps = round(launch * PS_PER_S) if how == "own" else 0
    return replace(stage, exclusive=True, launch_ps=ps)


def _outputs(op: Op) -> int:
    """Output elements of a MAC op, ragged extents counted."""
    reduced = {"K"} if op.kind is Kind.GEMM else {"IC", "FH", "FW"}
    total = 0
    for count, ranks in op.cases():
        size = count
        for rank, extent in ranks.items():
            size *= 1 if rank in reduced else extent
        total += size
    return total


def check_capacity(graph: OpGraph, machine: Machine, resident: frozenset[str]) -> dict[str, int]:
    """Bytes that DRAM must hold, by role.

    Raises:
        Infeasible: E401 with the shortfall when they do not fit.
    """
    spilled: dict[str, Tensor] = {
        a.tensor: graph.tensors[a.tensor]
        for _, op in graph.ops()
        for a in (*op.reads, *op.writes)
        if graph.tensors[a.tensor].role is Role.ACTIVATION and a.tensor not in resident
    }
    need = {
        "weights": graph.stored_bytes(Role.WEIGHT),
        "kv_cache": graph.stored_bytes(Role.KV_CACHE),
        "activations": sum(t.bytes for t in spilled.values()),
    }
    total, dram = sum(need.values()), machine.dram
    if total > dram.capacity_bytes:
        from archsim.core.units import format_bytes

        parts = ", ".join(f"{role} {format_bytes(n)}" for role, n in need.items())
        raise Infeasible(
            f"{graph.name} needs {format_bytes(total)}, {dram.name} holds "
            f"{format_bytes(dram.capacity_bytes)} "
            f"(short by {format_bytes(total - dram.capacity_bytes)})",
            code="E401",
            help=f"{parts}; narrower dtypes, a smaller batch, or "
            f"--set memory.{dram.name}.capacity=...",
            details={"need_bytes": need, "capacity_bytes": dram.capacity_bytes},
        )
    return need
