"""`archsim explore`: search a space for the best designs, resumable."""

from typing import Annotated

import typer

from archsim.cli import _options as o
from archsim.cli import _studies as s

EXAMPLES = (
    "archsim explore hbm2-controller --fidelity bound --seed 3",
    "archsim explore npu-joint --dry-run",
)
NEEDS_ARGUMENTS = True

Study = Annotated[str, typer.Argument(metavar="SPEC", help="A shipped study, or a YAML.")]


def command(
    spec: Study,
    *,
    output: s.Output = None,
    set_: o.Set = None,
    fidelity: s.Fidelity = None,
    seed: s.Seed = None,
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
    """Search a space for the designs that are best, by NSGA-II where the study says no other.

    The same command goes on where it stopped, and ends as if it had never stopped. Overrides reach
    the machine, the workload (`workload.`) or the study (`explore.`).
    """
    flags = s.Flags(
        output=output, fidelity=fidelity, seed=seed, workers=workers, executor=executor,
        scheduler=scheduler, shard=shard, fresh=fresh, timeout=timeout, dry_run=dry_run, fmt=fmt,
        quiet=quiet,
    )  # fmt: skip
    s.answer(*s.from_file(spec, set_ or (), flags, "nsga2"), flags)
