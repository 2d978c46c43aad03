"""A program is a tree of loops over rows; each row is one kind of step of one unit.

Here lives what a program *is*, as plain frozen data, with its two sums. Its legality is judged in
`check`, its flat form for the engines is made in `code`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of step of one unit.

    A step gets a token of every channel in `take` and a slot of every channel in `reserve`, each
    in the order written, uses its unit's timeline for `dur_ps`, then gives the slots of `free`
    and the tokens of `put` back.

    Attributes:
        unit: Index into `Program.units`.
        dur_ps: Time the step uses its timeline.
        lag_ps: Pipelined latency: delays the tokens it puts, not the unit.
        take: Channels whose next token it gets.
        reserve: Channels in which it claims a slot before it fills it.
        put: Channels to which it gives a token, in a slot reserved earlier or by itself.
        free: Channels whose slot it gives back, after the token was taken.
        run: Steps in sequence that are alike.
        op: The caller's label, used in reports only.
    """

    unit: int
    dur_ps: int = 0
    lag_ps: int = 0
    take: tuple[int, ...] = ()
    reserve: tuple[int, ...] = ()
    put: tuple[int, ...] = ()
    free: tuple[int, ...] = ()
    run: int = 1
    op: int = 0


@dataclass(frozen=True, slots=True)
class Leaf:
    """Rows (ids into `Program.rows`) of one or several units, in order for each unit."""

    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A body repeated `n` times, by every unit that has rows in it at its own pace.

    Attributes:
        n: Repetitions, at least 1.
        body: Loops and leaves, in order.
        name: Shown in reports of folding.
        fold: Whether an engine may count iterations instead of simulating them.
        block: Marks a block of the model (a repeated layer), which every engine folds; each run of
            its body gives back what it claims.
        aligned: Lets the units of a block stop at its iterations, each at the same one, while they
            are compared. Worth it where units run far ahead of each other, as through deep FIFOs:
            where they happen to be then recurs late, where they all come to an iteration does not.
    """

    n: int
    body: tuple[Loop | Leaf, ...]
    name: str = ""
    fold: bool = True
    block: bool = False
    aligned: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """A buffer of `depth` slots with one producer and one consumer (indices of units).

    Attributes:
        name: In messages.
        producer: Unit that fills its slots.
        consumer: Unit that takes its tokens.
        depth: Number of slots.
        across: Joins units that walk different loops: its tokens need not balance in a block's
            body, only in the whole program.
    """

    name: str
    producer: int
    consumer: int
    depth: int
    across: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """Something that does one step at a time.

    Attributes:
        name: Unique name.
        timeline: Name of the timeline it shares with others; None when it owns its own.
        role: Rank in ties at a shared timeline, lowest first; then the name decides.
        tie: Name that decides then; its own where empty.
    """

    name: str
    timeline: str | None = None
    role: int = 0
    tie: str = ""


@dataclass(frozen=True)
class Program:
    """Units, the channels between them, the kinds of steps, and the order of steps."""

    units: tuple[Unit, ...]
    channels: tuple[Channel, ...]
    rows: tuple[Row, ...]
    tree: tuple[Loop | Leaf, ...]

    def check(self) -> None:
        """Refuse a program that is malformed or that can never end.

        Raises:
            MalformedProgram: An index out of range, an unbalanced block or program, a channel used
                by a stranger, a shared timeline used for no time.
            Deadlock: Units that wait for each other whatever the durations are.
        """
        from archsim.sim.check import check_form  # late: both read this module
        from archsim.sim.untimed import check_ends

        check_form(self)
        check_ends(self)

    def counts(self) -> tuple[int, ...]:
        """How often each row is executed, by row id."""
        return self._counted

    def steps(self) -> int:
        """Steps of the whole program, all repetitions counted."""
        return sum(self.counts())

    def upper_bound_ps(self) -> int:
        """Time in which the program ends even if nothing overlaps: all durations and lags."""
        pairs = zip(self.counts(), self.rows, strict=True)
        return sum(n * (row.dur_ps + row.lag_ps) for n, row in pairs)

    def ranks(self) -> tuple[int, ...]:
        """Place of each unit in the canonical order, which is by role, then by name."""
        order = sorted(range(len(self.units)), key=self._order_key)
        rank = [0] * len(order)
        for place, unit in enumerate(order):
            rank[unit] = place
        return tuple(rank)

    @cached_property
    def _counted(self) -> tuple[int, ...]:
        total = [0] * len(self.rows)
        for node in self.tree:
            _count(node, 1, total)
        return tuple(n * row.run for n, row in zip(total, self.rows, strict=True))

    def _order_key(self, unit: int) -> tuple[int, str, str]:
        one = self.units[unit]
        return one.role, one.tie or one.name, one.name


def _count(node: Loop | Leaf, times: int, total: list[int]) -> None:
    if isinstance(node, Loop):
        for child in node.body:
            _count(child, times * node.n, total)
    else:
        for row in node.rows:
            total[row] += times
