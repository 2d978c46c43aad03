"""The mapping game: for one class of ops after the other, which engine and which dataflow it gets.

The first choice of each turn leaves ops as the machine describes them. Another one is a dataflow on
an engine, with tiles that take the least time or the fewest cycles of its array. It is legal where
the simulator places the workload with that one choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log2
from typing import Any

from archsim import api
from archsim.core.errors import ArchsimError, InputError
from archsim.dataflows.base import covers_attention, dataflows
from archsim.dse.bases import Base
from archsim.dse.point import Outcome, Task
from archsim.gym.judge import Judge
from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.tensor import Role
from archsim.system.place import Plan

ATTENTION = "attention"  # its ops are decided together
TILES = ("latency", "compute")  # what tile sizes may minimise
LARGEST = 32.0  # log2 of what counts as the largest extent of an op: 4 G
AXES = ("B", "M", "N", "K")
DESCRIBED = "as described"


@dataclass(frozen=True)
class Choice:
    """How ops are mapped: a dataflow on an engine, with tiles for an objective."""

    engine: str
    dataflow: str
    tiles: str

    def __str__(self) -> str:
        return f"{self.dataflow} on {self.engine}, tiles for {self.tiles}"


@dataclass
class MappingGame:
    """How classes of ops are mapped, one after the other.

    The reward is the judge's: how many times better the objectives are, as powers of two.

    Attributes:
        base: what the choices are laid over.
        judge: of the design that comes of them.
        turns: selectors of ops: `attention`, or the class of other products.
        choices: what may be chosen; the first of `words` stands before them.
        shapes: features of each turn.
    """

    base: Base
    judge: Judge
    turns: Sequence[str]
    choices: Sequence[Choice]
    shapes: Sequence[Sequence[float]]
    _tried: dict[tuple[str, str, str], bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Name choices."""
        self.words = [DESCRIBED, *map(str, self.choices)]
        self.features = len(self.shapes[0]) + 1

    def legal(self, chosen: Sequence[int]) -> list[bool]:
        """See `Game.legal`."""
        turn = self.turns[len(chosen)]
        return [True, *(self._placed(turn, choice) for choice in self.choices)]

    def instead(self, chosen: Sequence[int]) -> int:
        """See `Game.instead`: as described."""
        return 0

    def seen(self, chosen: Sequence[int]) -> list[float]:
        """See `Game.seen`: of the next ops, and the share of turns that is left.

        Of the ops: their share of all MACs and of all bytes of weights, whether they are an
        attention, and log2 of the largest extents B, M, N and K over LARGEST.
        """
        at = len(chosen)
        shape = self.shapes[at] if at < len(self.turns) else [0.0] * len(self.shapes[0])
        return [*shape, 1 - at / len(self.turns)]

    def settings(self, chosen: Sequence[int]) -> dict[str, Any]:
        """See `Game.settings`: rules before those of the machine."""
        made = [
            (turn, self.choices[i - 1]) for turn, i in zip(self.turns, chosen, strict=True) if i
        ]
        return self._rules(made)

    def reward(self, outcome: Outcome) -> float:
        """See `Game.reward`."""
        return self.judge.reward(outcome)

    def _rules(self, made: Sequence[tuple[str, Choice]]) -> dict[str, Any]:
        if not made:
            return {}
        rules = [{"ops": t, "dataflow": c.dataflow, "objective": c.tiles} for t, c in made]
        found: dict[str, Any] = {"mapping": [*rules, *self.base.hardware.get("mapping", [])]}
        if len({choice.engine for choice in self.choices}) > 1:
            sent = [{"ops": turn, "run_on": choice.engine} for turn, choice in made]
            found["dispatch"] = [*sent, *self.base.hardware.get("dispatch", [])]
        return found

    def _placed(self, turn: str, choice: Choice) -> bool:
        """Whether the simulator places the workload with one choice; tiles make no difference."""
        if covers_attention(choice.dataflow) != (turn == ATTENTION):
            return False
        key = (turn, choice.engine, choice.dataflow)
        if key not in self._tried:
            settings = self._rules([(turn, choice)])
            texts = Task({}, (), settings, "", 0, (), "").overrides
            try:
                plan = api.place_only(self.base.hardware, self.base.workloads[0], set_=texts)
                self._tried[key] = not any(name.endswith("[0]") for name in plan.unmatched)
            except ArchsimError:
                self._tried[key] = False
        return self._tried[key]


def mapping_game(base: Base, plan: Plan, judge: Judge) -> MappingGame:
    """The game of a run, from its plan as the machine describes it.

    Raises:
        InputError: E201 where no op is mapped.
    """
    engines = [engine.name for engine in plan.machine.mac_engines]
    choices = [
        Choice(engine, dataflow, tiles)
        for engine in engines for dataflow in dataflows.names() for tiles in TILES
    ]  # fmt: skip
    turns: dict[str, list[tuple[int, Op]]] = {}
    for block, op in plan.graph.ops():
        if op.is_mac:
            turn = ATTENTION if op.queries else op.op_class
            turns.setdefault(turn, []).append((block.count, op))
    if not turns:
        raise InputError(
            f"no mapping game of {plan.graph.name}: none of its ops are products",
            code="E201", help="a workload of matrix products, such as llama-3-8b-decode",
        )  # fmt: skip
    shapes = [_shape(plan.graph, turn, ops) for turn, ops in turns.items()]
    return MappingGame(base, judge, list(turns), choices, shapes)


def _shape(graph: OpGraph, turn: str, ops: Sequence[tuple[int, Op]]) -> list[float]:
    """Features of a turn, in [0, 1]."""
    macs = sum(count * op.macs() for count, op in ops)
    weights = sum(
        count * graph.touched_bytes(access)
        for count, op in ops for access in op.reads
        if graph.tensors[access.tensor].role is Role.WEIGHT
    )  # fmt: skip
    largest = [max(op.ranks.get(axis, 1) for _, op in ops) for axis in AXES]
    return [
        macs / max(1, graph.macs()),
        weights / max(1, graph.read_bytes(Role.WEIGHT)),
        float(turn == ATTENTION),
        *(log2(max(1, extent)) / LARGEST for extent in largest),
    ]
