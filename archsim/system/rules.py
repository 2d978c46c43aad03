"""Dispatch and mapping rules: the first that matches an op says where it runs and how it is mapped.

A rule that matched something is noted in `used`; those that never did are warned of. How a dispatch
rule is weighed is in `system.dispatch`.
"""

from __future__ import annotations

from archsim.components.base import Engine
from archsim.ir.op import Op
from archsim.system.build import Machine, selects
from archsim.system.network_port import port_of


def engine_of(machine: Machine, path: str, op: Op, used: set[str]) -> Engine:
    """The engine that an op of the machine's graph runs on, as its dispatcher decides.

    Raises:
        InputError: E201 where a rule names the op and sends it to an engine that cannot run it.
        Unsupported: E302 where no engine can.
    """
    if port := port_of(machine, path, op):
        return port
    assert machine.dispatcher is not None, "a machine is given its graph before it is placed"
    decision = machine.dispatcher.of(path, op)
    if decision.rule is not None:
        used.add(f"dispatch[{decision.rule}]")
    return machine.engines[decision.engine]


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
