"""Dispatch and mapping rules: the first that matches an op says where it runs and how it is mapped.

A rule that matched something is noted in `used`; those that never did are warned of.
"""

from __future__ import annotations

from collections.abc import Sequence

from archsim.components.base import Engine
from archsim.core.errors import InputError, Unsupported
from archsim.ir.op import Op
from archsim.system.build import Machine, selects
from archsim.system.network_port import port_of


def engine_of(machine: Machine, path: str, op: Op, used: set[str]) -> Engine:
    """The engine that an op runs on: that of the first dispatch rule, or the first that can.

    Raises:
        InputError: E201 where a rule names the op and sends it to an engine that cannot run it.
        Unsupported: E302 where no engine can.
    """
    if port := port_of(machine, path, op):
        return port
    for i, rule in enumerate(machine.spec.dispatch):
        if selects(rule.ops, path, op.op_class):
            engine = machine.engines[rule.run_on]
            if engine.can_run(op):
                used.add(f"dispatch[{i}]")
                return engine
            if not _wild(rule.ops):
                raise InputError(
                    f"dispatch[{i}] sends {path} to {rule.run_on}, "
                    f"but a {engine.kind} cannot run a {op.kind} op",
                    code="E201",
                    help=f"it runs: {', '.join(sorted(engine.KINDS))}",
                )
    for _, engine in sorted(machine.engines.items()):
        if engine.can_run(op):
            return engine
    raise Unsupported(
        f"no engine of {machine.spec.name} runs {op.kind} ops, and {path} is one",
        code="E302",
        help="add an engine of a kind that does: see `archsim list components`",
    )


def rule_option(machine: Machine, path: str, op: Op, option: str, used: set[str]) -> str | None:
    """The value of a mapping option for an op: that of the first matching rule that gives it."""
    number = rule_of(machine, path, op, option, used)
    return None if number is None else str(getattr(machine.spec.mapping[number], option))


def rule_of(machine: Machine, path: str, op: Op, option: str, used: set[str]) -> int | None:
    """Number of the first mapping rule that matches an op and gives an option."""
    for i, rule in enumerate(machine.spec.mapping):
        if not selects(rule.ops, path, op.op_class):
            continue
        if rule.on is not None and engine_of(machine, path, op, set()).name != rule.on:
            continue
        used.add(f"mapping[{i}]")
        if getattr(rule, option) is not None:
            return i
    return None


def _wild(ops: str | Sequence[str]) -> bool:
    """True for a selector that names no op in particular: it sends what its engine can run."""
    words = [ops] if isinstance(ops, str) else ops
    return any(mark in word for word in words for mark in "*?[")
