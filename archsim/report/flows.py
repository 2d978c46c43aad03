"""Which step fed which: arrows of a timeline, from the graph and from when steps ran.

An arrow joins the last step of a stage in one iteration of its block to the first step after it of
a stage that reads what it wrote. The steps are those of the units that the stages compute on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archsim.ir.graph import Block, OpGraph
from archsim.ir.op import Op
from archsim.ir.record import RunRecord
from archsim.report.timeline import Timeline
from archsim.sim.slices import Slices

Ints = NDArray[np.int64]
Place = tuple[str, str]  # names of a block and of an op in it
PS_PER_NS = 1000
MOST = 20_000  # arrows; more are of no use to anybody who looks


class Feeds(NamedTuple):
    """One stage reads what another wrote.

    Attributes:
        producer, consumer: stages.
        made, read: iterations of each in one pass of the block that it is in.
        when: `same` where an iteration reads what that iteration wrote, `next` where it reads what
            the one before wrote, `last` where the first reads what the last of a block wrote.
    """

    producer: int
    consumer: int
    made: int
    read: int
    when: Literal["same", "next", "last"]


class Flows(NamedTuple):
    """Arrows of a timeline.

    Attributes:
        arrows: pairs of slices as `Timeline.merged` counts them, in order of time.
        left_out: arrows that are not told: beyond `MOST`, or from and to steps that the timeline
            does not tell one by one.
    """

    arrows: list[tuple[int, int]]
    left_out: int


def flows(timeline: Timeline) -> Flows:
    """The arrows of a run."""
    run, steps = timeline.run, _Steps(timeline)
    found: set[tuple[int, int]] = set()
    missing = 0
    for feeds in dict.fromkeys(_feeds(run)):
        pairs = _iterations(run, feeds)
        arrows = steps.joined(feeds, pairs)
        missing += len(pairs) - len(arrows)
        found.update(arrows)
    begin = timeline.merged.begin_ps
    told = sorted(found, key=lambda pair: (int(begin[pair[0]]), pair))
    return Flows(told[:MOST], missing + max(len(told) - MOST, 0))


def _iterations(run: RunRecord, feeds: Feeds) -> Ints:
    """Pairs of iterations, of the producer and of the consumer, over the whole run."""
    passes = np.arange(run.stages[feeds.consumer].repeats // feeds.read)
    if feeds.when == "last":
        return np.stack([(passes + 1) * feeds.made - 1, passes * feeds.read], axis=1)
    later = int(feeds.when == "next")
    each = np.arange(feeds.made - later)
    made = (passes[:, None] * feeds.made + each).ravel()
    return np.stack([made, made + later], axis=1)


def _feeds(run: RunRecord) -> Iterator[Feeds]:
    """Every pair of stages of which one reads what the other writes."""
    parts = [(f"{s.name}:" if s.name else "", s.graph) for s in run.pod.shares] if run.pod else []
    for prefix, graph in parts or [("", run.graph)]:
        yield from _of_graph(graph, _stages_of(run, prefix))


def _stages_of(run: RunRecord, prefix: str) -> dict[Place, int]:
    """Where each op ran: alone, or fused into the stage of another."""
    found: dict[Place, int] = {}
    for i, stage in enumerate(run.stages):
        if stage.path.startswith(prefix):
            block, _, op = stage.path.removeprefix(prefix).partition("/")
            for name in (op, *filter(None, stage.fused.split(" + "))):
                found[block, name] = i
    return found


def _of_graph(graph: OpGraph, stages: dict[Place, int]) -> Iterator[Feeds]:
    """The feeds of one device's graph; what stays inside a stage is none."""
    wrote: dict[str, tuple[Block, Op]] = {}
    for block in graph.blocks:
        inside: set[str] = set()
        carried = dict(block.carry)
        ends = {a.tensor: op for op in block.ops for a in op.writes}
        for op in block.ops:
            for tensor in dict.fromkeys(a.tensor for a in op.reads):
                made: list[tuple[Block, Op, Literal["same", "next", "last"]]] = []
                if tensor in wrote:
                    made.append((*wrote[tensor], "same" if tensor in inside else "last"))
                if tensor in carried and tensor not in inside:
                    made.append((block, ends[carried[tensor]], "next"))
                here = stages.get((block.name, op.name))
                for source, producer, when in made:
                    there = stages.get((source.name, producer.name))
                    if here is None or there is None or (here == there and when != "next"):
                        continue
                    yield Feeds(there, here, source.count, block.count, when)
            written = {a.tensor for a in op.writes}
            inside |= written
            wrote |= dict.fromkeys(written, (block, op))


