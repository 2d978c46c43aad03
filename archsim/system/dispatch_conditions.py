"""Whether a dispatch rule is for an op: do its conditions hold, do its words insist on it?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches

from archsim.components.base import Engine
from archsim.core.errors import InputError
from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.system.build import FAMILIES, Machine
from archsim.system.dispatch_rule import AUTO, DispatchRule
from archsim.system.dispatch_work import Work

NEARLY = 0.8
"""Likeness of words from which one is the other misspelt; that of two classes is less."""


def conditions(
    rule: DispatchRule, phase: str, step: str, work: Callable[[], Work]
) -> tuple[list[str], str]:
    """The conditions of a rule that hold, as text, and the first that does not; else empty.

    Args:
        rule: whose words cover the op.
        phase: of the op's tokens.
        step: phase of the whole workload.
        work: what the op and those that belong with it ask; wanted where there are limits.
    """
    holds: list[str] = []
    for name, wanted, value in (("phase", rule.phase, phase), ("step", rule.step, step)):
        if wanted and value not in wanted:
            return holds, f"{name} {value or 'unknown'} is not {' or '.join(wanted)}"
        holds += [f"{name} {value}"] if wanted else []
    if not rule.limits:
        return holds, ""
    asked = work()
    for name, least, most, is_it in (
        ("Op/B", rule.min_intensity, rule.max_intensity, asked.intensity),
        ("rows", rule.min_rows, rule.max_rows, asked.rows),
    ):
        if least is not None and is_it < least:
            return holds, f"{name} {is_it:.4g} < {least:g}"
        if most is not None and is_it > most:
            return holds, f"{name} {is_it:.4g} > {most:g}"
        if least is not None or most is not None:
            below = f"{least:g} <= " if least is not None else ""
            above = f" <= {most:g}" if most is not None else ""
            holds.append(f"{below}{name} {is_it:.4g}{above}")
    return holds, ""


def insists(
    graph: OpGraph, rule: DispatchRule, path: str, op: Op, engines: Sequence[Engine]
) -> bool:
    """Whether a rule names an op, so that one of its engines must run it.

    A glob covers what they can run. So does a family of classes, unless they run none of its ops.
    """
    words = [rule.ops] if isinstance(rule.ops, str) else rule.ops
    return any(_names(graph, word, path, op, engines) for word in words)


def _names(graph: OpGraph, word: str, path: str, op: Op, engines: Sequence[Engine]) -> bool:
    """True for a word of a selector that covers an op and means it."""
    if any(mark in word for mark in "*?["):
        return False
    if op.op_class in FAMILIES.get(word, ()):
        return not any(
            engine.can_run(one)
            for _, one in graph.ops() if one.op_class in FAMILIES[word]
            for engine in engines
        )  # fmt: skip
    return word in (op.op_class, path)


def spelt(rules: Sequence[DispatchRule], graph: OpGraph) -> None:
    """Refuse a word that is no class of a graph's ops, and nearly one.

    What is not near any may be of other models; that it covers nothing is told.

    Raises:
        InputError: E201.
    """
    known = sorted({op.op_class for _, op in graph.ops()}.union(FAMILIES))
    for i, rule in enumerate(rules):
        words = [rule.ops] if isinstance(rule.ops, str) else rule.ops
        for j, word in enumerate(words):
            near = get_close_matches(word, known, 1, NEARLY)
            if near and near[0] != word and not any(mark in word for mark in "*?[/@"):
                raise InputError(
                    f'dispatch[{i}] names "{word}", and {graph.name} has no such class of ops',
                    code="E201",
                    help=f'did you mean "{near[0]}"?',
                    details={"path": f"dispatch[{i}].ops" + f"[{j}]" * (words is rule.ops)},
                )


def refusal(
    machine: Machine, number: int, path: str, op: Op, engines: Sequence[Engine]
) -> InputError:
    """The refusal of a rule that sends an op to engines of which none runs it."""
    rule, names = machine.spec.dispatch[number], ", ".join(engine.name for engine in engines)
    if rule.run_on == AUTO:
        message = f"dispatch[{number}] chooses among {names} for {path}, "
        message += f"and none of them runs this {op.kind} op"
        where = "among" if rule.among else "run_on"
    else:
        message = f"dispatch[{number}] sends {path} to {names}, "
        message += f"but a {engines[0].kind} cannot run a {op.kind} op"
        where = "run_on"
    kinds = ", ".join(sorted({kind for engine in engines for kind in engine.KINDS}))
    able = [name for name, engine in sorted(machine.engines.items()) if engine.can_run(op)]
    who = f"; {op.kind} ops run on {', '.join(able)}" if able else ""
    it = "they run" if len(engines) > 1 else "it runs"
    details = {"path": f"dispatch[{number}].{where}"}
    return InputError(message, code="E201", help=f"{it}: {kinds}{who}", details=details)
