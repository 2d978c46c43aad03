"""The executor's state relative to now, complete and without what can no longer matter.

A time stamp matters only while it lies after its reader's own time; until then it is kept with the
distance back to the step that wrote it, so that the critical path recurs with the state. What may
be left out is argued beside each part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archsim.sim import kernel
from archsim.sim.fold import State, place

if TYPE_CHECKING:
    from archsim.sim.executor import Executor


def snapshot(run: Executor, loop: int, slot: int) -> State:
    """State as the unit of a slot starts an iteration of a loop; waits are charged up to now.

    The set of ready units is part of the state (`mode`), their order is not: between two grants
    units only exchange stamped tokens and slots, and the outcome does not depend on who goes first.
    """
    code = run.code
    horizon = _bring_up(run)
    t, n = _plain(run.t), _plain(run.n)
    now = t[code.slot_unit[slot]]
    moving, units = _units(run, loop, t, n, now)
    key = (horizon - now, tuple(units), _rings(run, t, n), _timelines(run, n, horizon))
    return State(key, now, tuple(moving))


def _plain(array: object) -> list[int]:
    return array.tolist() if hasattr(array, "tolist") else list(array)  # type: ignore[call-overload, no-any-return]


def _bring_up(run: Executor) -> int:
    """Charge waiting units up to the earliest time at which anything can still happen.

    Whatever a waiting unit gets was written at that time or later, so its wait lasts until then.
    """
    mode, t = _plain(run.mode), _plain(run.t)
    horizon = min(t[u] for u in range(len(mode)) if mode[u] in (kernel.READY, kernel.ASKING))
    stalls = run.counters[1], run.counters[2]
    for u in range(len(mode)):
        if mode[u] == kernel.WAITING and t[u] < horizon:
            waits_for_slot = run.code.verb_ring[run.at[u]] % 2
            stalls[waits_for_slot][run.code.arg[run.pc[u]]] += horizon - t[u]
            run.t[u] = horizon
    return horizon


def _units(
    run: Executor, loop: int, t: list[int], n: list[int], now: int
) -> tuple[list[int], list[tuple[object, ...]]]:
    """For each unit the slot it moves in and its part of the state; a finished unit has none."""
    code, outer = run.code, run.code.loops[loop].outer
    mode, pc, left, at = (_plain(a) for a in (run.mode, run.pc, run.left, run.at))
    bind, via, pred, cnt = (_plain(a) for a in (run.bind, run.via, run.pred, run.cnt))
    moving: list[int] = []
    parts: list[tuple[object, ...]] = []
    for u, unit_mode in enumerate(mode):
        if unit_mode == kernel.HALTED:
            moving.append(-1)
            parts.append((unit_mode,))
            continue
        slot, fixed = place(code, pc[u], outer, cnt)
        # The operand that delayed the step so far matters unless the unit was charged past it:
        # then the operand it waits for comes later and takes its place.
        delayed: tuple[int, ...] = ()
        if at[u] >= 0 and t[u] == bind[u]:
            delayed = (via[u], 0)
            if via[u] >= 0:
                ring = code.verb_ring[code.verb_at[4 * code.arg[pc[u]]] + via[u]]
                delayed = (via[u], n[code.ring_writer[ring]] - pred[u])
        moving.append(slot)
        parts.append((unit_mode, pc[u], left[u], at[u], t[u] - now, fixed, delayed))
    return moving, parts


def _rings(run: Executor, t: list[int], n: list[int]) -> tuple[object, ...]:
    """Fill of every ring, and the stamps in it that can still delay its reader.

    What a ring held before, its reader has passed: only a ring whose latest stamp lies after its
    reader's time is looked into.
    """
    code, level, head = run.code, _plain(run.ring_n), run.ring_head
    if not level:
        return ()
    latest = np.maximum.reduceat(np.asarray(run.stamp), code.ring_at[:-1])
    readers = np.asarray(code.ring_reader)
    halted = np.asarray(run.mode)[readers] == kernel.HALTED
    waited = np.flatnonzero((latest > np.asarray(t)[readers]) & ~halted & (np.asarray(level) > 0))
    parts: list[object] = []
    for ring in waited.tolist():
        reader, fill = code.ring_reader[ring], level[ring]
        first, depth, base = int(head[ring]), code.ring_depth[ring], code.ring_at[ring]
        stamps = _turned(run.stamp, base, depth, first, fill)
        past = t[reader]
        authors = _turned(run.author, base, depth, first, fill)
        for i, (stamp, author) in enumerate(zip(stamps, authors, strict=True)):
            if stamp > past:  # else an earlier one of the same ring delays more
                past = stamp
                writer = code.ring_writer[ring]
                parts.append((ring, i, past - t[reader], n[writer] - author))
    return (*level, *parts)


def _turned(array: Any, base: int, depth: int, first: int, fill: int) -> list[int]:
    """The filled places of one ring, the oldest first."""
    end = base + min(first + fill, depth)
    found = _plain(array[base + first : end])
    if first + fill > depth:
        found = found + _plain(array[base : base + first + fill - depth])
    return found


def _timelines(run: Executor, n: list[int], horizon: int) -> tuple[object, ...]:
    """How long each shared timeline is taken beyond the earliest possible request, and by whom."""
    users, steps = _plain(run.last_user), _plain(run.last_step)
    return tuple(
        (until - horizon, users[i], n[users[i]] - steps[i]) if until > horizon else ()
        for i, until in enumerate(_plain(run.until))
    )