class _Steps:
    """Finds the first and the last step of a stage in each of its iterations."""

    def __init__(self, timeline: Timeline) -> None:
        s, self.run = timeline.slices, timeline.run
        self.roles = {unit.name: unit.role for unit in timeline.units}
        self.begin, self.into = s.begin_ps, timeline.merged_into
        self.by_row = np.argsort(s.row, kind="stable")
        self.row = s.row[self.by_row]
        self.known = _one_by_one(s)
        self.rows: dict[int, list[int]] = {}
        for i, row in enumerate(self.run.rows):
            if row.executions and row.busy_ps:
                self.rows.setdefault(row.stage, []).append(i)
        self.found: dict[int, tuple[Ints, Ints]] = {}

    def joined(self, feeds: Feeds, pairs: Ints) -> list[tuple[int, int]]:
        """The arrows of those pairs of iterations whose steps the timeline tells."""
        if feeds.producer not in self.rows or feeds.consumer not in self.rows:
            return []
        last, first = self._ends(feeds.producer)[1], self._ends(feeds.consumer)[0]
        pairs = pairs[(pairs[:, 0] < len(last)) & (pairs[:, 1] < len(first))]
        source, target = last[pairs[:, 0]], first[pairs[:, 1]]
        ns = self.begin // PS_PER_NS
        kept = (source >= 0) & (target >= 0) & (ns[source] < ns[target])
        ends = zip(self.into[source[kept]].tolist(), self.into[target[kept]].tolist(), strict=True)
        return list(ends)

    def _ends(self, stage: int) -> tuple[Ints, Ints]:
        """Slices with which the iterations of a stage begin and end; -1 for one not told."""
        if stage not in self.found:
            rows, repeats = self.rows[stage], self.run.stages[stage].repeats
            role = max(self.roles[self.run.rows[row].unit] for row in rows)
            rows = [row for row in rows if self.roles[self.run.rows[row].unit] == role]
            first, last = np.full((2, repeats), -1, dtype=np.int64)
            for row in rows:
                each = self.run.rows[row].executions // repeats
                lo, hi = np.searchsorted(self.row, [row, row + 1])
                steps = self.by_row[lo:hi]
                steps = steps[self.known[steps]]
                if each * repeats == self.run.rows[row].executions:
                    self._better(first, steps[::each], earlier=True)
                    self._better(last, steps[each - 1 :: each], earlier=False)
            self.found[stage] = first, last
        return self.found[stage]

    def _better(self, kept: Ints, steps: Ints, *, earlier: bool) -> None:
        """Put steps in the place of those that begin later, or earlier, than they do."""
        old, steps = kept[: len(steps)], steps[: len(kept)]
        ahead = self.begin[steps] < self.begin[old]
        old[:] = np.where((old < 0) | (ahead if earlier else ~ahead), steps, old)


def _one_by_one(s: Slices) -> NDArray[np.bool_]:
    """Slices before the first of their unit that stands for many steps: they can be counted."""
    many = np.cumsum(s.row < 0)
    first = np.searchsorted(s.unit, s.unit)
    before = np.where(first > 0, many[first - 1], 0) if len(many) else many
    found: NDArray[np.bool_] = many == before
    return found
