"""Command sets of processing in memory as data: one YAML a set in `command_sets/`.

Here live the form of such a file, and which set a DRAM standard takes. What a file may not
contradict is in `_set_check`, how it becomes the integers of an inner loop in `program`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from archsim.core.errors import InputError, nearest
from archsim.core.spec import PositiveInt, Spec
from archsim.core.yamlio import load_spec
from archsim.memory.pim.product_form import ProductForm
from archsim.memory.pim.set_form import Command, InstructionForm, Priced, Queue, Roles, Spacing
from archsim.memory.standard import Standard, load_standard, standard_names, sum_of

FOLDER = Path(__file__).parent / "command_sets"


class CommandSet(Spec):
    """One file in `command_sets`."""

    schema_: Literal["archsim.pim-command-set/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str
    """Name of the set."""

    channels: PositiveInt
    """Channels of a stack, or pseudo channels where it has some: those that one decoder feeds."""

    mask_bit_0_is_last: bool = False
    """Whether bit 0 of a mask is the last channel rather than the first."""

    queue: Queue | None = None
    """Queues of a channel behind one decoder. Default: each channel takes commands in order."""

    timings: dict[str, int] = {}
    """Timings beside those of the standard, or in their place."""

    roles: Roles | None = None
    """Commands that the scheduler issues by itself; a set with queues names them. Default: those
    of the standard, and what a command says of itself."""

    enter: int | str = 0
    """Ticks that change the mode from ordinary accesses to computing, rows closed before."""

    leave: int | str = 0
    """Ticks that change it back, rows closed before."""

    extra: tuple[str, ...] = ()
    """Commands that the device has and no instruction issues; they are counted as none."""

    commands: dict[str, Command]
    """Commands by name."""

    instructions: dict[str, InstructionForm]
    """Instructions by name."""

    registers: PositiveInt = 1
    """Configuration registers."""

    rules: dict[str, tuple[Spacing, ...]] = {}
    """Minimum distances, in groups under whose names a report counts the ticks they cost; without
    roles those of the standard hold, and these beside them."""

    product: ProductForm | None = None
    """How it computes products. Default: only traces can say what is done."""

    energies: dict[str, Priced] = {}
    """Energy of a command, where a source gives one."""

    source: dict[str, str]
    """Where instructions, commands, rules and energies come from."""

    def ticks_of(self, amount: int | str, standard: Standard) -> int:
        """Ticks of a number or of a sum of timings, with those of a standard."""
        if isinstance(amount, int):
            return amount
        assert standard.device is not None
        timings = {**standard.device.timings, **self.timings}
        return sum(s * (int(n) if n.isdecimal() else timings[n]) for s, n in sum_of(amount))

    @property
    def by_standard(self) -> bool:
        """Whether the rules of its standard hold: its commands are that standard's, and more."""
        return self.roles is None

    def mask_of(self, channel: int) -> int:
        """The mask that names one channel."""
        return 1 << (self.channels - 1 - channel if self.mask_bit_0_is_last else channel)

    def sums(self) -> Iterator[tuple[tuple[str | int, ...], int | str]]:
        """Every amount of ticks and its place in the file."""
        for name, command in self.commands.items():
            yield ("commands", name, "in_flight"), command.in_flight
        yield ("enter",), self.enter
        yield ("leave",), self.leave
        for group, rules in self.rules.items():
            for i, rule in enumerate(rules):
                yield ("rules", group, i, "ticks"), rule.ticks


def set_names() -> tuple[str, ...]:
    """Names of the command sets that ship."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


@cache
def load_set(name: str) -> CommandSet:
    """The set of a name, or of a file whose name ends in `.yaml`.

    Raises:
        InputError: every mistake of its file, at its place.
    """
    path = Path(name) if name.endswith(".yaml") else FOLDER / f"{name}.yaml"
    found, document = load_spec(path, CommandSet)
    from archsim.memory.pim._set_check import mistakes

    wrong = list(mistakes(found, document))
    if wrong:
        raise InputError.of(wrong)
    return found


def set_of(standard: Standard, name: str | None = None) -> CommandSet:
    """The command set of a standard: one of whose commands and timings it lacks none.

    Args:
        standard: The memory.
        name: Name of a set, or of its file. Default: the first that fits, by name.

    Raises:
        InputError: E108 for an unknown name; E202 when no set fits, with the standards that one
            does.
    """
    if name is not None and not name.endswith(".yaml") and name not in set_names():
        close = nearest(name, set_names())
        raise InputError(
            f'command set "{name}" is not one of {", ".join(set_names())}', code="E108",
            help=f'did you mean "{close}"?' if close else None,
        )  # fmt: skip
    sets = [load_set(n) for n in (set_names() if name is None else (name,))]
    for found in sets:
        if fits(found, standard):
            return found
    fit = sorted({n for found in sets for n in fitting(found)})
    taken = ", ".join(n for n in set_names() if name is not None and fits(load_set(n), standard))
    wanted = "command set of processing in memory" if name is None else f"commands of {name}"
    raise InputError(
        f"{standard.name} takes no {wanted}",
        code="E202",
        help=f"standards that do: {', '.join(fit)}" + (f"; it takes {taken}" if taken else ""),
    )


def fitting(found: CommandSet) -> tuple[str, ...]:
    """Names of the standards that take a set."""
    return tuple(name for name in standard_names() if fits(found, load_standard(name)))


def fits(found: CommandSet, standard: Standard) -> bool:
    """Whether a standard has the commands, timings and channels of a set."""
    device = standard.device
    if device is None or device.pim is None:
        return False
    plain = set(device.commands)
    if found.roles is not None:
        plain |= {str(word) for word in found.roles.to_data().values()} - {found.roles.open_all}
        plain -= set(device.pim.commands)
    own = set(found.commands) - plain
    timings = {**device.timings, **found.timings}
    known = all(
        isinstance(amount, int) or all(n.isdecimal() or n in timings for _, n in sum_of(amount))
        for _, amount in found.sums()
    )
    units = standard.channels * device.counts.get("pseudo_channel", 1)
    return known and own <= set(device.pim.commands) and units == found.channels
