"""A feed-forward block as one stage: its fused nest read, checked for its engine, and given room.

How an engine runs a tile of one of its products is the nest of that product, as if it ran alone.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from archsim.components.base import MacEngine
from archsim.components.spatial_array import SpatialArray
from archsim.core.errors import Unmappable, Unsupported
from archsim.ir.mapping import Mapping
from archsim.ir.nest import NestMapping
from archsim.ir.nest_apart import ApartNest
from archsim.ir.nest_fused import FusedNest, FusedProblem, fused_problem
from archsim.ir.op import Op
from archsim.ir.problem import Problem, problem
from archsim.ir.target import Target
from archsim.system.build import selects
from archsim.system.fused_nest_chain import FUSED
from archsim.system.fused_nest_written import PRODUCTS, FusedWritten
from archsim.system.nest_matrix import matrix_mapping
from archsim.system.nest_stage import nest_target
from archsim.system.place import Stage
from archsim.system.room import Room, no_rate

ANY = 1 << 62  # bytes: the room of one product alone is no matter, that of all together is


def is_fused(stage: Stage) -> bool:
    """True for a stage that is a feed-forward block."""
    return stage.template == FUSED


def block_of(stage: Stage) -> tuple[tuple[Op, ...], tuple[Op, ...]]:
    """The ops of the block, and the vector ops that take its results on."""
    ends = [i for i, op in enumerate(stage.ops) if op.is_mac]
    return stage.ops[: ends[-1] + 1], stage.ops[ends[-1] + 1 :]


def fused_nest_stage(stage: Stage, room: Room) -> Stage:
    """The stage with its nest and the bytes that its tiles need on chip.

    Raises:
        Unmappable: with the reason, and its place in the description.
        Unsupported: E302 for an element type without a rate.
    """
    engine, graph = stage.engine, room.graph
    assert isinstance(engine, MacEngine)
    block, tail = block_of(stage)
    found = fused_problem(block, graph.tensors, room.accumulator_bits)
    views = [problem(op, graph.tensors, room.accumulator_bits) for op in (block[0], block[-1])]
    for view in views:
        if not engine.takes(view.weight):
            raise no_rate(stage.path, view.weight.computes_as, engine, view.weight)
        if not engine.unpacks(view.weight):
            raise Unsupported(
                f"{stage.path}: weights as {view.weight.name} are unpacked for ops that run one by "
                "one, not for a fused nest",
                code="E302",
                help=f"--set engines.{engine.name}.dequantises=true, or leave that nest out",
            )
    given = _given(stage, room)
    given.check(found.largest)
    inner = tuple(
        _inner(stage, room, given, which, view, op)
        for which, view, op in zip(PRODUCTS, views, (block[0], block[-1]), strict=True)
    )
    mapping = FusedNest(
        problem=found,
        engine=engine.name,
        tile=_tile(found, given),
        keep=frozenset(given.rule.keep),
        depth=given.rule.depth or room.machine.dma.spec.depth,
        ahead=given.rule.ahead,
        resident=_resident(stage, block, room),
        inner=inner,
        dataflow=FUSED if given.dataflow == "nest" else given.dataflow,
    )
    tile = mapping.tile
    beside = mapping.depth * (tile["b"] * tile["m"] * tile["n"] * _beside_bits(tail, room) // 8)
    try:
        mapping.check(max(0, 2 * room.budget_bytes - beside))  # all the room: then it runs alone
    except Unmappable as error:
        details = {"path": given.path}
        raise Unmappable(error.message, code="E401", help=error.help, details=details) from None
    held = sum(mapping.room_bytes().values()) + beside
    return replace(stage, mapping=mapping, room_bytes=held)


def _given(stage: Stage, room: Room) -> FusedWritten:
    """The rule that the stage was made for."""
    op = stage.ops[0]
    for i, rule in enumerate(room.machine.spec.mapping):
        if rule.nest is not None and selects(rule.ops, stage.path, op.op_class):
            room.used.add(f"mapping[{i}]")
            return FusedWritten(i, rule.nest, stage.path)
    raise AssertionError(stage.path)


def _inner(
    stage: Stage, room: Room, given: FusedWritten, which: str, view: Problem, op: Op
) -> Mapping | NestMapping:
    """How the engine runs a tile of one product.

    Raises:
        Unmappable: with the reason, and its place.
    """
    engine, machine = stage.engine, room.machine
    assert isinstance(engine, MacEngine)
    nest = given.product(which)
    if isinstance(engine, SpatialArray):
        alone = Stage(stage.block, (op,), engine)
        target = replace(nest_target(alone, view, room, {}), buffer_bytes=ANY, resident=frozenset())
        return ApartNest.of(nest.nest(view, target))
    rows, cols, count = engine.grid
    if engine.limits.get("operand_bytes"):
        raise Unsupported(
            f"{stage.path}: {engine.name} has a memory for each operand, and none for what stays "
            "between two products",
            code="E302", details={"path": given.path},
        )  # fmt: skip
    return matrix_mapping(
        nest,
        view,
        Target(
            engine=engine.name,
            rows=rows,
            cols=cols,
            count=count,
            clock_hz=engine.clock_hz,
            buffer_bytes=ANY,
            dram_bytes_per_s=machine.dram_bytes_per_s,
            depth=machine.dma.spec.depth,
            **engine.limits,
        ),
    )


def _tile(found: FusedProblem, given: FusedWritten) -> dict[str, int]:
    """Tile extents by rank: those of a loop, else the whole extent."""
    tile = dict(found.largest)
    loops = [(loop.rank, loop.tile) for loop in given.shared]
    for which in PRODUCTS:
        dram = given.product(which).loops()["dram"]
        loops += [(loop.rank, loop.tile) for loop in dram[len(given.shared) :]]
    for rank, size in loops:
        tile[rank.lower()] = min(size, tile[rank.lower()])
    return tile


def _resident(stage: Stage, block: tuple[Op, ...], room: Room) -> frozenset[str]:
    """Which of input and result lie on chip as whole tensors."""
    found = {"in"} if block[0].reads[0].tensor in room.resident else set()
    if all(name in room.resident for name in stage.writes):
        found.add("out")
    return frozenset(found)


def _beside_bits(tail: tuple[Op, ...], room: Room) -> int:
    """Bits beside each result that vector ops after the block read and write in DRAM."""
    graph, bits = room.graph, 0
    inner = {a.tensor for op in tail for a in op.writes}
    for i, op in enumerate(tail):
        points = prod(op.ranks.values())
        accesses = [a for a in op.reads if a.tensor not in inner]
        accesses = accesses[1:] if i == 0 else accesses  # the first one is the result itself
        accesses += list(op.writes) if i == len(tail) - 1 else []
        bits += sum(
            -(-graph.touched_bytes(a) * 8 // points)
            for a in accesses
            if a.tensor not in room.resident
        )
    return bits
