"""Closes a stream: what its FIFOs and nodes did, from the counters of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from archsim.ir.stream_mapping import StreamMapping
from archsim.ir.stream_record import FifoRecord, StreamNodeRecord, StreamRecord
from archsim.sim.result import RunResult
from archsim.system.place import Plan, Stage
from archsim.system.schedule import Schedule
from archsim.system.stream_depths import interval_cycles


def stream_records(plan: Plan, book: Schedule, run: RunResult | None) -> Iterator[StreamRecord]:
    """One record a stream; without a run, counts and depths alone."""
    for i, stage in enumerate(book.stages):
        if isinstance(stage.mapping, StreamMapping):
            yield _record(plan, i, stage, book, run)


def _record(
    plan: Plan, index: int, stage: Stage, book: Schedule, run: RunResult | None
) -> StreamRecord:
    mapping = stage.mapping
    assert isinstance(mapping, StreamMapping)
    graph, repeats = mapping.graph, book.repeats[index]
    units = {name: i for i, name in enumerate(u.name for u in book.program.units)}
    channels = {c.name: i for i, c in enumerate(book.program.channels)}
    spent = _spent(index, book, run)
    nodes = []
    for node in graph.nodes:
        unit = f"{stage.engine.name}.{node.name}"
        of = units[unit]
        nodes.append(
            StreamNodeRecord(
                node.name,
                node.kind,
                unit,
                repeats * graph.iterations * graph.firings[node.name],
                mapping.cycles[node.name],
                spent["busy", of],
                spent["in", of],
                spent["out", of],
                -(-node.state_elements * node.bits // 8),
            )
        )
    fifos = []
    for fifo in graph.fifos:
        c = channels[f"{stage.path}:{fifo.name}"]
        peak = None if run is None or run.occupancy is None else int(run.occupancy.peak[c])
        fifos.append(
            FifoRecord(
                fifo.name,
                fifo.producer[0],
                fifo.consumer[0],
                fifo.depth,
                graph.token_bytes(fifo),
                graph.is_intermediate(fifo),
                mapping.memory_units.get(f"fifo {fifo.name}", 0),
                repeats * graph.iterations * graph.tokens(fifo),
                peak,
                spent["full", c],
                spent["empty", c],
            )
        )
    return StreamRecord(
        stage.path,
        graph.iterations,
        None if run is None else float(interval_cycles(plan, stage)),
        mapping.busy_cycles(mapping.bottleneck()),
        stage.engine.clock_hz,
        mapping.compute_units,
        sum(mapping.memory_units.values()),
        tuple(nodes),
        tuple(fifos),
    )


def _spent(index: int, book: Schedule, run: RunResult | None) -> Counter[tuple[str, int]]:
    """Picoseconds by what they were spent on: units' work and waits, channels' lack of either."""
    found: Counter[tuple[str, int]] = Counter()
    if run is None:
        return found
    for i, row in enumerate(book.program.rows):
        if row.op != index:
            continue
        waited_in, waited_out = int(run.stall_in_ps[i]), int(run.stall_out_ps[i])
        found["busy", row.unit] += int(run.busy_ps[i])
        found["in", row.unit] += waited_in
        found["out", row.unit] += waited_out
        for c in row.take[:1]:  # a row of a stream waits for one token and one slot at most
            found["empty", c] += waited_in
        for c in row.reserve[:1]:
            found["full", c] += waited_out
    return found
