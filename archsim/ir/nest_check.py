"""Which loop nests an engine can run: the bytes that tiles occupy, and every reason to refuse one.

`NestTarget` is what a nest may know of a machine. Reasons carry the level and the loop they are
about, so that whoever read the nest from a file can say where it stands there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from archsim.core.errors import Unmappable, nearest
from archsim.ir.nest_ranks import OPERANDS, WINDOWS, axis_of, widest
from archsim.ir.op import Kind

if TYPE_CHECKING:
    from archsim.ir.nest import NestLoop, NestMapping, Placed


@dataclass(frozen=True)
class NestTarget:
    """One array as a loop nest sees it.

    Attributes:
        engine: name in the machine description.
        axes: places of each axis: `rows`, `cols`, `count`.
        buffer_bytes: on-chip bytes that this op's tiles may occupy.
        register_bytes: of one element, for all operands together or for each; 0 is none.
        clock_hz: clock of the engine.
        dram_bytes_per_s: bandwidth behind the buffer.
        dram_latency_s: time until the first byte of a transfer.
        macs_per_cycle: rate of one element at the op's dtype.
        resident: tensors that already lie on chip: they move no bytes and need no room.
        combines: axes over which the array adds what its elements have summed.
        depth: tiles of an operand in the buffer at once, where there are several.
        bits: of an element by operand (`in`, `weight`, `out`, `partial`), where it is not the
            problem's.
        energy: picojoules of an element moved, by (level, operand).
        mac_pj: picojoules of a multiply-accumulate.
        objective: latency | energy | edp | traffic | compute; what a choice of tiles minimises.
    """

    engine: str
    axes: Mapping[str, int]
    buffer_bytes: int
    register_bytes: int | Mapping[str, int] = 0
    clock_hz: float = 1e9
    dram_bytes_per_s: float = 1e9
    dram_latency_s: float = 0.0
    macs_per_cycle: int = 1
    resident: frozenset[str] = frozenset()
    combines: frozenset[str] = frozenset({"rows", "cols"})
    depth: int = 2
    bits: Mapping[str, int] = field(default_factory=dict)
    energy: Mapping[tuple[str, str], float] = field(default_factory=dict)
    mac_pj: float = 0.0
    objective: str = "latency"

    def register_room(self, operand: str) -> int:
        """Register bytes that an operand may take by itself."""
        room = self.register_bytes
        return room if isinstance(room, int) else room.get(operand, 0)


def tile_elements(nest: NestMapping, operand: str, level: int) -> int:
    """Elements of the largest tile of an operand that lies at a level."""
    op, own, size = nest.problem.op, nest.relevant[operand], nest.tile_at(level)
    windows = WINDOWS if op.kind is Kind.CONV and operand == "in" else ()
    paired = {rank for pair in windows for rank in pair}
    total = prod(size[rank] for rank in own if rank not in paired)
    for i, (o, t) in enumerate(windows):
        outputs, taps = (nest.ranks[o], size[o]), (nest.ranks[t], size[t])
        total *= widest(axis_of(op, height=i == 0), outputs, taps)
    return total


def tile_bytes(
    nest: NestMapping, operand: str, level: int, bits: Mapping[str, int] | None = None
) -> int:
    """Bytes of the largest tile of an operand that lies at a level.

    Outputs have the width of partial sums in registers, and in a buffer that they reach before
    their sum is complete.
    """
    n, given = tile_elements(nest, operand, level), bits or {}
    if operand == "weight" and "weight" not in given:
        return int(nest.problem.weight_bytes(np.array([n]))[0])
    word = operand if operand != "out" or not _unfinished(nest, level) else "partial"
    return -(-n * given.get(word, nest.problem.bits.get(word, 0)) // 8)


def _unfinished(nest: NestMapping, level: int) -> bool:
    """True when sums that arrive at a level are not complete."""
    if nest.levels[level].name == "registers":
        return True
    inner = [i for i, one in enumerate(nest.levels) if i > level and "out" in one.keeps]
    end = inner[0] if inner else len(nest.levels)  # sums made below this one arrive complete
    outer = [loop for loop in nest.loops if loop.level < end and not loop.axis]
    own = [i for i, loop in enumerate(outer) if loop.rank in nest.relevant["out"]]
    further = outer if not inner else outer[: own[-1] + 1 if own else 0]
    return any(loop.rank in nest.reduced for loop in further)


def room_bytes(nest: NestMapping, target: NestTarget) -> dict[str, int]:
    """Bytes that each operand takes in the buffer, all its tiles together.

    Partial sums that leave and come back take the room of `out` a second time.
    """
    op = nest.problem.op
    tensors = {"in": op.reads[0].tensor, "weight": op.reads[1].tensor, "out": op.writes[0].tensor}
    room = {}
    for operand in OPERANDS:
        gone = tensors[operand] in target.resident and not (operand == "out" and nest.splits)
        if operand in nest.levels[1].keeps and not gone:
            times = nest.slots(operand) * (2 if operand == "out" and nest.spills else 1)
            room[operand] = times * tile_bytes(nest, operand, 1, target.bits)
    return room


def check(nest: NestMapping, target: NestTarget) -> None:
    """Refuse a nest that is no mapping of its op, or that a target cannot run.

    Raises:
        Unmappable: with the reason; its details say which level and loop it is about.
    """
    _levels(nest)
    _ranks(nest)
    _axes(nest, target)
    _kept(nest)
    _room(nest, target)


def check_cuts(
    op: str, extents: Mapping[str, int], levels: Mapping[str, Sequence[NestLoop]]
) -> None:
    """Refuse loops whose tile is larger than what they cut: such a loop makes no sense.

    A tile as large as what it cuts is one step, and allowed. Ranks that the op does not have are
    refused elsewhere.

    Args:
        op: its name.
        extents: of its ranks, the largest of ragged cases.
        levels: loops of each level as they were written, outermost first.

    Raises:
        Unmappable: with the reason, and the level and loop.
    """
    size, cut = dict(extents), set[str]()
    for level, loops in levels.items():
        for loop in loops:
            most = size.get(loop.rank, loop.tile)
            if loop.tile > most:
                what = "a tile" if loop.rank in cut else "the op"
                raise Unmappable(
                    f"{op}: {loop.rank}/{loop.tile} cuts {what} of {most} {loop.rank}, and is "
                    "larger",
                    code="E401",
                    help=f"{loop.rank}/{most} or less",
                    details={"level": level, "loop": str(loop)},
                )
            size[loop.rank] = loop.tile
            cut.add(loop.rank)


def _refuse(nest: NestMapping, reason: str, level: str, loop: str = "", help: str = "") -> NoReturn:
    details = {"level": level, "loop": loop}
    raise Unmappable(f"{nest.name}: {reason}", code="E401", help=help or None, details=details)


def _levels(nest: NestMapping) -> None:
    names = tuple(level.name for level in nest.levels)
    if names not in (("dram", "buffer"), ("dram", "buffer", "registers")):
        given = ", ".join(names) or "none"
        reason = f"levels are dram, buffer and perhaps registers, in this order, not {given}"
        _refuse(nest, reason, "")
    missing = sorted(set(OPERANDS) - nest.levels[0].keeps)
    if missing:
        _refuse(nest, f"dram keeps every operand, and {', '.join(missing)} is missing", "dram")


def _ranks(nest: NestMapping) -> None:
    for loop in nest.loops:
        if loop.rank not in nest.ranks:
            reason = f"no rank {loop.rank}: the op has {', '.join(nest.ranks)}"
            close = nearest(loop.rank, nest.ranks)
            help = f'did you mean "{close}"?' if close else ""
            _refuse(nest, reason, nest.levels[loop.level].name, _text(loop), help)
    inner = nest.levels[-1].name
    for rank, left in nest.tile_at(len(nest.levels)).items():
        if left > 1:
            had = any(loop.rank == rank for loop in nest.loops)
            what = f"its tiles end at {left}" if had else f"no loop has it, its extent is {left}"
            _refuse(nest, f"rank {rank} is missed: {what}", inner, help=f"add {rank}/1 to {inner}")
    for rank in nest.order:
        times = nest.order.count(rank)
        if times > 1:
            reason = f"rank {rank} has {times} loops over tiles of the buffer"
            _refuse(nest, reason, "dram", help="one loop a rank there")


def _axes(nest: NestMapping, target: NestTarget) -> None:
    along: dict[str, list[Placed]] = {}
    for loop in (loop for loop in nest.loops if loop.axis):
        level, axis = nest.levels[loop.level].name, loop.axis
        if axis not in target.axes:
            reason = f"no axis {axis}: {target.engine} has {', '.join(target.axes)}"
            _refuse(nest, reason, level, _text(loop))
        if level != "buffer":
            reason = f"{loop.rank} is dealt to {axis} at {level}"
            help = "the array takes its tiles from the buffer: put the loop there"
            _refuse(nest, reason, level, _text(loop), help)
        if loop.rank in nest.reduced and axis not in target.combines:
            reason = f"{loop.rank} is a sum, split over {axis} without a combine"
            sums = ", ".join(sorted(target.combines)) or "no axis"
            _refuse(nest, reason, level, _text(loop), f"{target.engine} adds up over {sums}")
        along.setdefault(axis, []).append(loop)
    for axis, some in along.items():
        parts = [-(-loop.within // loop.tile) for loop in some]
        if prod(parts) > target.axes[axis]:
            product = " x ".join(f"{n} {p.rank}" for n, p in zip(parts, some, strict=True))
            reason = f"{product} do not fit the {target.axes[axis]} {axis} of {target.engine}"
            _refuse(nest, reason, "buffer", _text(some[-1]))


def _kept(nest: NestMapping) -> None:
    for operand in OPERANDS:
        if not any(operand in level.keeps for level in nest.levels[1:]):
            help = f"add {operand} to what buffer keeps"
            _refuse(nest, f"{operand} is kept nowhere on chip", "buffer", help=help)


def _room(nest: NestMapping, target: NestTarget) -> None:
    room = room_bytes(nest, target)
    if sum(room.values()) > target.buffer_bytes:
        reason = f"tiles need {_sum(room)} of buffer, {target.buffer_bytes} are free"
        _refuse(nest, reason, "buffer")
    if len(nest.levels) < 3:
        return
    kept = [operand for operand in OPERANDS if operand in nest.levels[2].keeps]
    sizes = {operand: tile_bytes(nest, operand, 2, target.bits) for operand in kept}
    if isinstance(target.register_bytes, int):
        if sum(sizes.values()) > target.register_bytes:
            has = f"an element of {target.engine} has {target.register_bytes}"
            _refuse(nest, f"tiles need {_sum(sizes)} of registers, {has}", "registers")
        return
    for operand, size in sizes.items():
        if size > target.register_room(operand):
            has = f"an element of {target.engine} has {target.register_room(operand)} for it"
            _refuse(nest, f"{operand} needs {size} bytes of registers, {has}", "registers")


def _sum(sizes: Mapping[str, int]) -> str:
    parts = ", ".join(f"{operand} {n}" for operand, n in sizes.items())
    return f"{sum(sizes.values())} bytes ({parts})"


def _text(loop: Placed) -> str:
    return f"{loop.rank}/{loop.tile}" + (f" @{loop.axis}" if loop.axis else "")
