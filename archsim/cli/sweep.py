"""`archsim sweep`: every design of a grid or of a list, in parallel, resumable."""

from typing import Annotated, Any

import typer

from archsim.cli import _options as o
from archsim.cli import _studies as s

EXAMPLES = (
    "archsim sweep npu gpt2-small-prefill --vary engines.array.count=4,8 --fidelity bound",
    "archsim sweep npu-bandwidth --dry-run",
)
NEEDS_ARGUMENTS = True

What = Annotated[
    str, typer.Argument(metavar="SPEC|HARDWARE", help="A study, or a machine with WORKLOAD.")
]
Work = Annotated[
    str | None, typer.Argument(metavar="[WORKLOAD]", help="A workload, as `run` takes it.")
]
Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary", metavar="A.B=1,2",
        help="A setting and its values: a list, lin:LO:HI:N, log:LO:HI:N or int:LO:HI[:STEP]. "
        "Repeatable.",
    ),
]  # fmt: skip


def command(
    what: What,
    workload: Work = None,
    *,
    vary: Vary = None,
    output: s.Output = None,
    set_: o.Set = None,
    fidelity: s.Fidelity = None,
    seed: s.Seed = None,
    phase: o.PhaseKind = None,
    batch: o.Batch = None,
    context: o.Context = None,
    tokens: o.Tokens = None,
    workers: s.Workers = None,
    executor: s.Executor = None,
    scheduler: s.Scheduler = None,
    shard: s.Shard = None,
    fresh: s.Fresh = False,
    dry_run: s.DryRun = False,
    timeout: s.Timeout = None,
    fmt: s.Form = "table",
    quiet: o.Quiet = False,
) -> None:
    """Run every design of a study, or of a machine and a workload with --vary.

    The same command goes on where it stopped: what was answered is not run again. Overrides reach
    the machine, the workload (`workload.`) or the study (`explore.`).
    """
    flags = s.Flags(
        output=output, fidelity=fidelity, seed=seed, workers=workers, executor=executor,
        scheduler=scheduler, shard=shard, fresh=fresh, timeout=timeout, dry_run=dry_run, fmt=fmt,
        quiet=quiet,
    )  # fmt: skip
    if workload is None:
        if vary:
            raise typer.BadParameter(
                "--vary needs a machine and a workload; a study has a space", param_hint="--vary"
            )
        s.answer(*s.from_file(what, set_ or (), flags, "grid"), flags)
        return
    ref: dict[str, Any] = {
        "model": workload, "phase": phase, "batch": batch, "context": context, "tokens": tokens,
    }  # fmt: skip
    said = {key: value for key, value in ref.items() if value is not None}
    s.answer(*s.from_flags(what, said, vary or (), set_ or (), flags), flags)
