"""The search for a mapping: exhaustive where the space fits the budget, else sampled and refined.

A candidate is a template, tile extents, a loop order and a set of held operands. Tile extents are
measured in batches; all templates, orders and sets are tried on each. The same inputs and seed give
the same answer. Beyond the budget it starts from what the templates choose by themselves, which is
tried whatever the budget, adds others of their tile extents and random ones, and then walks from
the best towards their neighbours until none is better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import Unmappable
from archsim.dataflows._auto_cost import Case, Measured, measure
from archsim.dataflows._auto_rank import Costs, cost, mapping_of, nests, slack
from archsim.dataflows._auto_space import (
    Axes,
    axes,
    draw,
    neighbours,
    product,
    some,
    templates_choice,
    templates_tiles,
)
from archsim.dataflows._auto_time import Nest
from archsim.ir.mapping import Mapping
from archsim.ir.problem import Extents, Problem
from archsim.ir.target import Target

if TYPE_CHECKING:
    from archsim.dataflows.base import Dataflow

Ints = NDArray[np.int64]
BUDGET = 200_000  # candidates of one op where a rule gives none
BATCH = 2048  # tile extents measured at once
SEEDS = 8  # of the best so far, from which refinement walks
CASES = 8  # ragged cases that stand for all while searching; the answer counts every one
START_SHARE, RANDOM_SHARE = 0.5, 0.2  # of the budget, for the templates' own and random extents
PATIENCE = 2  # rounds of refinement without a better candidate before it ends


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one mapping in closed form: fields as `Costs` has them, by plain numbers."""

    time_s: float
    analytic_s: float
    dynamic_pj: float
    energy_pj: float
    traffic_bytes: int
    cycles: int
    tiles: int
    sram_bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a search answers.

    Attributes:
        mapping: the best candidate.
        cost: of it.
        objective: it was chosen by.
        value: of the objective: seconds, pJ, pJ x s, bytes or cycles.
        tried: candidates whose cost was found.
        space: candidates there are.
        proved: every candidate of the space was tried.
    """

    mapping: Mapping
    cost: Cost
    objective: str
    value: float
    tried: int
    space: int
    proved: bool


@dataclass(frozen=True, slots=True)
class _Best:
    """Candidates as good as the best so far, one array element each."""

    value: NDArray[np.float64]
    ties: NDArray[np.float64]  # one row a tie-breaker
    flow: Ints
    nest: Ints
    row: Ints


class Search:
    """One search: what has been tried, and the best of it."""

    def __init__(
        self,
        flows: Sequence[Dataflow],
        problem: Problem,
        target: Target,
        *,
        budget: int = BUDGET,
        seed: int = 0,
    ) -> None:
        self.flows, self.problem, self.target = flows, problem, target
        self.budget, self.seed = budget, seed
        self.nests = nests(target)
        self.cases = _few(problem.cases)
        self.each = len(flows) * len(self.nests)  # candidates of one set of tile extents
        self.rows = np.zeros((0, 4), dtype=np.int64)
        self.scores = np.zeros(0)  # best value of each row
        self.known: set[bytes] = set()
        self.best: _Best | None = None
        self.fitted = False  # whether any candidate fitted on chip, however many tiles it made

    def run(self) -> Found:
        """The best mapping of the space, or of the budget's part of it.

        Raises:
            Unmappable: E401 where no candidate fits, with all of them tried; E402 where the budget
                ended first.
        """
        space = axes(self.flows, self.problem, self.target)
        most = int(np.prod([len(axis) for axis in space], dtype=object))
        proved = most * self.each <= self.budget
        if proved:
            self._try(product(space))
        else:
            self._sample(space)
        if self.best is None:
            raise self._nothing(space, most, proved=proved)
        return self._answer(most, proved=proved)

    def _sample(self, space: Axes) -> None:
        """The templates' choice, others of their extents, random ones, neighbours of the best."""
        rng = np.random.default_rng(self.seed)
        self._try(templates_choice(self.flows, self.problem, self.target))  # one row at the least
        own = templates_tiles(self.flows, self.problem, self.target, 1 << 30)
        self._try(some(own, self._rows(START_SHARE), rng))
        self._try(draw(space, self._rows(RANDOM_SHARE), rng))
        stale = 0
        while self.best is not None and self._left() and stale < PATIENCE:
            before = float(self.best.value.min())
            order = np.argsort(self.scores, kind="stable")[: SEEDS * (stale + 1)]
            around = [neighbours(space, row, rng) for row in self.rows[order].tolist()]
            if not self._try(np.concatenate(around)):
                break
            stale = 0 if float(self.best.value.min()) < before else stale + 1

    def _rows(self, share: float) -> int:
        return min(self._left(), max(1, int(self.budget * share) // self.each))

    def _left(self) -> int:
        """Sets of tile extents that the budget still has."""
        return max(0, self.budget // self.each - len(self.rows))

    def _try(self, rows: Ints) -> int:
        """Find the cost of new rows of tile extents, as many as the budget has; how many."""
        fresh = []
        for row in rows:
            name = row.tobytes()
            if name not in self.known:
                self.known.add(name)
                fresh.append(row)
        new = np.array(fresh[: max(1, self._left()) if not len(self.rows) else self._left()],
                       dtype=np.int64).reshape(-1, 4)  # fmt: skip
        for low in range(0, len(new), BATCH):
            self._batch(new[low : low + BATCH])
        return len(new)

    def _batch(self, rows: Ints) -> None:
        base = len(self.rows)
        self.rows = np.concatenate([self.rows, rows])
        scores = np.full(len(rows), np.inf)
        tile = {r: np.ascontiguousarray(rows[:, i]) for i, r in enumerate("bmnk")}
        for f, flow in enumerate(self.flows):
            of = measure(flow, self.problem, self.target, tile, self.cases)
            slots: dict[tuple[str, frozenset[str] | None, int], Ints] = {}
            for n, nest in enumerate(self.nests):
                costs, fits = cost(flow, self.problem, self.target, of, nest, slots)
                self.fitted |= fits
                if len(costs.place):
                    value = costs.value(self.target.objective)
                    scores[costs.place] = np.minimum(scores[costs.place], value)
                    self._keep(costs, value, f, n, base)
        self.scores = np.concatenate([self.scores, scores])

    def _keep(
        self, costs: Costs, value: NDArray[np.float64], flow: int, nest: int, base: int
    ) -> None:
        """Add candidates to the best, and drop those that no longer are."""
        limit = slack(self.target.objective)
        least = float(value.min())
        if self.best is not None:
            least = min(least, float(self.best.value.min()))
        near = np.flatnonzero(value <= least * limit)
        if not len(near):
            return
        ties = np.stack([t[near] for t in costs.ties(self.target.objective)])
        one = np.ones(len(near), dtype=np.int64)
        now = _Best(value[near], ties, flow * one, nest * one, base + costs.place[near])
        if self.best is not None:
            old, still = self.best, np.flatnonzero(self.best.value <= least * limit)
            now = _Best(
                np.concatenate([old.value[still], now.value]),
                np.concatenate([old.ties[:, still], now.ties], axis=1),
                np.concatenate([old.flow[still], now.flow]),
                np.concatenate([old.nest[still], now.nest]),
                np.concatenate([old.row[still], now.row]),
            )
        self.best = now

    def _answer(self, most: int, *, proved: bool) -> Found:
        best = self.best
        assert best is not None
        first = int(np.lexsort((best.row, best.nest, best.flow, best.value, *best.ties[::-1]))[0])
        flow, nest = self.flows[int(best.flow[first])], self.nests[int(best.nest[first])]
        row = self.rows[best.row[first]]
        costs, mapping = price(flow, self.problem, self.target, nest, row)
        mapping.check(self.target)
        objective = self.target.objective
        value = {
            "latency": costs.time_s,
            "energy": costs.energy_pj,
            "edp": costs.energy_pj * costs.time_s,
            "traffic": float(costs.traffic_bytes),
            "compute": float(costs.cycles),
        }[objective]
        tried = len(self.rows) * self.each
        return Found(mapping, costs, objective, value, tried, most * self.each, proved)

    def _nothing(self, space: Axes, most: int, *, proved: bool) -> Unmappable:
        """The refusal: that there is no mapping, or that none was found."""
        e, op = self.problem.largest, self.problem.op
        what = f"{op.name}: no mapping of {e.m} x {e.n} x {e.k}"
        free = f"{self.target.buffer_bytes} bytes that are free on chip"
        smallest = np.array([[int(axis[0]) for axis in space]], dtype=np.int64)
        self._batch(smallest)
        if not self.fitted:
            least = " x ".join(str(x) for x in smallest[0, 1:])
            return Unmappable(
                f"{what} fits the {free}: tiles of {least} are too large for every loop order and "
                "set of held operands",
                code="E401",
                help="a larger on-chip memory, or fewer activations held there",
            )
        if proved:
            return Unmappable(
                f"{what} on the {free} has few enough tiles to be run: all "
                f"{most * self.each} candidates were tried",
                code="E401",
                help="a larger on-chip memory, or fewer activations held there",
            )
        return Unmappable(
            f"{what} was found within a budget of {self.budget} candidates of {most * self.each}",
            code="E402",
            help=f"a larger budget in the mapping rule, such as budget: {10 * self.budget}",
        )


def price(
    flow: Dataflow, problem: Problem, target: Target, nest: Nest, row: Ints
) -> tuple[Cost, Mapping]:
    """Cost and mapping of one candidate, every ragged case counted.

    Raises:
        Unmappable: when it does not fit.
    """
    tile = {r: np.array([int(row[i])], dtype=np.int64) for i, r in enumerate("bmnk")}
    of: Measured = measure(flow, problem, target, tile, [(1, e) for e in problem.cases])
    costs, _ = cost(flow, problem, target, of, nest, {})
    if not len(costs.place):
        raise Unmappable(f"{problem.op.name}: tiles of {row.tolist()} do not fit")
    one = Cost(
        float(costs.time_s[0]),
        float(costs.analytic_s[0]),
        float(costs.dynamic_pj[0]),
        float(costs.energy_pj[0]),
        round(float(costs.traffic_bytes[0])),
        round(float(costs.cycles[0])),
        round(float(costs.tiles[0])),
        round(float(costs.sram_bytes[0])),
    )
    return one, mapping_of(flow, problem, target, of, nest, 0)


def _few(cases: Sequence[Extents]) -> list[Case]:
    """At most so many cases that stand for all of them, each with a weight."""
    if len(cases) <= CASES:
        return [(1, e) for e in cases]
    by_size = sorted(cases, key=lambda e: (e.b * e.m * e.n * e.k, e.b, e.m, e.n))
    edges = [round(i * len(cases) / CASES) for i in range(CASES + 1)]
    groups = [by_size[low:high] for low, high in pairwise(edges)]
    return [(len(group), group[len(group) // 2]) for group in groups]
