"""A command trace: instructions with size, channels, bank and row, in order.

What a line of a trace file looks like is in `trace_lines`, traces by name and by description in
`described`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from archsim.core.errors import InputError
from archsim.memory.pim.command_set import CommandSet
from archsim.memory.standard import Device, Standard

READ, WRITE, REGISTER, IDLE = "R MEM", "W MEM", "W CFR", "GPR"
"""Lines besides the instructions of a set: plain accesses, a configuration register, and what only
costs the decoder a tick."""


class Step(NamedTuple):
    """One instruction.

    Attributes:
        word: Name of an instruction, or one of READ, WRITE, REGISTER and IDLE.
        opsize: Requests a channel.
        mask: Channels, a bit each.
        bank: Bank, or -1; of REGISTER its number.
        row: Row, or -1; of REGISTER its value.
    """

    word: str
    opsize: int = 1
    mask: int = 0
    bank: int = -1
    row: int = -1


@dataclass(frozen=True)
class PimTrace:
    """Steps in order; the last ends the trace.

    Attributes:
        name: What it is called in reports.
        steps: The steps.
    """

    name: str
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, name: str, steps: Iterable[Step], commands: CommandSet) -> PimTrace:
        """A trace of some steps, with an end where they have none; what follows one is cut."""
        ends = {word for word, form in commands.instructions.items() if form.ends}
        kept: list[Step] = []
        for step in steps:
            kept.append(step)
            if step.word in ends:
                return cls(name, tuple(kept))
        return cls(name, (*kept, *(Step(word) for word in sorted(ends)[:1])))


def lane_banks(device: Device) -> int:
    """Banks of a channel, or of a pseudo channel where there are some."""
    outside = ("channel", "pseudo_channel")
    return math.prod(n for level, n in device.counts.items() if level not in outside)


def channels_of(mask: int, commands: CommandSet) -> list[int]:
    """Numbers of the channels of a mask.

    Example:
        >>> from archsim.memory.pim.command_set import load_set
        >>> channels_of(0b101, load_set("AiM"))
        [29, 31]
    """
    bits = [i for i in range(commands.channels) if mask >> i & 1]
    last = commands.channels - 1
    return sorted(last - i if commands.mask_bit_0_is_last else i for i in bits)


def check(step: Step, commands: CommandSet, standard: Standard) -> None:
    """Refuse a step that names what the memory does not have.

    Raises:
        InputError: E107 out of range; E202 for several channels where one is meant.
    """
    device = standard.device
    assert device is not None
    if step.word == IDLE:
        return
    if step.word == REGISTER:
        if not 0 <= step.bank < commands.registers:
            raise InputError(
                f"register {step.bank} is not one of the {commands.registers} of {commands.name}",
                code="E107",
            )
        return
    banks = lane_banks(device)
    for name, value, count in (("bank", step.bank, banks), ("row", step.row, device.rows)):
        if value >= count:
            raise InputError(
                f"{name} {value} is not one of the {count} {name}s of {standard.name}",
                code="E107",
                help=f"{name}s are 0 to {count - 1}",
            )
    form = commands.instructions.get(step.word)
    if form is not None and "mask" not in form.fields:
        return
    columns = device.columns // device.prefetch
    if not 0 < step.opsize <= columns:
        raise InputError(
            f"{step.word} of {step.opsize} columns, and a row has {columns}",
            code="E107",
            help=f"opsize is 1 to {columns}",
        )
    if not 0 < step.mask < 1 << commands.channels:
        raise InputError(
            f"mask {step.mask:#x} names none of the {commands.channels} channels",
            code="E107",
            help=f"a bit a channel: 0x1 to {(1 << commands.channels) - 1:#x}",
        )
    if form is not None and form.one_channel and step.mask.bit_count() != 1:
        raise InputError(
            f"{step.word} goes to one channel, and mask {step.mask:#x} names "
            f"{step.mask.bit_count()}",
            code="E202",
        )
