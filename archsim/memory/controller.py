"""What a memory controller may be told: its structure, scheduler, row policy, refresh and queues.

Here lives the description only. The unified structure (one read and one write buffer, as in
Ramulator 2.1) is in `memory.controllers.unified`, the one with a queue per bank (as in DRAMsim3) in
`memory.controllers.command_queues`.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import Spec, problem

UNIFIED_REFRESH = ("all_bank", "per_bank", "per_bank_interleaved", "none")
QUEUED_REFRESH = ("rank_staggered", "bank_staggered", "none")
ONLY_UNIFIED = ("write_high", "write_low", "cap", "timeout")
ONLY_QUEUED = ("command_queue", "queue_per")


class ControllerSpec(Spec):
    """A DRAM controller. Every channel has its own."""

    structure: Literal["unified", "command_queues"] = "unified"
    """How requests wait: `unified` in one read and one write buffer that the scheduler searches;
    `command_queues` in transaction queues that feed a short queue for every bank."""

    scheduler: Literal["fcfs", "frfcfs", "frfcfs_row_hit"] = "frfcfs"
    """Who goes first: `fcfs` the oldest request alone; `frfcfs` the oldest whose next command is
    legal now; `frfcfs_row_hit` the same, but no row is closed that an older request still hits."""

    row_policy: Literal["open", "closed", "closed_after", "timeout"] = "open"
    """When a row is closed: `open` when another is needed; `closed` with each column access;
    `closed_after` once it has had `cap` column accesses; `timeout` after `timeout` idle ticks."""

    cap: int | None = Field(default=None, ge=1)
    """Column accesses of a row under `closed_after`."""

    timeout: int | None = Field(default=None, ge=1)
    """Ticks without an access after which `timeout` closes a row."""

    refresh: Literal[
        "all_bank", "per_bank", "per_bank_interleaved", "none", "rank_staggered", "bank_staggered"
    ] = "all_bank"
    """Refresh commands. `all_bank`: REFab for every rank or pseudo-channel each nREFI; `per_bank`:
    REFpb for one bank after another each nREFIpb; `per_bank_interleaved`: REFpb for the same bank
    of every pseudo-channel in turn (HBM3, HBM4); `none`; `rank_staggered` and `bank_staggered`: one
    rank or one bank after another, spread over the interval (`command_queues` only, where the first
    is the default)."""

    read_queue: int = Field(default=32, ge=1, le=4096)
    """Reads that may wait."""

    write_queue: int = Field(default=32, ge=1, le=4096)
    """Writes that may wait."""

    write_high: float = Field(default=0.8, ge=0, le=1)
    """Share of the write queue above which writes are served."""

    write_low: float = Field(default=0.2, ge=0, le=1)
    """Share of the write queue below which reads are served again, if there are any."""

    command_queue: int = Field(default=8, ge=1, le=4096)
    """Commands that may wait in one command queue."""

    queue_per: Literal["bank", "rank"] = "bank"
    """What has a command queue of its own."""

    @model_validator(mode="before")
    @classmethod
    def _staggered(cls, data: Any) -> Any:
        """Command queues refresh rank by rank unless told otherwise."""
        if isinstance(data, dict) and data.get("structure") == "command_queues":
            return {"refresh": "rank_staggered"} | data
        return data

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for option, policy in (("cap", "closed_after"), ("timeout", "timeout")):
            given = getattr(self, option) is not None
            if given != (self.row_policy == policy):
                raise problem(
                    "E202",
                    f'row_policy "{policy}" needs {option}'
                    if not given
                    else f'{option} belongs to row_policy "{policy}", not "{self.row_policy}"',
                )
        queued = self.structure == "command_queues"
        foreign = ONLY_UNIFIED if queued else ONLY_QUEUED
        for option in foreign:
            if getattr(self, option) != type(self).model_fields[option].default:
                raise problem("E202", f'structure "{self.structure}" has no {option}')
        if self.refresh not in (QUEUED_REFRESH if queued else UNIFIED_REFRESH):
            has = ", ".join(QUEUED_REFRESH if queued else UNIFIED_REFRESH)
            message = f'structure "{self.structure}" has no refresh "{self.refresh}"'
            raise problem("E202", message, f"one of: {has}")
        if queued and self.row_policy not in ("open", "closed"):
            raise problem(
                "E202", f'structure "command_queues" has no row_policy "{self.row_policy}"'
            )
        if queued and self.scheduler != "frfcfs":
            raise problem("E202", f'structure "command_queues" has no scheduler "{self.scheduler}"')
        return self
