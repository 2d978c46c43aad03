"""What the placement game moves: tensors behind the chip, where they may lie, and how much fits.

A tensor is moved whole, all repeats of its block together. Whatever is put where it fits here is
accepted by the simulator: room is counted with the largest staging areas that any placement needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from archsim.components._pim import PimEngine
from archsim.core.errors import Infeasible, InputError
from archsim.core.units import format_bytes
from archsim.ir.tensor import TRAINING, Role
from archsim.system.homes import Homes, Lane, area_of, staged_bytes
from archsim.system.place import Plan
from archsim.system.tiers import AREA_SHARE, BUFFERS, CLASSES, SMALL

ACTIVATIONS = "activations"
OPERANDS = 8  # tensors of a stage that wait in one staging area at once, at most: assumed


@dataclass(frozen=True)
class Piece:
    """What is moved at once.

    Attributes:
        name: of a tensor, or `activations`, which are moved together.
        role: weights | kv_cache | activations.
        size_bytes: with all repeats.
        touched_bytes: that one run reads or writes of it.
        memories: that may hold it.
    """

    name: str
    role: str
    size_bytes: int
    touched_bytes: int
    memories: tuple[str, ...]


@dataclass(frozen=True)
class Board:
    """The placement game of a workload on a machine.

    Attributes:
        pieces: in the order of their turns: activations, then caches, then weights.
        memories: behind the chip, the fastest first.
        room_bytes: of each memory, for pieces.
        bytes_per_s: of each memory, peak.
        on_chip: memories on the chip that activations are kept in before any other.
    """

    pieces: tuple[Piece, ...]
    memories: tuple[str, ...]
    room_bytes: Mapping[str, int]
    bytes_per_s: Mapping[str, float]
    on_chip: tuple[str, ...]

    def free(self, placed: Sequence[str]) -> dict[str, int]:
        """Room that is left in each memory when the first pieces lie in these."""
        left = dict(self.room_bytes)
        for piece, memory in zip(self.pieces, placed, strict=False):
            left[memory] -= piece.size_bytes
        return left

    def completed(self, placed: Sequence[str]) -> tuple[str, ...] | None:
        """A placement of all pieces that begins so; None where none is found.

        The largest of the others first, each where most room is left.
        """
        left = self.free(placed)
        if any(room < 0 for room in left.values()):
            return None
        rest = range(len(placed), len(self.pieces))
        found: dict[int, str] = {}
        for i in sorted(rest, key=lambda i: (-self.pieces[i].size_bytes, i)):
            piece = self.pieces[i]
            memory = max(piece.memories, key=lambda name: left[name])
            left[memory] -= piece.size_bytes
            if left[memory] < 0:
                return None
            found[i] = memory
        return (*placed, *(found[i] for i in rest))


def board(plan: Plan) -> Board:
    """The game of a run, from its plan under the default policy.

    Raises:
        InputError: E201 for a machine on which more than capacities decides where tensors may lie,
            and where nothing lies behind the chip.
        Infeasible: E401 where whole tensors find no room.
    """
    _refuse(plan)
    machine = plan.machine
    names = tuple(memory.name for memory in machine.tiers)
    pieces = list(_pieces(plan))
    least = sum(piece.size_bytes for piece in pieces) // SMALL
    areas = _areas(plan)
    room = {m.name: m.capacity_bytes - areas[m.name] for m in machine.tiers}
    for piece in pieces:
        if piece.size_bytes <= least:  # it stays where the default policy prefers it
            room[piece.memories[0]] -= piece.size_bytes
    moved = [piece for piece in pieces if piece.size_bytes > least]
    if not moved:
        raise InputError(
            f"no placement game of {plan.graph.name} on {machine.spec.name}: nothing large lies "
            "behind the chip",
            code="E201",
            help="a larger model, or a longer context",
        )
    found = Board(
        tuple(sorted(moved, key=lambda p: (p.role != ACTIVATIONS, p.role != "kv_cache"))),
        names,
        room,
        {m.name: m.peak_bytes_per_s for m in machine.tiers},
        tuple(n for n in machine.spec.placement.activations if n not in names),
    )
    if found.completed(()) is None:
        need = sum(piece.size_bytes for piece in pieces)
        sizes = ", ".join(f"{name} {format_bytes(max(0, size))}" for name, size in room.items())
        raise Infeasible(
            f"{plan.graph.name} needs {format_bytes(need)}, and its tensors do not fit whole into "
            f"the room beside staging areas: {sizes}",
            code="E401",
            help=f"--set memory.{names[-1]}.capacity=..., or a smaller batch",
        )
    return found


def _refuse(plan: Plan) -> None:
    """Refuse what capacities and lifetimes alone do not decide."""
    machine = plan.machine
    placement = machine.spec.placement
    inside = [name for name, one in machine.engines.items() if isinstance(one, PimEngine)]
    wrong = {
        "the machine has one memory behind the chip": len(machine.tiers) < 2,
        "devices of a parallel plan place tensors each for itself": plan.pod is not None,
        f"{', '.join(inside)} works where tensors lie": bool(inside),
        "placement.experts keeps tensors by a policy of its own": placement.experts is not None,
        "placement.kv_pages cuts tensors into pages": placement.kv_pages is not None,
    }
    for message, holds in wrong.items():
        if holds:
            raise InputError(
                f"no placement game on {machine.spec.name}: {message}",
                code="E201",
                help="a machine such as npu-host",
            )


def _pieces(plan: Plan) -> Iterator[Piece]:
    """Everything that lies behind the chip."""
    graph, behind = plan.graph, _activations(plan)
    touched: dict[str, Fraction] = {}
    copies: dict[str, int] = {}
    for block, op in graph.ops():
        for access in (*op.reads, *op.writes):
            share = Fraction(graph.touched_bytes(access), graph.tensors[access.tensor].bytes or 1)
            touched[access.tensor] = max(touched.get(access.tensor, share), share)
            copies.setdefault(access.tensor, block.count)
    for role, of in CLASSES.items():
        own = [
            name for name in touched
            if graph.tensors[name].bytes and name not in plan.resident
            and (name in behind if of is Role.ACTIVATION else graph.tensors[name].role is of)
        ]  # fmt: skip
        times = {n: 1 if graph.tensors[n].role is Role.ACTIVATION else copies[n] for n in own}
        sizes = {n: times[n] * graph.tensors[n].bytes for n in own}
        memories = _memories(plan, role)
        if of is Role.ACTIVATION and own:
            used = sum(copies[n] * graph.tensors[n].bytes for n in own)
            yield Piece(ACTIVATIONS, role, sum(sizes.values()), used, memories)
        elif of is not Role.ACTIVATION:
            for name in own:
                used = int(touched[name] * copies[name] * graph.tensors[name].bytes)
                yield Piece(name, role, sizes[name], used, memories)


def _activations(plan: Plan) -> set[str]:
    """Activations, and what training keeps, that leave a stage and the chip."""
    roles = {Role.ACTIVATION, *TRAINING}
    return {
        name
        for block in plan.blocks for stage in block.stages for name in (*stage.reads, *stage.writes)
        if plan.graph.tensors[name].role in roles and name not in plan.resident
    }  # fmt: skip


def _memories(plan: Plan, role: str) -> tuple[str, ...]:
    """Memories behind the chip that may hold a role, in order of preference."""
    names = tuple(memory.name for memory in plan.machine.tiers)
    listed = tuple(n for n in getattr(plan.machine.spec.placement, role) if n in names)
    return listed or names


def _areas(plan: Plan) -> dict[str, int]:
    """The largest staging areas of each memory that any placement needs.

    Raises:
        Infeasible: E401 where half of a memory is too little for them.
    """
    graph, machine, near = plan.graph, plan.machine, plan.machine.dram.name
    behind = _activations(plan)
    far = {}
    for name, tensor in graph.tensors.items():
        role = next((key for key, one in CLASSES.items() if one is tensor.role), ACTIVATIONS)
        if role == ACTIVATIONS and name not in behind:
            continue
        away = [memory for memory in _memories(plan, role) if memory != near]
        if away:
            far[name] = tuple((memory, tensor.bytes) for memory in away)
    worst = Homes(far, late=plan.homes.late)
    most: dict[Lane, int] = {}
    for block in plan.blocks:
        for stage in block.stages:
            for lane, size in staged_bytes(graph, machine, stage, worst).items():
                most[lane] = max(most.get(lane, 0), BUFFERS * size)
    found = {}
    for memory in machine.tiers:
        here = [size for lane, size in most.items() if area_of(lane) == memory.name]
        half = memory.capacity_bytes // AREA_SHARE
        tiles = OPERANDS * machine.sram.capacity_bytes
        if sum(min(size, tiles) for size in here) > half:
            raise Infeasible(
                f"half of {memory.name}, {format_bytes(half)}, is too little to stage tensors in",
                code="E401",
                help=f"--set memory.{memory.name}.capacity=...",
            )
        found[memory.name] = min(half, sum(here))
    return found
