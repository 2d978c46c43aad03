"""A stream that stands still: which FIFOs are full or empty, and since which cycle nodes wait."""

from __future__ import annotations

from archsim.core.errors import SimulationStopped
from archsim.core.units import PS_PER_S
from archsim.ir.stream_mapping import StreamMapping
from archsim.sim.errors import Deadlock, Wait
from archsim.system.place import Plan, Stage
from archsim.system.stream import QUEUE_TOKENS
from archsim.system.stream_depths import least_depths


class StreamStuck(SimulationStopped):
    """Nodes of a stream wait for each other."""


def streams_of(plan: Plan) -> list[Stage]:
    """The stages of a plan that are streams."""
    return [
        stage
        for block in plan.blocks
        for stage in block.stages
        if isinstance(stage.mapping, StreamMapping)
    ]


def stuck(plan: Plan, error: Deadlock) -> SimulationStopped:
    """A deadlock as people who draw streams see it; the error itself where it is none of a stream.

    Says who waits at which FIFO since when, the cycle of waits first, and how deep the full and
    the long FIFOs must be.
    """
    for stage in streams_of(plan):
        mapping = stage.mapping
        assert isinstance(mapping, StreamMapping)
        names = {f"{stage.path}:{f.name}" for f in mapping.graph.fifos}
        waits = [w for w in error.everyone if w.channel in names]
        if waits:
            return _told(plan, stage, waits, error)
    return error


def _told(plan: Plan, stage: Stage, waits: list[Wait], error: Deadlock) -> StreamStuck:
    mapping = stage.mapping
    assert isinstance(mapping, StreamMapping)
    depth = {f.name: f.depth for f in mapping.graph.fifos}
    chain = [w.unit for w in error.waits]
    waits.sort(key=lambda w: chain.index(w.unit) if w.unit in chain else len(chain))
    lines = []
    for wait in waits:
        name, node = wait.channel.removeprefix(f"{stage.path}:"), wait.unit.partition(".")[2]
        slots = f"{depth[name]} of {depth[name]} slots"
        state = "is empty" if wait.verb == "take" else f"is full ({slots})"
        since = wait.since_ps
        when = "" if since is None else f" since cycle {_cycle(stage, since)}"
        ring = "" if wait.unit in chain else ", behind the others"
        lines.append(f"fifo {name} {state}: {node} waits{when}{ring}")
    full = {w.channel.removeprefix(f"{stage.path}:") for w in error.waits if w.verb == "reserve"}
    suspects = full | {name for name, n in depth.items() if n > QUEUE_TOKENS}
    least = least_depths(plan, stage, suspects)
    shallow = [
        f"{name} {n} (has {depth[name]})" for name, n in least.full.items() if depth[name] < n
    ]
    ends = [f"{name} {n}" for name, n in least.ends.items() if depth[name] < n]
    return StreamStuck(
        f"{stage.path} stands still\n  " + "\n  ".join(lines),
        help=f"least depths for full throughput: {', '.join(shallow) or 'as they are'}; "
        f"to come to an end at all: {', '.join(ends) or 'as they are'}",
        details={
            "stage": stage.path,
            "waits": [
                {
                    "node": w.unit.partition(".")[2],
                    "fifo": w.channel.removeprefix(f"{stage.path}:"),
                    "state": "empty" if w.verb == "take" else "full",
                    "since_cycle": None if w.since_ps is None else _cycle(stage, w.since_ps),
                }
                for w in waits
            ],
            "least_depths": dict(least.full),
        },
    )


def _cycle(stage: Stage, at_ps: int) -> int:
    """The cycle of the fabric's clock at a moment."""
    return at_ps * int(stage.engine.clock_hz) // PS_PER_S
