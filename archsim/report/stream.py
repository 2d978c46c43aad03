"""Streams in the report: how fast, how full each FIFO got, who waited for whom."""

from __future__ import annotations

from typing import Any

from archsim.core.units import PS_PER_S
from archsim.ir.record import RunRecord
from archsim.ir.stream_record import FifoRecord, StreamNodeRecord, StreamRecord


def streams(run: RunRecord) -> list[dict[str, Any]]:
    """One entry a stream; waits are in cycles of its fabric, summed over the run."""
    return [_stream(record, run.time_ps) for record in run.streams]


def _stream(s: StreamRecord, time_ps: int) -> dict[str, Any]:
    between = [f for f in s.fifos if f.intermediate]
    state = sum(node.state_bytes for node in s.nodes)
    return {
        "op": s.stage,
        "iterations": s.iterations,
        "interval_cycles": s.interval_cycles,
        "least_interval_cycles": s.least_cycles,
        "compute_units": s.compute_units,
        "memory_units": s.memory_units,
        "peak_intermediate_tokens": _sum(between, bytes_=False),
        "peak_intermediate_bytes": _sum(between, bytes_=True),
        "state_bytes": state,
        "nodes": [_node(node, s, time_ps) for node in s.nodes],
        "fifos": [_fifo(fifo, s) for fifo in s.fifos],
    }


def _sum(fifos: list[FifoRecord], *, bytes_: bool) -> int | None:
    """What FIFOs held at most, each at its own worst moment; None where that was not simulated."""
    peaks = [(f.peak, f.token_bytes if bytes_ else 1) for f in fifos]
    return None if any(p is None for p, _ in peaks) else sum(n * (p or 0) for p, n in peaks)


def _node(node: StreamNodeRecord, s: StreamRecord, time_ps: int) -> dict[str, Any]:
    return {
        "name": node.name,
        "kind": node.kind,
        "unit": node.unit,
        "firings": node.firings,
        "firing_cycles": node.cycles,
        "busy": node.busy_ps / time_ps,
        "wait_for_token_cycles": _cycles(node.stall_in_ps, s),
        "wait_for_slot_cycles": _cycles(node.stall_out_ps, s),
        "state_bytes": node.state_bytes,
    }


def _fifo(fifo: FifoRecord, s: StreamRecord) -> dict[str, Any]:
    return {
        "name": fifo.name,
        "from": fifo.producer,
        "to": fifo.consumer,
        "depth": fifo.depth,
        "peak": fifo.peak,
        "token_bytes": fifo.token_bytes,
        "peak_bytes": None if fifo.peak is None else fifo.peak * fifo.token_bytes,
        "intermediate": fifo.intermediate,
        "memory_units": fifo.memory_units,
        "tokens": fifo.tokens,
        "producer_wait_cycles": _cycles(fifo.full_ps, s),
        "consumer_wait_cycles": _cycles(fifo.empty_ps, s),
    }


def _cycles(ps: int, s: StreamRecord) -> int:
    """Whole cycles of the fabric's clock."""
    return round(ps * s.clock_hz / PS_PER_S)


HEADER = ("FIFOs of streams", "depth", "peak", "waits, cycles")
MOST = 12  # rows; the fullest come first


def lines(found: list[dict[str, Any]]) -> list[list[str]]:
    """Rows of the console summary: the fullest FIFOs of every stream."""
    rows = []
    for stream in found:
        fifos = sorted(stream["fifos"], key=lambda f: (-(f["peak_bytes"] or 0), f["name"]))
        for fifo in fifos[:MOST]:
            waits = [
                f"{who} {fifo[key]}"
                for who, key in (
                    (fifo["from"], "producer_wait_cycles"),
                    (fifo["to"], "consumer_wait_cycles"),
                )
                if fifo[key]
            ]
            peak = "" if fifo["peak"] is None else str(fifo["peak"])
            rows.append([fifo["name"], str(fifo["depth"]), peak, ", ".join(waits)])
    return rows


def answer(found: list[dict[str, Any]]) -> list[list[str]]:
    """Rows of the console summary's head: how fast each stream is, and what it holds."""
    return [
        [
            "Stream",
            f"{stream['interval_cycles']:g} cycles",
            f"an iteration of {stream['op']}, {stream['least_interval_cycles']} at best; "
            f"{stream['peak_intermediate_tokens']} tokens at most wait between nodes that "
            "compute, those beside a source or sink left out",
        ]
        for stream in found
        if stream["interval_cycles"] is not None
    ]
