"""What a run leaves behind of a stream graph: plain data by name, for the report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FifoRecord:
    """A FIFO of a stream.

    Attributes:
        depth: slots.
        token_bytes: of one token.
        intermediate: between nodes that compute: neither an operand nor a result.
        tokens: that passed, in the whole run.
        peak: most slots taken at once; None where nothing was run through time.
        full_ps: its producer waited for a slot.
        empty_ps: its consumer waited for a token.
    """

    name: str
    producer: str
    consumer: str
    depth: int
    token_bytes: int
    intermediate: bool
    memory_units: int
    tokens: int
    peak: int | None
    full_ps: int
    empty_ps: int


@dataclass(frozen=True, slots=True)
class StreamNodeRecord:
    """A node of a stream: the unit it had, and what that did."""

    name: str
    kind: str
    unit: str
    firings: int
    cycles: int
    busy_ps: int
    stall_in_ps: int
    stall_out_ps: int
    state_bytes: int


@dataclass(frozen=True)
class StreamRecord:
    """A stream graph that was run.

    Attributes:
        stage: path.
        iterations: of its outermost loop, in one run of the stage.
        interval_cycles: of an iteration in the long run; None where nothing was run through time.
        least_cycles: of the slowest node in an iteration: no interval is shorter.
        clock_hz: of the fabric.
        compute_units, memory_units: that it took.
    """

    stage: str
    iterations: int
    interval_cycles: float | None
    least_cycles: int
    clock_hz: float
    compute_units: int
    memory_units: int
    nodes: tuple[StreamNodeRecord, ...]
    fifos: tuple[FifoRecord, ...]
