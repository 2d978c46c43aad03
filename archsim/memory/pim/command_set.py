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

from archsim.core.errors import InputError
from archsim.core.spec import Joules, PositiveInt, Spec
from archsim.core.yamlio import load_spec
from archsim.memory.pim.product_form import ProductForm
from archsim.memory.standard import Standard, load_standard, standard_names, sum_of

FOLDER = Path(__file__).parent / "command_sets"
Word = Literal["opsize", "gpr", "mask", "bank", "row"]
NodeLevel = Literal["channel", "bank_group", "bank"]


class Spacing(Spec):
    """After a command at a node of a level, others are illegal there for a time."""

    level: NodeLevel
    """Level at whose node it holds; commands of scope channel meet only that level."""

    previous: tuple[str, ...]
    """Commands that start the time, each on its own."""

    next: tuple[str, ...]
    """Commands that must wait."""

    ticks: int | str
    """Ticks to wait: a number, or a sum of timings and numbers."""


class Command(Spec):
    """One command on the bus of a channel."""

    scope: Literal["channel", "bank"]
    """Whether it goes to one bank or to all of the channel."""

    row: bool = False
    """Whether it needs its row open: in its bank, or in all of them."""

    mode: Literal["array", "register"] = "array"
    """Mode in which the channel must be."""

    in_flight: int | str = 1
    """Ticks from its issue until it is done: a number, or a sum of timings."""

    returns: bool = False
    """Whether data comes back, in order."""

    closes: bool = False
    """Whether it closes all banks of its channel itself."""

    macs: int = Field(default=0, ge=0)
    """Multiply-accumulates of one, over all banks that it goes to."""


class PrivateRow(Spec):
    """A row that no bank has, for an instruction that names none."""

    first: int
    """Its number while the register is 0."""

    register_: int = Field(alias="register")
    """Configuration register that is added."""


class InstructionForm(Spec):
    """One instruction of a trace."""

    fields: tuple[Word, ...]
    """What a line gives, in order."""

    command: str | None = None
    """Command that each of its requests ends with; none: it costs one tick of the decoder."""

    blocks: bool = False
    """Whether the decoder waits until all its requests have returned."""

    one_channel: bool = False
    """Whether its mask must name one channel."""

    private_row: PrivateRow | None = None
    """Row of an instruction that needs one and names none."""

    barrier: bool = False
    """Goes to every channel and returns when all that was before it is done."""

    ends: bool = False
    """Ends the trace."""


class Queue(Spec):
    """What waits in a channel."""

    requests: PositiveInt
    """Requests of each queue: commands, reads, writes."""

    writes_above: float
    """Queued writes above which writes go first."""

    writes_below: float
    """Queued writes below which reads go first again."""


class Roles(Spec):
    """Which commands open and close rows, change the mode, refresh, and are plain accesses."""

    open_bank: str
    """Opens a row of one bank."""

    open_all: str
    """Opens a row of all banks."""

    close_bank: str
    """Closes one bank."""

    close_all: str
    """Closes all banks."""

    change_mode: str
    """Changes the mode, in place of a command that needs the other."""

    refresh: str
    """Refreshes all banks, which must be closed."""

    read: str
    """A plain read."""

    write: str
    """A plain write."""


class Priced(Spec):
    """Energy of one command."""

    value: Joules
    """Energy."""

    source: str
    """Where it comes from."""


class CommandSet(Spec):
    """One file in `command_sets`."""

    schema_: Literal["archsim.pim-command-set/1"] = Field(alias="schema")
    """Version of this file's form."""

    name: str
    """Name of the set."""

    channels: PositiveInt
    """Channels that one decoder feeds."""

    mask_bit_0_is_last: bool = False
    """Whether bit 0 of a mask is the last channel rather than the first."""

    queue: Queue
    """Queues of a channel."""

    timings: dict[str, int] = {}
    """Timings beside those of the standard, or in their place."""

    roles: Roles
    """Commands that the scheduler issues by itself."""

    extra: tuple[str, ...] = ()
    """Commands that the device has and no instruction issues; they are counted as none."""

    commands: dict[str, Command]
    """Commands by name."""

    instructions: dict[str, InstructionForm]
    """Instructions by name."""

    registers: PositiveInt
    """Configuration registers."""

    rules: dict[str, tuple[Spacing, ...]]
    """Minimum distances, in groups under whose names a report counts the ticks they cost."""

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

    def mask_of(self, channel: int) -> int:
        """The mask that names one channel."""
        return 1 << (self.channels - 1 - channel if self.mask_bit_0_is_last else channel)

    def sums(self) -> Iterator[tuple[tuple[str | int, ...], int | str]]:
        """Every amount of ticks and its place in the file."""
        for name, command in self.commands.items():
            yield ("commands", name, "in_flight"), command.in_flight
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


def set_of(standard: Standard) -> CommandSet:
    """The command set of a standard: one of whose commands and timings it lacks none.

    Raises:
        InputError: E202 when no set does, with the standards that one fits.
    """
    for name in set_names():
        found = load_set(name)
        if _fits(found, standard):
            return found
    sets = [load_set(name) for name in set_names()]
    fit = [n for n in standard_names() if any(_fits(s, load_standard(n)) for s in sets)]
    raise InputError(
        f"{standard.name} takes no command set of processing in memory",
        code="E202",
        help=f"standards that do: {', '.join(fit)}",
    )


def _fits(found: CommandSet, standard: Standard) -> bool:
    device = standard.device
    if device is None or device.pim is None:
        return False
    roles = found.roles
    plain = {roles.open_bank, roles.close_bank, roles.close_all, roles.refresh}
    plain |= {roles.read, roles.write}
    own = set(found.commands) - plain
    timings = {**device.timings, **found.timings}
    known = all(
        isinstance(amount, int) or all(n.isdecimal() or n in timings for _, n in sum_of(amount))
        for _, amount in found.sums()
    )
    return known and own <= set(device.pim.commands) and standard.channels == found.channels
