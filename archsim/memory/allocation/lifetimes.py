"""What a scratchpad must hold and when: ops in an order, tensors with lives, and what a plan moves.

Here are the terms that every allocation policy shares, and the laws that its result must keep.
Not here: any policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from archsim.core.errors import Infeasible, LawViolation


class Sized(NamedTuple):
    """A tensor as an allocator sees it: no bytes where it streams by and only orders ops."""

    name: str
    bytes: int


class Step(NamedTuple):
    """An op as an allocator sees it: while it runs, all it reads and writes is on chip."""

    name: str
    reads: tuple[int, ...]  # positions in `Flow.tensors`
    writes: tuple[int, ...]


@dataclass(frozen=True)
class Flow:
    """Ops and the tensors between them, in one topological order.

    Each tensor is written once, whole, or given from outside. What streams past the scratchpad
    (weights) takes no room in it; its bytes are compulsory and counted in one number.

    Attributes:
        name: of the graph.
        tensors: with their sizes.
        steps: the ops, in an order that runs.
        kept: tensors that must end up off chip.
        streamed_bytes: bytes that pass by, whatever the plan.
    """

    name: str
    tensors: tuple[Sized, ...]
    steps: tuple[Step, ...]
    kept: frozenset[int]
    streamed_bytes: int = 0

    @cached_property
    def producer(self) -> dict[int, int]:
        """The op that writes each tensor; tensors from outside are absent."""
        return {x: i for i, step in enumerate(self.steps) for x in step.writes}

    @cached_property
    def consumers(self) -> dict[int, tuple[int, ...]]:
        """The ops that read each tensor."""
        found: dict[int, list[int]] = {x: [] for x in range(len(self.tensors))}
        for i, step in enumerate(self.steps):
            for x in dict.fromkeys(step.reads):
                found[x].append(i)
        return {x: tuple(ops) for x, ops in found.items()}

    def needs(self, op: int) -> tuple[int, ...]:
        """Distinct tensors of an op, what it reads first."""
        step = self.steps[op]
        return tuple(dict.fromkeys((*step.reads, *step.writes)))

    def uses(self, order: Sequence[int]) -> dict[int, list[int]]:
        """Positions in an order at which each tensor is read or written."""
        found: dict[int, list[int]] = {x: [] for x in range(len(self.tensors))}
        for t, op in enumerate(order):
            for x in self.needs(op):
                found[x].append(t)
        return found

    def has_copy(self, tensor: int) -> bool:
        """True where a copy off chip costs nothing extra: the tensor comes from or goes there."""
        return tensor in self.kept or tensor not in self.producer

    def total_bytes(self, tensors: Iterable[int]) -> int:
        """Bytes of some tensors together."""
        return sum(self.tensors[x].bytes for x in tensors)

    def largest_op_bytes(self) -> int:
        """The least budget at which anything runs: the largest op by itself (COSMA's M_R)."""
        return max(self.total_bytes(self.needs(op)) for op in range(len(self.steps)))

    def peak_bytes(self, order: Sequence[int]) -> int:
        """Most bytes alive at once in an order that evicts nothing, wherever they lie."""
        uses = self.uses(order)
        change = [0] * (len(order) + 1)
        for x, times in uses.items():
            if times:
                change[times[0]] += self.tensors[x].bytes
                change[times[-1] + 1] -= self.tensors[x].bytes
        alive = peak = 0
        for step in change:
            alive += step
            peak = max(peak, alive)
        return peak

    def compulsory_bytes(self) -> int:
        """Bytes that any plan moves: what is streamed, what comes in, what must come out."""
        used = {x for step in self.steps for x in step.reads}
        given = self.total_bytes(x for x in used if x not in self.producer)
        return self.streamed_bytes + given + self.total_bytes(self.kept)

    def check(self, budget_bytes: int | None = None) -> None:
        """Refuse a flow that does not run in its own order, or that a budget cannot hold.

        Raises:
            LawViolation: for a tensor of negative size, written twice or read before its write.
            Infeasible: E401 where an op by itself is larger than the budget.
        """
        written: set[int] = set()
        for step in self.steps:
            early = [x for x in step.reads if x in self.producer and x not in written]
            if early:
                raise LawViolation(
                    f"{step.name} reads {self.tensors[early[0]].name} before it is written"
                )
            if twice := written.intersection(step.writes):
                raise LawViolation(f"{step.name} writes {self.tensors[min(twice)].name} again")
            written.update(step.writes)
        if wrong := [t for t in self.tensors if t.bytes < 0]:
            raise LawViolation(f"tensor {wrong[0].name} has {wrong[0].bytes} bytes")
        if budget_bytes is not None:
            self._check_room(budget_bytes)

    def _check_room(self, budget_bytes: int) -> None:
        for op, step in enumerate(self.steps):
            needs = self.total_bytes(self.needs(op))
            if needs > budget_bytes:
                raise Infeasible(
                    f"{step.name} needs {needs} bytes at once, the budget is {budget_bytes}",
                    help=f"the largest op of {self.name} needs {self.largest_op_bytes()} bytes",
                )


class Stay(NamedTuple):
    """A tensor at one address over steps `begin` to `end`, the last one excluded."""

    tensor: int
    begin: int
    end: int
    address_bytes: int


@dataclass(frozen=True)
class Allocation:
    """Where every tensor lies and when, and what that moves on and off chip.

    Attributes:
        policy: that made it.
        flow: what it is for.
        budget_bytes: the scratchpad's.
        order: ops (positions in `flow.steps`) in the order they run.
        stays: by begin, then address. A tensor with several is evicted and fetched again.
        status: heuristic; or optimal, feasible as a solver has proved.
        bound_bytes: no plan that the policy could choose moves fewer non-compulsory bytes.
    """

    policy: str
    flow: Flow
    budget_bytes: int
    order: tuple[int, ...]
    stays: tuple[Stay, ...]
    status: str
    bound_bytes: int

    @cached_property
    def _counts(self) -> dict[int, int]:
        counts: dict[int, int] = {}
        for stay in self.stays:
            counts[stay.tensor] = counts.get(stay.tensor, 0) + 1
        return counts

    @property
    def evicted_bytes(self) -> int:
        """Non-compulsory writes: a tensor that comes back was written out once."""
        again = [x for x, n in self._counts.items() if n > 1]
        return self.flow.total_bytes(x for x in again if not self.flow.has_copy(x))

    @property
    def refetched_bytes(self) -> int:
        """Non-compulsory reads: every stay after a tensor's first."""
        return sum((n - 1) * self.flow.tensors[x].bytes for x, n in self._counts.items())

    @property
    def non_compulsory_bytes(self) -> int:
        """What moves only because the scratchpad is too small."""
        return self.evicted_bytes + self.refetched_bytes

    @property
    def compulsory_bytes(self) -> int:
        """What any plan moves."""
        return self.flow.compulsory_bytes()

    @property
    def occupied_bytes(self) -> int:
        """The highest address in use, holes below it included."""
        return max(
            (s.address_bytes + self.flow.tensors[s.tensor].bytes for s in self.stays), default=0
        )

    def check(self) -> None:
        """Hold the plan against the laws of a scratchpad.

        Raises:
            LawViolation: where live tensors overlap or leave the budget, an op misses an operand,
                runs before what it reads, or a tensor begins out of nothing.
        """
        if sorted(self.order) != list(range(len(self.flow.steps))):
            raise LawViolation("an allocation must run every op once")
        self._check_order()
        self._check_addresses()
        held: dict[int, set[int]] = {t: set() for t in range(len(self.order))}
        for stay in self.stays:
            for t in range(stay.begin, stay.end):
                held[t].add(stay.tensor)
        for t, op in enumerate(self.order):
            if missing := set(self.flow.needs(op)) - held[t]:
                name = self.flow.tensors[min(missing)].name
                raise LawViolation(f"{self.flow.steps[op].name} runs without {name}")

    def _check_order(self) -> None:
        when = {op: t for t, op in enumerate(self.order)}
        for x, op in self.flow.producer.items():
            if any(when[reader] <= when[op] for reader in self.flow.consumers[x]):
                raise LawViolation(f"{self.flow.tensors[x].name} is read before it is written")
            begins = [s.begin for s in self.stays if s.tensor == x]
            if min(begins, default=when[op]) != when[op]:
                raise LawViolation(f"{self.flow.tensors[x].name} is there before it is written")

    def _check_addresses(self) -> None:
        alive: list[Stay] = []
        size = self.flow.tensors
        for stay in sorted(self.stays, key=lambda s: s.begin):
            top = stay.address_bytes + size[stay.tensor].bytes
            if stay.address_bytes < 0 or top > self.budget_bytes or stay.end <= stay.begin:
                raise LawViolation(f"{size[stay.tensor].name} leaves the scratchpad: {stay}")
            alive = [s for s in alive if s.end > stay.begin]
            for other in alive:
                end = other.address_bytes + size[other.tensor].bytes
                if (other.address_bytes < top and stay.address_bytes < end) or (
                    other.tensor == stay.tensor
                ):
                    raise LawViolation(
                        f"{size[stay.tensor].name} overlaps {size[other.tensor].name}"
                    )
            alive.append(stay)


def stays_of(held: Sequence[frozenset[int]]) -> list[tuple[int, int, int]]:
    """(tensor, begin, end) of every run of steps that a tensor is held without a break."""
    began: dict[int, int] = {}
    found: list[tuple[int, int, int]] = []
    for t, now in enumerate((*held, frozenset[int]())):
        found += [(x, began.pop(x), t) for x in sorted(began.keys() - now)]
        for x in now - began.keys():
            began[x] = t
    return found


def trimmed(
    flow: Flow,
    order: Sequence[int],
    held: Sequence[frozenset[int]],
    entry: frozenset[int] = frozenset(),
) -> list[frozenset[int]]:
    """What is held without idle ends: every stay begins with a use, or at entry, and ends with one.

    Args:
        flow: whose tensors they are.
        order: of its ops.
        held: tensors on chip at each position.
        entry: tensors on chip before the first.
    """
    uses = flow.uses(order)
    sets: list[set[int]] = [set() for _ in order]
    for x, begin, end in stays_of(held):
        inside = [t for t in uses[x] if begin <= t < end]
        if inside:
            first = 0 if begin == 0 and x in entry else inside[0]
            for t in range(first, inside[-1] + 1):
                sets[t].add(x)
    return [frozenset(s) for s in sets]
