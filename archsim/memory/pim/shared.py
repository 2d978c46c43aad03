"""Commands of a set and ordinary accesses in the same banks: what each costs the other.

One lane runs three times: its trace alone, its ordinary accesses alone, and both together. Who
issues when is in `lane_kernel`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from archsim.core.errors import InputError, nearest
from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.lane_program import Access, lane_program
from archsim.memory.pim.lane_rules import Sharing, lane_rules
from archsim.memory.pim.lanes import LaneRun, commands_of, run_lane
from archsim.memory.pim.trace import PimTrace
from archsim.memory.standard import Standard

SHARINGS: tuple[Sharing, ...] = get_args(Sharing)


@dataclass(frozen=True)
class Shared:
    """One lane under a trace and ordinary accesses.

    Attributes:
        sharing: How both share banks.
        alone: What the trace does without the accesses.
        host_alone: What the accesses do without the trace.
        together: What both do.
    """

    sharing: Sharing
    alone: LaneRun
    host_alone: LaneRun
    together: LaneRun

    @property
    def ticks(self) -> tuple[int, int, int]:
        """Trace alone, accesses alone, and both together until the last is done."""
        last = max(self.together.pim_ticks, self.together.host_ticks)
        return self.alone.pim_ticks, self.host_alone.host_ticks, last

    @property
    def waits(self) -> dict[str, int]:
        """Ticks that each waited for the other, and for changes of mode."""
        pim, host = self.together.pim_waits, self.together.host_waits
        return {
            "pim_for_host": pim["pim_for_host"],
            "host_for_pim": host["host_for_pim"],
            "mode_change": max(pim["mode_change"], host["mode_change"]),
        }


def shared(
    standard: Standard,
    commands: CommandSet,
    trace: PimTrace,
    accesses: Iterable[Access],
    sharing: Sharing,
    *,
    turn: int = 0,
    refresh: str = "none",
    plain: bool = False,
    log: bool = False,
) -> Shared:
    """Run one lane of a memory under a trace and ordinary accesses, each alone and together.

    Args:
        standard: The memory.
        commands: Its command set.
        trace: Commands of the lane, whatever their masks say.
        accesses: Ordinary ones of the lane.
        sharing: `mode_switch`: the memory belongs to one of them at a time, rows are closed and the
            mode changes in between; `bundle`: they work in banks of their own at once;
            `dual_row_buffer`: in the same banks at once, each with row buffers of its own.
        turn: Ticks for which one keeps the memory while the other waits, under `mode_switch`; 0:
            commands go first, to their end.
        refresh: none | all_bank | per_bank.
        plain: Plain Python even where numba is installed.
        log: Whether the commands come back.

    Raises:
        InputError: E108 for an unknown way to share; E107 for a bank or row that is not there; E202
            under `bundle` for an access to a bank in which the trace works.
    """
    if sharing not in SHARINGS:
        close = nearest(sharing, SHARINGS)
        raise InputError(
            f'sharing "{sharing}" is not one of {", ".join(SHARINGS)}', code="E108",
            help=f'did you mean "{close}"?' if close else None,
        )  # fmt: skip
    steps = commands_of(trace.steps, commands, standard)
    asked = tuple(sorted(accesses, key=lambda a: a.tick))
    _check(standard, commands, steps, asked, sharing)

    def once(
        steps: list[tuple[str, int, int, int]], asked: tuple[Access, ...], *, switches: bool
    ) -> LaneRun:
        made = lane_program(
            standard, commands, steps, asked, sharing=sharing, switches=switches, turn=turn,
            refresh=refresh,
        )  # fmt: skip
        return run_lane(made, plain=plain, log=log)

    return Shared(
        sharing,
        once(steps, (), switches=False),
        once([], asked, switches=False),
        once(steps, asked, switches=sharing == "mode_switch"),
    )


def _check(
    standard: Standard,
    commands: CommandSet,
    steps: list[tuple[str, int, int, int]],
    asked: tuple[Access, ...],
    sharing: Sharing,
) -> None:
    rules = lane_rules(standard, commands, sharing)
    assert standard.device is not None
    for access in asked:
        if not 0 <= access.bank < rules.banks or not 0 <= access.row < standard.device.rows:
            raise InputError(
                f"bank {access.bank}, row {access.row} is none of the {rules.banks} banks of "
                f"{standard.device.rows} rows of {standard.name}",
                code="E107",
            )
    if sharing != "bundle":
        return
    taken = {
        b
        for name, bank, _, _ in steps
        if name and rules.commands[name].row
        for b in rules.banks_of(name, max(bank, 0))
    }
    for access in asked:
        if access.bank in taken:
            raise InputError(
                f"an ordinary access goes to bank {access.bank}, in which the trace works",
                code="E202",
                help="under `bundle` each has banks of its own",
            )
