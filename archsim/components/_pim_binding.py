"""Which command set an engine inside a memory takes, and why another one is refused."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from math import prod
from typing import TYPE_CHECKING

from archsim.core.errors import InputError, nearest

if TYPE_CHECKING:
    from archsim.components._pim import PimEngine
    from archsim.memory.base import Memory
    from archsim.memory.pim.command_set import CommandSet
    from archsim.memory.pim.product_form import ProductForm
    from archsim.memory.standard import Standard

OUTER = ("channel", "pseudo_channel")
"""Levels whose nodes work on their own."""

ROW = {"close": ("nRP", "tRP", "RP"), "open": ("nRCDRD", "tRCDRD", "RCDRD", "nRCD", "RCD")}
"""Timings that say what closing and opening a row take, as sources name them."""

MODE_CHANGE = "mode_change"
"""Group of a set's rules that says what a change of mode takes."""


def found(engine: PimEngine, memory: Memory) -> tuple[Standard, CommandSet, ProductForm]:
    """The standard of a memory, the engine's command set, and its form of a product.

    Raises:
        InputError: E202 where the memory has no banks or takes no such set, E108 where there is no
            set of a name.
    """
    from archsim.memory.pim.command_set import fits, load_set, set_names

    name = engine.spec.commands
    if name is not None and name not in set_names():
        close = nearest(name, set_names())
        raise InputError(
            f'command set "{name}" is not one of {", ".join(set_names())}',
            code="E108",
            help=f'did you mean "{close}"?' if close else None,
            details={"path": f"engines.{engine.name}.commands"},
        )
    sets = set_names() if name is None else (name,)
    standard: Standard | None = getattr(memory, "standard", None)
    for one in sets:
        if standard is None:
            break
        chosen = load_set(one)
        if _drives(chosen, engine) and fits(chosen, standard):
            assert chosen.product is not None
            _shares(engine, memory, standard, chosen.product)
            return standard, chosen, chosen.product
    raise _refused(engine, memory, sets)


def _drives(commands: CommandSet, engine: PimEngine) -> bool:
    """Whether a set computes products on units such as the engine has."""
    return commands.product is not None and commands.product.unit in engine.UNITS


def _refused(engine: PimEngine, memory: Memory, sets: Iterable[str]) -> InputError:
    """Why none of some sets is for an engine in a memory, and where one would be."""
    from archsim.memory.pim.command_set import fitting, load_set, set_names

    kind, name = type(engine).kind, engine.spec.commands
    able = [one for one in sets if _drives(load_set(one), engine)]
    if not able:
        known = [one for one in set_names() if _drives(load_set(one), engine)]
        return InputError(
            f"engines.{engine.name} is a {kind}, and command set {name} is for none",
            code="E202",
            help=f"command sets that are: {', '.join(known)}",
            details={"path": f"engines.{engine.name}.commands"},
        )
    standard = getattr(memory, "standard", None)
    if not memory.off_chip:
        why = "which is on chip: it has no banks of a dram"
        do = "a dram with one of the standards"
    elif standard is None:
        why = "which is flat: it has no banks"
        do = "in place of bandwidth, standard"
    else:
        whose = f"a {kind}" if name is None else name
        why = f"whose standard {standard.name} takes no commands of {whose}"
        do = "standards that do"
    fit = sorted({standard for one in able for standard in fitting(load_set(one))})
    return InputError(
        f"engines.{engine.name} is inside {memory.name}, {why}",
        code="E202",
        help=f"{do}: {', '.join(fit)}",
    )


def _shares(engine: PimEngine, memory: Memory, standard: Standard, form: ProductForm) -> None:
    """Refuse bundles of its own for an engine whose commands take every bank."""
    assert standard.device is not None
    inner = [n for level, n in standard.device.counts.items() if level not in OUTER]
    if engine.spec.sharing == "bundle" and form.banks_at_once >= prod(inner):
        raise InputError(
            f"engines.{engine.name} works in all {prod(inner)} banks of {memory.name} at once, so "
            "that none is left to ordinary accesses",
            code="E202",
            help="sharing: mode_switch",
            details={"path": f"engines.{engine.name}.sharing"},
        )


@cache
def holding(name: str, results: int) -> CommandSet:
    """The set of a name, whose units hold so many reductions at once."""
    from archsim.memory.pim.command_set import load_set

    commands = load_set(name)
    assert commands.product is not None
    form = commands.product.model_copy(update={"results_per_unit": results})
    return commands.model_copy(update={"product": form})


def switch_ticks(standard: Standard, commands: CommandSet) -> int:
    """Ticks to change over, either way: half of both ways, or a change of mode where that is all.

    Where the set has neither, a row is closed and another opened.
    """
    both = commands.ticks_of(commands.enter, standard) + commands.ticks_of(commands.leave, standard)
    if both:
        return -(-both // 2)
    rules = commands.rules.get(MODE_CHANGE, ())
    if rules:
        return max(commands.ticks_of(rule.ticks, standard) for rule in rules)
    assert standard.device is not None
    timings = standard.device.timings
    found = {word: next(timings[n] for n in names if n in timings) for word, names in ROW.items()}
    return found["close"] + found["open"]
