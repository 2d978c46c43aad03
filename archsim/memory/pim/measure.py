"""One memory under one command trace: cycles, commands, what they waited for, energy.

`pim` takes a standard and a trace and gives a `PimResult`; how it is run is in `run`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim.core.errors import InputError, nearest
from archsim.core.units import PS_PER_S
from archsim.memory.pim.command_set import CommandSet, set_of
from archsim.memory.pim.described import described
from archsim.memory.pim.lanes import run_trace
from archsim.memory.pim.named import NAMED, expanded
from archsim.memory.pim.named_products import product_trace
from archsim.memory.pim.program import program
from archsim.memory.pim.run import PimRun, run
from archsim.memory.pim.trace import PimTrace, lane_banks
from archsim.memory.pim.trace_lines import read_trace
from archsim.memory.standard import Device, Standard, load_standard

REFRESHES = ("none", "all_bank", "per_bank")
SCHEMA = "archsim.pim/1"
POWER_LIMITS = ("mac_spacing", "activate_spacing", "activate_window")
"""Groups of rules by which a command set may bound its power."""


@dataclass(frozen=True)
class PimResult:
    """What a trace took, with what it was.

    Attributes:
        standard: The memory.
        commands: Its command set.
        trace: What ran.
        options: Channels, refresh, exact.
        run: What was counted.
    """

    standard: Standard
    commands: CommandSet
    trace: PimTrace
    options: dict[str, Any]
    run: PimRun

    @property
    def cycles(self) -> int:
        """Ticks of the command bus until the trace has ended."""
        return self.run.cycles

    @property
    def tick_s(self) -> float:
        """Seconds of a tick."""
        return _device(self.standard).tick

    @property
    def counts(self) -> dict[str, int]:
        """Commands by name over all channels, also those that no instruction issues."""
        return self.run.counts | dict.fromkeys(self.commands.extra, 0)

    @property
    def macs(self) -> int:
        """Multiply-accumulates over all channels, those of padding among them."""
        forms = self.commands.commands
        counts = self.run.counts.items()
        return sum(n * forms[name].macs for name, n in counts if name in forms)

    def to_dict(self) -> dict[str, Any]:
        """Plain data under the names that reports use: seconds, joules."""
        return {
            "schema": SCHEMA,
            "standard": self.standard.name,
            "command_set": self.commands.name,
            "trace": self.trace.name,
            "instructions": len(self.trace.steps),
            "options": self.options,
            "tick_s": self.tick_s,
            "cycles": self.cycles,
            "time_s": self.cycles * round(self.tick_s * PS_PER_S) / PS_PER_S,
            "counts": self.counts,
            "macs": self.macs,
            "energy_j": self.energy(),
            "channel_kind": _kind(self.standard),
            "channels": [self._group(i) for i in range(len(self.run.groups))],
        }

    def energy(self) -> dict[str, Any]:
        """Joules by command where a source prices it, and the commands that none does."""
        priced = self.commands.energies
        issued = {name: n for name, n in self.counts.items() if n}
        found = {name: n * priced[name].value for name, n in issued.items() if name in priced}
        return {
            "total": math.fsum(found.values()),
            "by_command": found,
            "missing": [name for name in issued if name not in priced],
        }

    def _group(self, i: int) -> dict[str, Any]:
        group = self.run.groups[i]
        device = _device(self.standard)
        return {
            "channels": list(group.channels),
            "counts": {name: n for name, n in group.counts.items() if n},
            "issuing_ticks": sum(group.counts.values()) if group.issuing is None else group.issuing,
            "waiting_ticks": group.waits,
            "power_limit_share": {
                name: group.waits[name] / self.cycles
                for name in POWER_LIMITS
                if name in group.waits
            },
            "row_open_share": group.row_ticks / self.cycles,
            "open_banks": group.open_bank_ticks / self.cycles,
            "banks": lane_banks(device),
        }


def _kind(standard: Standard) -> str:
    """What takes commands by itself."""
    return "pseudo channel" if "pseudo_channel" in _device(standard).counts else "channel"


def _device(standard: Standard) -> Device:
    assert standard.device is not None
    return standard.device


def pim(
    standard: str | Standard,
    trace: str | Path,
    *,
    commands: str | None = None,
    channels: int | None = None,
    mask: int | None = None,
    refresh: str = "none",
    exact: bool = False,
    plain: bool = False,
) -> PimResult:
    """Run a command trace on a memory that computes.

    Args:
        standard: name of a standard, or of its file, or the standard.
        trace: a file, a name with sizes such as `gemv:1024x4096`, or a description such as
            `for o in 0..63: WR_BIAS, MAC_ABK 64 row o, RD_MAC`.
        commands: name of a command set, or of its file. Default: that of the standard.
        channels: channels that a named or described trace goes to; all of them by default.
        mask: the same as a mask.
        refresh: none | all_bank | per_bank.
        exact: simulate each channel, also those that do the same.
        plain: run as plain Python even where numba is installed.

    Raises:
        ArchsimError: with the exit code that the command line returns.
    """
    memory = load_standard(standard) if isinstance(standard, str) else standard
    found_set = set_of(memory, commands)
    if refresh not in REFRESHES:
        close = nearest(refresh, REFRESHES)
        raise InputError(
            f'refresh "{refresh}" is not one of {", ".join(REFRESHES)}',
            code="E108",
            help=f'did you mean "{close}"?' if close else None,
        )
    found = _trace(str(trace), _mask(channels, mask, found_set), found_set, memory)
    options = {"refresh": refresh, "exact": exact}
    ran = replay(memory, found_set, found, refresh=refresh, exact=exact, plain=plain)
    return PimResult(memory, found_set, found, options, ran)


def replay(
    standard: Standard,
    commands: CommandSet,
    trace: PimTrace,
    *,
    refresh: str = "none",
    exact: bool = False,
    plain: bool = False,
) -> PimRun:
    """Run a trace as its command set has it: behind a decoder with queues, or lane by lane.

    Args:
        standard: the memory.
        commands: its command set.
        trace: what is run.
        refresh: none | all_bank | per_bank, which no decoder has.
        exact: whether channels that do the same are each simulated.
        plain: plain Python even where numba is installed.

    Raises:
        InputError: for what the memory does not have.
    """
    if commands.queue is None:
        return run_trace(standard, commands, trace, refresh=refresh, exact=exact, plain=plain)
    if refresh == "per_bank":
        raise InputError(f"{commands.name} has no per_bank refresh", code="E202")
    made = program(standard, commands, trace, refresh=refresh == "all_bank", exact=exact)
    return run(made, plain=plain)


def _mask(channels: int | None, mask: int | None, commands: CommandSet) -> int | None:
    """Channels of a trace that names none; None where nothing was said."""
    if channels is not None and mask is not None:
        raise InputError("channels and mask say the same: give one", code="E202")
    if channels is None:
        return mask
    if not 1 <= channels <= commands.channels:
        raise InputError(
            f"channels must be from 1 to {commands.channels}, got {channels}", code="E107"
        )
    return (1 << channels) - 1


def _trace(text: str, mask: int | None, commands: CommandSet, standard: Standard) -> PimTrace:
    """The trace of a file, a name or a description."""
    is_file = (Path(text).suffix and " " not in text) or Path(text).is_file()
    if is_file:
        if mask is not None:
            raise InputError("the lines of a trace file name their channels", code="E202")
        return read_trace(text, commands, standard)
    mask = (1 << commands.channels) - 1 if mask is None else mask
    word = text.partition(":")[0]
    if commands.queue is None:
        if " " not in text and word.upper() not in commands.instructions:
            return product_trace(text, mask, commands, _device(standard))
        return described(text, mask, commands)
    if word in NAMED or (" " not in text and word.upper() not in commands.instructions):
        made = described(expanded(text, _device(standard)), mask, commands)
        return PimTrace(text, made.steps)
    return described(text, mask, commands)
