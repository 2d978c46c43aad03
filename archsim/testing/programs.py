"""Programs to test and measure the time core: drawn at random, drifting, and one real shape.

All are plain `sim.program` data. The random ones cover what engines may get wrong: nested loops,
tokens and slots held over many rows, lags, ties, shared timelines, and locks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from archsim.sim.program import Channel, Leaf, Loop, Program, Row, Unit
from archsim.sim.result import RunResult

T = TypeVar("T")
ITERATIONS = (1, 2, 3, 4, 5, 7, 12, 25, 60)
TIES = (0, 1, 1, 2, 2, 3, 4, 6)
SPREAD = (0, 3, 17, 40, 97, 101, 256, 1000)


@dataclass
class _Draft:
    """A row being written; verbs are added until the leaf is closed."""

    unit: int
    run: int = 1
    take: list[int] = field(default_factory=list)
    reserve: list[int] = field(default_factory=list)
    put: list[int] = field(default_factory=list)
    free: list[int] = field(default_factory=list)


class _Writer:
    """Draws one program."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.durations = rng.choice((TIES, SPREAD))
        count = rng.randint(2, 5)
        lines = rng.choice(((), ("bus",), ("bus",), ("bus", "port")))
        self.units = tuple(
            Unit(f"u{i}", rng.choice((None, *lines)), rng.randrange(2)) for i in range(count)
        )
        self.channels: list[Channel] = []
        for producer in range(count):
            for consumer in range(count):
                if rng.random() < (0.55 if producer < consumer else 0.08):
                    name = f"c{len(self.channels)}"
                    self.channels.append(Channel(name, producer, consumer, rng.randint(1, 4)))
        self.rows: list[Row] = []

    def program(self) -> Program:
        tree = tuple(self._loop(0) for _ in range(self.rng.randint(1, 3)))
        return Program(self.units, tuple(self.channels), tuple(self.rows), tree)

    def _loop(self, depth: int) -> Loop:
        rng = self.rng
        first, last = self._leaves()
        body: list[Loop | Leaf] = [first]
        if depth < 2:
            body.extend(self._loop(depth + 1) for _ in range(rng.choice((0, 1, 1, 2))))
        if self.channels and rng.random() < 0.2:
            body.extend(self._apart())
        body.append(last)
        n = rng.choice(ITERATIONS[: 9 - 2 * depth])
        name = f"loop{depth}"
        return Loop(n, tuple(body), name, fold=rng.random() < 0.9, block=rng.random() < 0.7)

    def _apart(self) -> tuple[Loop, Loop]:
        """Two loops on one channel: all tokens are put in the first and taken in the second."""
        c = self.rng.randrange(len(self.channels))
        n = self.rng.choice((1, 2, 3, 7, 25))
        loops = []
        for unit, verbs in (
            (self.channels[c].producer, ("reserve", "put")),
            (self.channels[c].consumer, ("take", "free")),
        ):
            draft = _Draft(unit)
            for verb in verbs:
                getattr(draft, verb).append(c)
            loops.append(Loop(n, (self._close([draft]),), verbs[0]))
        return loops[0], loops[1]

    def _leaves(self) -> tuple[Leaf, Leaf]:
        """First and last leaf of a body, balanced together."""
        leaves: tuple[list[_Draft], list[_Draft]] = ([], [])
        for c, channel in enumerate(self.channels):
            if self.rng.random() < 0.5:
                tokens = self.rng.choice((1, 1, 1, 2, 3))
                self._verbs(leaves, c, channel.producer, tokens, ("reserve", "put"))
                self._verbs(leaves, c, channel.consumer, tokens, ("take", "free"))
        for unit in range(len(self.units)):
            if self.rng.random() < 0.2:
                self.rng.choice(leaves).append(_Draft(unit))
        return self._close(leaves[0]), self._close(leaves[1])

    def _verbs(
        self,
        leaves: tuple[list[_Draft], list[_Draft]],
        c: int,
        unit: int,
        tokens: int,
        verbs: tuple[str, str],
    ) -> None:
        """Write one end of a channel: a number of tokens for each run of the body."""
        opens, closes = verbs
        kind = self.rng.randrange(4)
        if tokens > 1 and kind < 2:  # alike steps
            row = _Draft(unit, run=tokens)
            self.rng.choice(leaves).append(row)
            first = last = row
            tokens = 1
        elif kind == 0:  # held over the loops in between: an accumulator, a stationary operand
            first, last = self._row(leaves[0], unit), self._row(leaves[1], unit)
        else:
            first = last = self._row(self.rng.choice(leaves), unit)
        getattr(first, opens).extend([c] * tokens)
        getattr(last, closes).extend([c] * tokens)

    def _row(self, leaf: list[_Draft], unit: int) -> _Draft:
        """The unit's last row of a leaf, or a new one."""
        mine = [row for row in leaf if row.unit == unit and row.run == 1]
        if mine and self.rng.random() < 0.6:
            return mine[-1]
        leaf.append(_Draft(unit))
        return leaf[-1]

    def _close(self, leaf: list[_Draft]) -> Leaf:
        ids = []
        for draft in leaf:
            shared = self.units[draft.unit].timeline is not None
            dur = self.rng.choice(self.durations)
            alone = not (draft.take or draft.reserve or draft.put or draft.free)
            row = Row(
                draft.unit,
                max(dur, 1) if shared else dur,
                self.rng.choice((0, 0, 0, *self.durations[:3])),
                tuple(draft.take),
                tuple(draft.reserve),
                tuple(draft.put),
                tuple(draft.free),
                self.rng.randint(1, 3) if alone else draft.run,
                op=len(self.rows),
            )
            ids.append(len(self.rows))
            self.rows.append(row)
        return Leaf(tuple(ids))


