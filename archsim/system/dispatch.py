"""The dispatcher of a graph: which engine each op runs on, by which rule, and why.

The first rule wins that covers the op, whose conditions hold and that finds an engine. Ops that
belong together share their conditions' values and one choice of `auto`. Decisions are made when
they are asked for, once each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from archsim.components._pim import PimEngine
from archsim.components.base import Engine
from archsim.core.errors import LawViolation, Unmappable, Unsupported
from archsim.core.units import format_si
from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.system.build import Machine, selects
from archsim.system.dispatch_conditions import conditions, insists, refusal, spelt
from archsim.system.dispatch_default import by_default, deals
from archsim.system.dispatch_estimate import Estimate, can_take, estimate
from archsim.system.dispatch_rule import AUTO, DispatchRule
from archsim.system.dispatch_work import Work, groups_of, work_of

if TYPE_CHECKING:
    from archsim.ir.graph import Block

SIGNS = {"latency": "s", "energy": "J", "edp": "Js"}
TO_BASE = {"latency": 1e-12, "energy": 1e-12, "edp": 1e-24}  # of ps, pJ and their product


@dataclass(frozen=True, slots=True)
class Decision:
    """Where an op runs.

    Attributes:
        engine: name in the machine.
        rule: number of the dispatch rule; None where none speaks for the op.
        why: the rule's conditions with the op's values, or what `auto` weighed.
        passed: of each earlier rule that covers the op, why it was not that one.
    """

    engine: str
    rule: int | None
    why: str
    passed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Ops that belong together, with the block that they are of."""

    block: str
    ops: tuple[Op, ...]
    work: Work


