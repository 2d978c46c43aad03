"""The least depth of each FIFO of a stream: for full throughput, and to come to an end at all.

Deeper FIFOs never slow a stream down: units share nothing, so that time only falls with more slots.
That makes bisection by simulation sound. FIFOs are shortened one after the other, intermediates
first, and stay as short as found: in the end no single one can be shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

from archsim.ir.stream_mapping import StreamMapping
from archsim.sim.errors import Deadlock
from archsim.sim.kernels import compiled
from archsim.sim.program import Program
from archsim.sim.steady import steady_interval_ps
from archsim.system.place import Plan, Stage
from archsim.system.rows import Book
from archsim.system.stream_rows import StreamWriter
from archsim.system.writer import duration_ps

SPARE = 2  # slots beyond those of latencies: one being filled, one being read


@dataclass(frozen=True)
class LeastDepths:
    """What a stream's FIFOs must hold.

    Attributes:
        interval_cycles: of an iteration at full throughput, whatever the depths.
        now_cycles: of an iteration with the depths as given; None for a stream that stands still.
        full: least depth of each FIFO for full throughput.
        ends: least depth of each FIFO at which the stream comes to an end, the others as in `full`.
    """

    interval_cycles: Fraction
    now_cycles: Fraction | None
    full: Mapping[str, int]
    ends: Mapping[str, int]


def bare_program(plan: Plan, stage: Stage) -> tuple[Program, dict[str, int]]:
    """The program of one stream alone, and the channel of each of its FIFOs."""
    book = Book()
    writer = StreamWriter(book, plan, stage, 0)
    part = writer.write()
    return book.close(part.tree), dict(writer.fifos)


def interval_cycles(plan: Plan, stage: Stage) -> Fraction:
    """Cycles of an iteration of a stream in the long run, its depths as given.

    Raises:
        Deadlock: Nodes wait for each other.
    """
    program, _ = bare_program(plan, stage)
    return steady_interval_ps(program) / duration_ps(1, stage.engine.clock_hz)


def least_depths(plan: Plan, stage: Stage, only: Collection[str] | None = None) -> LeastDepths:
    """The least depths of a stream's FIFOs, or of some, the others as deep as is of use."""
    mapping = stage.mapping
    assert isinstance(mapping, StreamMapping)
    graph = mapping.graph
    program, channel = bare_program(plan, stage)
    compiled("advance")  # for dozens of runs it pays

    def interval(depths: Mapping[str, int]) -> Fraction | None:
        channels = list(program.channels)
        for name, depth in depths.items():
            channels[channel[name]] = replace(channels[channel[name]], depth=depth)
        try:
            return steady_interval_ps(replace(program, channels=tuple(channels)))
        except Deadlock:
            return None

    given = {f.name: f.depth for f in graph.fifos}
    now = interval(given)
    # no faster than the slowest node; as fast as that if nothing but room on a FIFO was in its way
    hz = stage.engine.clock_hz
    busy = [n * duration_ps(mapping.cycles[name], hz) for name, n in graph.firings.items()]
    best: Fraction | None = Fraction(max(busy))
    starts = (given, *_deeper(mapping))
    enough = next((s for s in starts if (now if s is given else interval(s)) == best), starts[-1])
    if enough is starts[-1]:
        best = interval(enough)
    assert best is not None  # a graph without empty cycles goes on where there is room
    full = dict(enough)

    def fast(name: str, depth: int) -> bool:
        return interval(full | {name: depth}) == best

    def ending(name: str, depth: int) -> bool:
        return interval(full | {name: depth}) is not None

    wanted = [f for f in graph.fifos if only is None or f.name in only]
    for f in sorted(wanted, key=lambda f: (not graph.is_intermediate(f), -graph.tokens(f), f.name)):
        lowest = max(1, f.initial)
        full[f.name] = _least(partial(fast, f.name), f.depth, full[f.name], lowest)
    ends = {
        f.name: _least(partial(ending, f.name), full[f.name], full[f.name], max(1, f.initial))
        for f in wanted
    }
    full = {f.name: full[f.name] for f in wanted}
    scale = Fraction(1, duration_ps(1, stage.engine.clock_hz))
    return LeastDepths(best * scale, None if now is None else now * scale, full, ends)


def _ps(stage: Stage, cycles: int) -> Fraction:
    """Time of so many cycles, as firings last."""
    return Fraction(cycles) * duration_ps(1, stage.engine.clock_hz)


def _deeper(mapping: StreamMapping) -> tuple[dict[str, int], dict[str, int]]:
    """Depths with room for all latencies, and ones beyond which no FIFO is of use.

    The latter have room for an iteration behind every reduction, and for two besides.
    """
    graph = mapping.graph
    delay = sum(mapping.latency_cycles.values()) + sum(f.latency_cycles for f in graph.fifos)
    least = mapping.busy_cycles(mapping.bottleneck())  # cycles of an iteration
    late = {f.name: -(-delay * graph.tokens(f) // least) + SPARE for f in graph.fifos}
    whole = 2 + sum(node.kind == "reduce" for node in graph.nodes)
    ample = {f.name: whole * graph.tokens(f) + f.initial + late[f.name] for f in graph.fifos}
    return {f.name: min(ample[f.name], f.depth + late[f.name]) for f in graph.fifos}, ample


def _least(fine: Callable[[int], bool], guess: int, enough: int, lowest: int) -> int:
    """The least depth that is fine; all above it are, `enough` is one. Begins at a guess."""
    if guess >= enough or fine(guess):
        high = min(guess, enough)
        step, low = 1, high
        while low > lowest:  # gallop down
            low = max(lowest, high - step)
            if not fine(low):
                break
            high, step = low, 2 * step
        else:
            return high
    else:
        low, step = guess, 1
        while True:  # gallop up
            high = min(enough, low + step)
            if high == enough or fine(high):
                break
            low, step = high, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        if fine(middle):
            high = middle
        else:
            low = middle
    return high