def random_program(seed: int, *, most_steps: int = 3000) -> Program:
    """A balanced program of 2 to 5 units, well formed, that may lock; the same for equal seeds."""
    rng = random.Random(seed)
    while True:
        program = _Writer(rng).program()
        if 0 < program.steps() <= most_steps:
            return program


def near_balanced_chain(seed: int) -> Program:
    """Stages whose durations nearly agree: buffers drift full over very many iterations."""
    rng = random.Random(seed)
    stages, base = rng.randint(2, 4), rng.choice((20, 50, 100))
    units = tuple(Unit(f"s{i}") for i in range(stages))
    depths = [rng.randint(1, 4) for _ in range(stages - 1)]
    channels = tuple(Channel(f"c{i}", i, i + 1, depth) for i, depth in enumerate(depths))
    rows = tuple(
        Row(
            i,
            base + rng.randint(0, 2),
            rng.choice((0, 0, 5)),
            take=(i - 1,) if i else (),
            free=(i - 1,) if i else (),
            reserve=(i,) if i < stages - 1 else (),
            put=(i,) if i < stages - 1 else (),
        )
        for i in range(stages)
    )
    leaf = Leaf(tuple(range(stages)))
    return Program(units, channels, rows, (Loop(rng.randint(200, 600), (leaf,), block=True),))


def permuted(program: Program, seed: int) -> tuple[Program, list[int], list[int]]:
    """The same program with units, channels and rows created in another order.

    Returns:
        The program, and the new index of each old unit and of each old row.
    """
    rng = random.Random(seed)
    new_unit, new_channel, new_row = (
        rng.sample(range(len(items)), len(items))
        for items in (program.units, program.channels, program.rows)
    )

    def channels(ids: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(new_channel[c] for c in ids)

    def node(old: Loop | Leaf) -> Loop | Leaf:
        if isinstance(old, Leaf):
            return Leaf(tuple(new_row[row] for row in old.rows))
        return Loop(old.n, tuple(map(node, old.body)), old.name, old.fold, old.block)

    rows = [
        Row(
            new_unit[row.unit],
            row.dur_ps,
            row.lag_ps,
            channels(row.take),
            channels(row.reserve),
            channels(row.put),
            channels(row.free),
            row.run,
            row.op,
        )
        for row in program.rows
    ]
    ends = [
        Channel(c.name, new_unit[c.producer], new_unit[c.consumer], c.depth)
        for c in program.channels
    ]
    result = Program(
        tuple(_scatter(program.units, new_unit)),
        tuple(_scatter(ends, new_channel)),
        tuple(_scatter(rows, new_row)),
        tuple(map(node, program.tree)),
    )
    return result, new_unit, new_row


def _scatter(items: Sequence[T], to: list[int]) -> list[T]:
    return [item for _, item in sorted(zip(to, items, strict=True), key=lambda pair: pair[0])]


def outcome(result: RunResult) -> dict[str, object]:
    """Everything of a result that must not depend on the engine or on folding."""
    arrays = {
        "count": result.count,
        "busy": result.busy_ps,
        "stall_in": result.stall_in_ps,
        "stall_out": result.stall_out_ps,
        "stall_shared": result.stall_shared_ps,
        "unit_end": result.unit_end_ps,
        "critical_busy": result.critical_busy_ps,
        "critical_lag": result.critical_lag_ps,
    }
    listed = {name: None if a is None else a.tolist() for name, a in arrays.items()}
    return {"makespan": result.makespan_ps, **listed}
