"""Staging as the report tells it: bytes by pair of memories, what was waited for, cached experts.

Time of a move is that at the slower of its two ports. What is on the critical path is not hidden.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from archsim.core.units import PS_PER_S
from archsim.ir.record import ExpertRecord, RowRecord, RunRecord

STAGED = ".staged"


def staging(run: RunRecord) -> dict[str, Any] | None:
    """Bytes moved between memories, how long that took, and how much of it nobody waited for.

    `bytes` counts each move once; `pairs` tells them by their two ends and by class; `stalls_s` is
    the time that the critical path spends on the port of each memory. None where a lone memory lies
    behind the chip.
    """
    if len(run.memory.tiers) < 2:
        return None
    rows = [row for row in run.rows if "staging.tiles" in row.counts]
    moved = sum(
        row.executions * n
        for row in rows for key, n in row.counts.items() if key.endswith(STAGED)
    )  # fmt: skip
    found = _time(rows)
    ports = {tier.name: 0 for tier in run.memory.tiers}
    for row in run.rows:
        if row.port in ports:
            ports[row.port] += row.critical_busy_ps + row.critical_lag_ps
    return {
        "bytes": moved,
        **found,
        "pairs": _pairs(run),
        "stalls_s": {name: ps / PS_PER_S for name, ps in ports.items()},
    }


def _time(rows: Sequence[RowRecord]) -> dict[str, Any]:
    """Seconds that moves take, and the share of them that nobody waited for."""
    busy = sum(row.busy_ps for row in rows)
    waited = sum(row.critical_busy_ps for row in rows)
    return {"busy_s": busy / PS_PER_S, "hidden_share": 1 - waited / busy if busy else None}


def _pairs(run: RunRecord) -> list[dict[str, Any]]:
    """One row for each pair of memories and direction, in order of names."""
    nearest = run.machine.dram
    taken: dict[tuple[str, str], Counter[str]] = {}
    slower: dict[tuple[str, str], list[RowRecord]] = {}
    for row in run.rows:
        for key, n in row.counts.items():
            if not key.endswith(STAGED):
                continue
            memory, _, what = key.removeprefix("tier.").removesuffix(STAGED).rpartition(".")
            memory, _, way = memory.rpartition(".")
            memory = nearest if key.startswith("dram.") else memory
            ends = _ends(run, row)
            other = ends[0] if ends[1] == memory else ends[1]
            pair = (memory, other) if way == "read" else (other, memory)
            if way == "read":
                taken.setdefault(pair, Counter())[what] += row.executions * n
            if "staging.tiles" in row.counts:
                slower.setdefault(pair, []).append(row)
    return [
        {"from": pair[0], "to": pair[1], "bytes": dict(sorted(classes.items())),
         "total_bytes": classes.total(), **_time(slower.get(pair, []))}
        for pair, classes in sorted(taken.items())
    ]  # fmt: skip


def _ends(run: RunRecord, row: RowRecord) -> tuple[str, str]:
    """The memories that the mover of a row joins."""
    hop = next(key for key in row.counts if key.startswith("hop."))
    return run.machine.movers[hop.removeprefix("hop.").rpartition(".")[0]]


def expert_cache(run: RunRecord) -> dict[str, Any] | None:
    """What the cache of experts found: visits of experts, hits, misses, bytes and cost of a miss.

    A layer that stands for several alike ones counts as all of them. None without a cache.
    """
    found = run.memory.experts
    if not found:
        return None
    first = found[0]
    hits = sum(one.repeats * one.hits for one in found)
    misses = sum(one.repeats * one.misses for one in found)
    return {
        "policy": first.policy,
        "held": first.held,
        "prefetch": first.prefetch,
        "visits": hits + misses,
        "hits": hits,
        "misses": misses,
        "hit_rate": hits / (hits + misses) if hits + misses else None,
        "evictions": sum(one.repeats * one.evictions for one in found),
        "miss_bytes": sum(one.repeats * one.misses * one.expert_bytes for one in found),
        "miss_s": max(one.miss_ps for one in found) / PS_PER_S,
        "layers": [_layer(one) for one in found],
    }


def _layer(one: ExpertRecord) -> dict[str, Any]:
    return {
        "layer": one.name, "repeats": one.repeats, "hits": one.hits, "misses": one.misses,
        "evictions": one.evictions, "expert_bytes": one.expert_bytes,
    }  # fmt: skip
