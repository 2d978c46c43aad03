"""The parts of a command set's file: commands, instructions, queues, roles, rules, energies.

The file as a whole, and which set a DRAM standard takes, is in `command_set`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from archsim.core.spec import Joules, PositiveInt, Spec

Word = Literal["opsize", "gpr", "mask", "bank", "row"]
NodeLevel = Literal["channel", "bank_group", "bank"]
Scope = Literal["channel", "run", "same_bank", "bank"]


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

    scope: Scope
    """Banks that it goes to: all of a channel (of a pseudo channel, where there are some), a `run`
    of `banks` neighbours, those of one number in every bank group, or one."""

    banks: PositiveInt = 1
    """Banks of a run."""

    like: Literal["ACT", "PRE", "RD", "WR"] | None = None
    """Ordinary command as which it meets ordinary ones, in the banks that it goes to."""

    bus: bool = False
    """Whether it holds the channel's data bus, so that it meets ordinary columns everywhere."""

    opened_by: str | None = None
    """Opens the rows that it needs. Default: by role, of its bank or of all."""

    closed_by: str | None = None
    """Closes them. Default: by role."""

    activates: int = Field(default=0, ge=0)
    """Activates that it counts for in a window of activates (four of them in nFAW); 0: its source
    sets no such limit."""

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