class Dispatcher:
    """Decisions for the ops of one graph on one machine."""

    def __init__(self, machine: Machine, graph: OpGraph) -> None:
        self.machine = machine
        self.graph = graph
        self.step = dict(graph.facts.get("phase") or {}).get("kind", "")
        self._made: dict[tuple[str, str], Decision] = {}
        self._chosen: dict[tuple[object, ...], tuple[str, str]] = {}  # by rule and ops

    def of(self, path: str, op: Op) -> Decision:
        """The decision for an op.

        Raises:
            InputError: E201 where a rule names the op and sends it where it cannot run.
            Unsupported: E302 where no engine can.
        """
        key = (path, op.op_class)
        if key not in self._made:
            self._made[key] = self._decide(path, op)
        return self._made[key]

    def made(self, path: str, op: Op) -> Decision | None:
        """The decision for an op, where somebody has asked for it."""
        return self._made.get((path, op.op_class))

    def _decide(self, path: str, op: Op) -> Decision:
        if op.split_for:
            return self._part(path, op)
        passed: list[str] = []
        for i, rule in enumerate(self.machine.spec.dispatch):
            if not selects(rule.ops, path, op.op_class):
                continue
            holds, unmet = self.conditions(rule, path, op)
            if unmet:
                passed.append(f"dispatch[{i}]: {unmet}")
                continue
            found = self._engine(i, rule, path, op)
            if found is None:
                passed.append(f"dispatch[{i}]: {_no_engine(rule, op)}")
                continue
            engine, how = found
            why = ", ".join(filter(None, (*holds, how))) or f"covers {_words(rule)}"
            return Decision(engine, i, why, tuple(passed))
        found = by_default(self, path, op)
        if found is not None:
            return Decision(found[0], None, found[1], tuple(passed))
        raise Unsupported(
            f"no engine of {self.machine.spec.name} runs {op.kind} ops, and {path} is one",
            code="E302",
            help="add an engine of a kind that does: see `archsim list components`",
        )

    def split_rule(self, path: str, op: Op) -> int | None:
        """Number of the rule that splits a whole op; None where another one speaks for it first."""
        for i, rule in enumerate(self.machine.spec.dispatch):
            if not selects(rule.ops, path, op.op_class) or self.conditions(rule, path, op)[1]:
                continue
            if rule.split is not None and deals(rule.split, op):
                return i
            if self._engine(i, rule, path, op) is not None:
                return None
        return None

    def _part(self, path: str, op: Op) -> Decision:
        """Where a part of an op runs that a rule split."""
        for i, rule in enumerate(self.machine.spec.dispatch):
            split = rule.split
            mine = split and op.split_for in split.over and deals(split, op)
            if split and mine and selects(rule.ops, path, op.op_class) and self._now(rule, op):
                some = f"{len(op.picks.items)} of the " if op.picks else ""
                why = f"{some}{split.by} split over {' and '.join(split.over)}"
                return Decision(op.split_for, i, why)
        raise LawViolation(f"{path} is a part for {op.split_for}, and no rule splits it")

    def _now(self, rule: DispatchRule, op: Op) -> bool:
        """Whether a rule is for the phase and the step, whatever limits the whole op has met."""
        phases = not rule.phase or op.phase in rule.phase
        return phases and (not rule.step or (self.step or op.phase) in rule.step)

    def conditions(self, rule: DispatchRule, path: str, op: Op) -> tuple[list[str], str]:
        """The conditions that hold, as text, and the first that does not."""
        step = self.step or op.phase
        return conditions(rule, op.phase, step, lambda: self.work(path, op))

    def work(self, path: str, op: Op) -> Work:
        """What an op and those that belong with it ask."""
        return self.group(path, op).work

    def _engine(self, number: int, rule: DispatchRule, path: str, op: Op) -> tuple[str, str] | None:
        """The engine that a rule whose conditions hold has for an op, and how it was found."""
        if rule.split is not None:
            return None
        if rule.run_on == AUTO:
            return self.auto(number, rule, path, op)
        assert rule.run_on is not None
        engine = self.machine.engines[rule.run_on]
        if self.takes(engine.name, op):
            return engine.name, ""
        named = insists(self.graph, rule, path, op, (engine,))
        if engine.can_run(op) and (named or not isinstance(engine, PimEngine)):
            return engine.name, ""  # it is refused where its operands are looked at
        if named:
            raise refusal(self.machine, number, path, op, (engine,))
        return None

    def auto(self, number: int, rule: DispatchRule, path: str, op: Op) -> tuple[str, str] | None:
        """The engine that `auto` chooses for an op: for all products of its group together."""
        names = rule.among or tuple(sorted(self.machine.engines))
        if not any(self.takes(name, op) for name in names):
            engines = [self.machine.engines[name] for name in names]
            if insists(self.graph, rule, path, op, engines):
                raise refusal(self.machine, number, path, op, engines)
            return None
        group = self.group(path, op)
        ops = tuple(
            one for one in group.ops
            if one.is_mac and selects(rule.ops, f"{group.block}/{one.name}", one.op_class)
        )  # fmt: skip
        if not op.is_mac or not any(all(self.takes(n, one) for one in ops) for n in names):
            ops = (op,)
        key = (number, group.block, *(one.name for one in ops))
        if key not in self._chosen:
            self._chosen[key] = self._best(rule.prefer, ops, names)
        return self._chosen[key]

    def _best(self, prefer: str, ops: Sequence[Op], names: Sequence[str]) -> tuple[str, str]:
        """The least costly of some engines that take all of some ops; ties to the first by name."""
        able = [name for name in sorted(names) if all(self.takes(name, op) for op in ops)]
        if len(able) < 2:
            return able[0], f"auto: only {able[0]} of {', '.join(names)} runs it"
        found: dict[str, Estimate] = {}
        for name in able:
            with suppress(Unmappable):  # a layout that does not fit the banks
                found[name] = self.estimate(self.machine.engines[name], ops)
        order = sorted(found, key=lambda name: (found[name].cost(prefer), name))
        if not found:
            return able[0], f"auto: no layout of it fits {' or '.join(able)}"
        said = ", ".join(f"{name} {_amount(found[name], prefer)}" for name in order)
        with_it = f" for {', '.join(op.name for op in ops)} together" if len(ops) > 1 else ""
        return order[0], f"auto: {said}{with_it}"

    def estimate(self, engine: Engine, ops: Sequence[Op]) -> Estimate:
        """What some ops would take on an engine of the machine."""
        return estimate(self.machine, self.graph, engine, ops)

    def takes(self, name: str, op: Op) -> bool:
        """Whether an engine by name runs an op."""
        return can_take(self.machine, self.graph, self.machine.engines[name], op)

    def group(self, path: str, op: Op) -> Group:
        """The group of an op; of one that the graph does not have, itself."""
        if path in self._groups:
            return self._groups[path]
        return Group(path.partition("/")[0], (op,), work_of(self.graph, (op,)))

    @cached_property
    def _groups(self) -> dict[str, Group]:
        """Groups by the paths of their ops."""
        return {
            f"{block.name}/{op.name}": group
            for block in self.graph.blocks
            for group in self._groups_of(block)
            for op in group.ops
        }

    def _groups_of(self, block: Block) -> Iterator[Group]:
        for ops in groups_of(block):
            yield Group(block.name, ops, work_of(self.graph, ops))


def dispatched(machine: Machine, graph: OpGraph) -> Machine:
    """The machine with the decisions for a graph; itself where it has them.

    Raises:
        InputError: E201 for a rule whose word is none of the graph's classes, and nearly one.
    """
    if machine.dispatcher is not None and machine.dispatcher.graph is graph:
        return machine
    spelt(machine.spec.dispatch, graph)
    return replace(machine, dispatcher=Dispatcher(replace(machine, dispatcher=None), graph))


def _amount(found: Estimate, prefer: str) -> str:
    return format_si(found.cost(prefer) * TO_BASE[prefer], SIGNS[prefer])


def _words(rule: DispatchRule) -> str:
    return rule.ops if isinstance(rule.ops, str) else ", ".join(rule.ops)


def _no_engine(rule: DispatchRule, op: Op) -> str:
    if rule.split is not None:
        return "nothing of it to split"
    who = "none of its engines" if rule.run_on == AUTO else f"{rule.run_on}"
    return f"{who} {'runs' if rule.run_on == AUTO else 'does not run'} {op.kind} ops"
