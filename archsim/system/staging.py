"""Staging: how data that lie further away reach the memory next to the chip, and how they return.

Between two memories runs a lane: a unit that reads on the port of the source and one that writes on
the port of the target, tile by tile. A lane works the stages off in their order and is not held by
the window of the sequencer: only by pages of its staging area, which a stage gives back when it
ends. So weights and what is in the KV cache are fetched ahead, over the borders of stages. What is
written during the run returns on a lane of its own, which waits for its writer, as experts wait for
what picks them; results go outwards on a third. A stage that needs more than the whole area
streams: each tile gives its room back when it has been read, and is staged again where it is read
again.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from archsim.core.errors import Infeasible
from archsim.core.units import format_bytes
from archsim.ir.tensor import Role
from archsim.sim.program import Leaf, Loop
from archsim.system.homes import BACK, RETURN, STAGE, Lane, area_of, staged_bytes
from archsim.system.rows import ISSUE, LOAD, STORE, Book, Draft
from archsim.system.transfers import Transfer

if TYPE_CHECKING:
    from archsim.system.place import Plan
    from archsim.system.writer import Writer

AREA_PAGES = 64  # a staging area is handed out in this many pages
AHEAD = 2  # runs of a stage whose tiles may wait for it at once


def direct_home(plan: Plan, tensor: str) -> str | None:
    """The memory that a tensor is read from past the nearest one, if it lies in such a memory."""
    for memory, _ in plan.homes.far.get(tensor, ()):
        if len(plan.machine.route(memory)) == 1:
            return memory
    return None


def bring(w: Writer, row: Draft, tensor: str, size_bytes: int, again: bool) -> None:
    """Let a load wait for the part of its tile that lies further away, and stage that part.

    `again`: the tile was staged before in this stage, and is still there unless the stage streams.
    """
    size_bytes = w.plan.homes.experts.fetched_bytes(w.stage, tensor, w.case, size_bytes)
    if not size_bytes:
        return
    own = f" for {w.book.name(row.unit)}"  # several loaders of a stage may read a tensor
    late = tensor in w.plan.homes.late
    kind = RETURN if late else STAGE
    for memory, far in w.plan.homes.far.get(tensor, ()):
        lanes = [(kind, *hop) for hop in pairwise(w.machine.route(memory))]
        if again and not any(_streams(w, lane) for lane in lanes):
            continue
        piece = -(-size_bytes * far // w.graph.tensors[tensor].bytes)
        before: tuple[Lane, Draft] | None = None
        for lane in lanes:
            out, into = _move(w, row, lane, w.role(tensor), tensor, piece)
            if before is not None:
                _connect(w, f"staged {tensor} from {memory} on {lane[1]}{own}", *before, out, piece)
            _enter(w, lane, out, _waits_for(w, tensor) if late and before is None else ())
            before = lane, into
        if before is not None:
            channel = _connect(w, f"staged {tensor} from {memory}{own}", *before, row, piece)
            w.part.staged.add(channel)


def send(w: Writer, row: Draft, role: str, size_bytes: int) -> None:
    """Pass on the part of a stored tile whose home lies further away."""
    written = [
        a
        for a in w.stage.results
        if w.spilled(a.tensor) and w.graph.tensors[a.tensor].role.value == role
    ]
    whole = sum(w.graph.tensors[a.tensor].bytes for a in written)
    own = f" from {w.book.name(row.unit)}"  # several storers of a stage may write a role
    parts: dict[str, int] = {}
    for access in written:
        for memory, far in w.plan.homes.written_to(access.tensor):
            parts[memory] = parts.get(memory, 0) + far
    for memory, far in parts.items():
        piece = -(-size_bytes * far // whole)
        stored = row
        for target, source in pairwise(reversed(w.machine.way_back(memory))):
            lane = (BACK, target, source)
            out, into = _move(w, row, lane, role, written[0].tensor, piece)
            _connect(w, f"outwards {role} on {target} to {memory}{own}", lane, stored, out, piece)
            if lane not in w.lanes:
                w.lanes.add(lane)
                _room(w, lane, stored)  # nothing is stored before there is room to wait in
            stored = into
        w.part.drains.add(stored.unit)
        w.part.last[stored.unit] = stored


def _move(
    w: Writer, row: Draft, lane: Lane, role: str, tensor: str, size_bytes: int
) -> tuple[Draft, Draft]:
    """Rows of one tile on one lane: read behind one port, written behind the other."""
    _, source, target = lane
    memories, mover = w.machine.memories, w.machine.mover(source, target)
    reader, writer = units(w.book, lane)
    far_is_source = memories[source].peak_bytes_per_s <= memories[target].peak_bytes_per_s
    # the DMA's own speed and setup are spent at the slower of the two ports
    times = [memories[m].transfer_ps(size_bytes) for m in (source, target)]
    slow = 0 if far_is_source else 1
    times[slow] = mover.transfer_ps(memories[(source, target)[slow]], size_bytes)
    out = Draft(reader, w.index, times[0], memories[source].latency_ps)
    into = Draft(writer, w.index, times[1])
    by: list[str | None] = [None, None]
    by[slow] = mover.name
    out.transfer = Transfer(source, tensor, size_bytes, False, mover=by[0])
    into.transfer = Transfer(target, f"{tensor} staged", size_bytes, True, mover=by[1])
    out.counts = {
        f"{_count(w, source)}.read.{role}.staged": size_bytes,
        f"hop.{mover.name}.taken": size_bytes,
    }
    into.counts = {
        f"{_count(w, target)}.write.{role}.staged": size_bytes,
        f"hop.{mover.name}.given": size_bytes,
    }
    (out, into)[slow].counts["staging.tiles"] = 1
    handoff = w.book.shared(f"handoff {'.'.join(lane)}", reader, writer, mover.spec.outstanding)
    _pass(handoff, out, into)
    row.beside += [out, into]
    return out, into


def _count(w: Writer, memory: str) -> str:
    return "dram" if memory == w.machine.dram.name else f"tier.{memory}"


def _pass(channel: int, giver: Draft, taker: Draft) -> None:
    giver.reserve.append(channel)
    giver.put.append(channel)
    taker.take.append(channel)
    taker.free.append(channel)


def _connect(w: Writer, name: str, lane: Lane, giver: Draft, taker: Draft, size: int) -> int:
    """A tile that waits in a lane's area; the channel's depth is found when all is written."""
    channel = w.channel(name, giver.unit, taker.unit, 1)
    _, largest = w.loose.get(channel, (lane, 1))
    w.loose[channel] = lane, max(largest, size)
    _pass(channel, giver, taker)
    return channel


def _streams(w: Writer, lane: Lane) -> bool:
    """True when a run of the stage sends more along a lane than its area holds."""
    return _need(w)[lane] > w.plan.homes.areas[lane]


def _need(w: Writer) -> dict[Lane, int]:
    if w.staged_bytes is None:
        homes = w.plan.homes
        w.staged_bytes = staged_bytes(w.graph, w.machine, w.stage, homes)
    return w.staged_bytes


def _waits_for(w: Writer, tensor: str) -> list[str]:
    """What must be written before a late tensor is staged: itself, or what picks its experts."""
    if w.graph.tensors[tensor].role is not Role.WEIGHT:
        return [tensor]
    picks = w.stage.ops[0].picks
    if picks is not None and tensor in w.plan.homes.experts.tensors:
        return [picks.by]
    return [n for n in w.stage.reads if w.graph.tensors[n].role is not Role.WEIGHT]


def _enter(w: Writer, lane: Lane, out: Draft, waits_for: Iterable[str]) -> None:
    """The first tile of a stage on a lane waits for its pages, and for those who write tensors."""
    if lane not in w.lanes:
        w.lanes.add(lane)
        _room(w, lane, out)
        if lane[0] == RETURN:
            w.part.first[out.unit] = out
    for name in waits_for:
        w.need(out.unit, name)


def _room(w: Writer, lane: Lane, row: Draft) -> None:
    channel = _ticket(w.book, lane, row.unit)
    row.take.append(channel)
    row.free.append(channel)
    w.tickets.append((lane, row.unit))


def _ticket(book: Book, lane: Lane, unit: int) -> int:
    return book.shared(f"room {'.'.join(lane)} > {book.name(unit)}", _gate(book, lane), unit, 2)


def units(book: Book, lane: Lane) -> tuple[int, int]:
    """The two units of a lane: on the port of its source, and on that of its target."""
    kind, source, target = lane
    name = f"{kind}.{source}.{target}"
    return book.unit(f"{name}.read", LOAD, source), book.unit(f"{name}.write", STORE, target)


def _gate(book: Book, lane: Lane) -> int:
    """Who waits for room on behalf of a lane; it is on no port."""
    return book.unit(f"{'.'.join(lane)}.room", ISSUE)


def _pages(w: Writer) -> dict[Lane, tuple[int, int]]:
    """Pages of each staging area that a run of the stage takes, and bytes of a page."""
    found = {}
    for lane in sorted(w.lanes):
        page = max(1, w.plan.homes.areas[lane] // AREA_PAGES)
        found[lane] = (min(AREA_PAGES, max(1, -(-_need(w)[lane] // page))), page)
    return found


def _area(book: Book, lane: Lane, retire: int) -> int:
    return book.shared(f"area {'.'.join(lane)}", _gate(book, lane), retire, AREA_PAGES)


def _distance(w: Writer, lane: Lane, retire: int) -> int | None:
    """Places on a lane for stages whose data may be on their way at once, where that is limited."""
    depth = w.machine.spec.placement.prefetch_stages
    if depth is None or lane[0] != STAGE:
        return None
    return w.book.shared(f"ahead {'.'.join(lane)}", _gate(w.book, lane), retire, depth)


def take_room(w: Writer, retire: int) -> list[Leaf]:
    """Before a stage: its pages of every lane, and the word that they are there."""
    rows = []
    for lane, (pages, size) in _pages(w).items():
        gate, area = _gate(w.book, lane), _area(w.book, lane, retire)
        if (ahead := _distance(w, lane, retire)) is not None:
            rows.append(Draft(gate, w.index, reserve=[ahead], put=[ahead]))
        rows.append(Draft(gate, w.index, run=pages, reserve=[area], put=[area],
                          holds={area_of(lane): size}))  # fmt: skip
        go = Draft(gate, w.index)
        for channel in [_ticket(w.book, lane, u) for at, u in w.tickets if at == lane]:
            go.reserve.append(channel)
            go.put.append(channel)
        rows.append(go)
    return [w.book.leaf(rows)] if rows else []


def give_room(w: Writer, retire: int) -> list[Draft]:
    """When a stage has ended: its pages."""
    rows = []
    for lane, (pages, size) in _pages(w).items():
        if (ahead := _distance(w, lane, retire)) is not None:
            rows.append(Draft(retire, w.index, take=[ahead], free=[ahead]))
        area = _area(w.book, lane, retire)
        rows.append(Draft(retire, w.index, run=pages, take=[area], free=[area],
                          holds={area_of(lane): -size}))  # fmt: skip
    return rows


def settle_depths(w: Writer) -> None:
    """Let the tiles of some runs of a stage wait: what is staged ahead is limited by room alone.

    Raises:
        Infeasible: E401 when not even one tile fits the area that it is staged in.
    """
    if not w.loose:
        return
    tokens = dict.fromkeys(w.loose, 0)

    def walk(nodes: list[Loop | Leaf] | tuple[Loop | Leaf, ...], times: int) -> None:
        for node in nodes:
            if isinstance(node, Loop):
                walk(node.body, times * node.n)
                continue
            for i in node.rows:
                for channel in w.book.drafts[i].put:
                    if channel in tokens:
                        tokens[channel] += times

    walk(w.part.tree, 1)
    for channel, (lane, largest) in w.loose.items():
        depth = AHEAD * tokens[channel]
        if _streams(w, lane):
            alike = sum(1 for at, _ in w.loose.values() if at == lane)
            depth = min(depth, w.plan.homes.areas[lane] // alike // largest)
        if depth < 1:
            raise Infeasible(
                f"{w.stage.path}: a tile of {format_bytes(largest)} waits in {area_of(lane)}, "
                f"whose staging area of {format_bytes(w.plan.homes.areas[lane])} is too small",
                code="E401",
                help=f"--set memory.{area_of(lane)}.capacity=...",
            )
        w.book.deepen(channel, depth)
