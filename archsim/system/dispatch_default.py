"""Where an op runs that no dispatch rule sends anywhere.

A product that a rule deals, and that cannot be dealt, stays whole on the faster of the engines that
it names. Otherwise inside a memory, and beside it, runs what rules send there; a softmax of scores
that are made inside goes beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.components._pim import PimEngine
from archsim.components.base import Engine
from archsim.components.pim_companion import PimCompanion
from archsim.ir.op import Op
from archsim.system.build import selects
from archsim.system.dispatch_rule import SplitRule

if TYPE_CHECKING:
    from archsim.system.dispatch import Dispatcher


def by_default(dispatcher: Dispatcher, path: str, op: Op) -> tuple[str, str] | None:
    """The engine of an op without a rule, by name, and why that one; None where none runs it."""
    whole = _undealt(dispatcher, path, op)
    if whole is not None:
        return whole
    units = dispatcher.machine.engines
    inside = op.op_class == "softmax" and _inside(dispatcher, path, op)
    able = [name for name in sorted(units) if units[name].can_run(op)]
    able = sorted(able, key=lambda name: _reluctance(units[name], inside))
    if not able:
        return None
    first = next((name for name in able if dispatcher.takes(name, op)), able[0])
    if inside and isinstance(units[first], PimCompanion):
        return first, "no rule; beside the memory that its scores are made in"
    return first, f"no rule; the first by name that runs {op.kind} ops"


def _undealt(dispatcher: Dispatcher, path: str, op: Op) -> tuple[str, str] | None:
    """The faster engine of a rule that deals such products and could not deal this one."""
    if not op.is_mac:
        return None
    for i, rule in enumerate(dispatcher.machine.spec.dispatch):
        if rule.split is None or not deals(rule.split, op):
            continue
        if not selects(rule.ops, path, op.op_class) or dispatcher.conditions(rule, path, op)[1]:
            continue
        able = tuple(name for name in rule.split.over if dispatcher.takes(name, op))
        if able:
            found = dispatcher.auto(i, rule.model_copy(update={"among": able}), path, op)
            return (found[0], f"whole, nothing of it to split; {found[1]}") if found else None
    return None


def _inside(dispatcher: Dispatcher, path: str, op: Op) -> bool:
    """Whether a product that belongs with an op is computed inside a memory."""
    group = dispatcher.group(path, op)
    paths = ((f"{group.block}/{one.name}", one) for one in group.ops if one.is_mac)
    engines = (dispatcher.machine.engines[dispatcher.of(*one).engine] for one in paths)
    return any(isinstance(engine, PimEngine) for engine in engines)


def _reluctance(engine: Engine, inside: bool) -> int:
    """Who takes an op that no rule sends: the least; equals by name."""
    if isinstance(engine, PimCompanion):
        return 0 if inside else 2
    return 3 if isinstance(engine, PimEngine) else 1


def deals(split: SplitRule, op: Op) -> bool:
    """Whether a rule deals what an op has: experts, or heads and sequences of an attention."""
    if split.by == "columns":
        return op.picks is None and not op.queries
    return (split.by == "experts") is (op.picks is not None)
