"""What `sweep` and `explore` share: a study from flags, running it, and its answer as text."""

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from archsim.cli import _output as out

if TYPE_CHECKING:
    from archsim.dse.plan import Plan

Fidelity = Annotated[
    Literal["bound", "analytic", "tile", "cycle"] | None,
    typer.Option("--fidelity", help="How closely time is modelled. Default: as the study says."),
]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="DIR", help="Folder. Default: sweeps/<name>."),
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, metavar="N", help="Seed of every random draw.")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", "-j", min=1, metavar="N", help="Processes. Default: one a core."),
]
Executor = Annotated[
    str | None, typer.Option("--executor", metavar="NAME", help="serial, local or dask.")
]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", metavar="ADDRESS", help="Of a Dask cluster.")
]
Shard = Annotated[
    str | None, typer.Option("--shard", metavar="I/N", help="Run part I of N; `merge` joins them.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Forget the answers in the folder.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check, count and estimate; write nothing.")
]
Timeout = Annotated[
    str | None, typer.Option("--timeout", metavar="T", help="Limit for one design, as '60 s'.")
]
Form = Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="How to print.")]


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What the command line says of a study; None where it says nothing."""

    output: str | None
    fidelity: str | None
    seed: int | None
    workers: int | None
    executor: str | None
    scheduler: str | None
    shard: str | None
    fresh: bool
    timeout: str | None
    dry_run: bool
    fmt: Literal["table", "json", "csv"]
    quiet: bool


def with_flags(spec: Any, flags: Flags) -> Any:
    """A description with what flags say instead."""
    own = {"fidelity": flags.fidelity, "seed": flags.seed, "output": flags.output}
    how: dict[str, Any] = {
        "workers": flags.workers,
        "executor": flags.executor,
        "scheduler": flags.scheduler,
    }
    if flags.timeout is not None:
        from archsim.cli._timeout import seconds_of

        how["timeout_per_point"] = seconds_of(flags.timeout)
    execution = spec.execution.model_copy(update={k: v for k, v in how.items() if v is not None})
    said = {k: v for k, v in own.items() if v is not None}
    return spec.model_copy(update={**said, "execution": execution})


def answer(plan: "Plan", folder: str, flags: Flags) -> None:
    """Run a study, print what it found, end with the status that says how it went.

    Raises:
        Exit: 9 where designs failed; 5 where no design has an answer that keeps the constraints.
        Interrupted: where the user stopped it.
    """
    from archsim.cli import _progress, _studied
    from archsim.core.errors import EXIT_INFEASIBLE, EXIT_SWEEP_FAILED
    from archsim.dse.interrupt import Interrupted
    from archsim.dse.run import Running, run

    if flags.dry_run:
        _estimate(plan)
        return
    with _progress.shown(quiet=flags.quiet) as progress:
        found = run(
            plan, folder,
            Running(flags.fresh, _shard(flags.shard), progress, _progress.at_once, sys.argv),
        )  # fmt: skip
    if found.former:
        out.note(
            f"{found.former} answers in {folder} are of another description of the study: "
            f"{found.readopted} answer this one too, the others are set aside",
            quiet=flags.quiet,
        )
    if not found.complete:
        words = [word for word in sys.argv[1:] if word != "--fresh"]
        raise Interrupted(
            f"interrupted after {found.ran} designs; nothing is lost",
            help=f"go on with: {shlex.join(['archsim', *words])}",
        )
    _studied.show(found, flags.fmt)
    out.note(f"wrote {folder}", quiet=flags.quiet)
    if found.trouble:
        out.note(f"{found.trouble} designs failed; their errors are in {folder}")
        raise typer.Exit(EXIT_SWEEP_FAILED)
    if not found.front and not flags.shard:
        raise typer.Exit(EXIT_INFEASIBLE)


def _shard(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise typer.BadParameter(f'"{text}" is not I/N, such as 1/4', param_hint="--shard")
    return int(found[1]), int(found[2])


def _estimate(plan: "Plan") -> None:
    """How many designs there are, and how long they take if each is like the one that is tried."""
    from archsim.core.units import format_si
    from archsim.dse.price import price

    count = plan.sampler().total
    lines, total_s, notes = [], 0.0, []
    for fidelity, keep in zip(
        plan.spec.fidelities, [stage.keep for stage in plan.spec.stages] + [1.0], strict=True
    ):
        said = price(plan, fidelity)
        each = "none of them tried runs"
        if said.wall_s is not None:
            total_s += count * said.wall_s
            each = f"{format_si(said.wall_s, 's')} each"
        if said.note:
            notes.append(f"at {fidelity} {said.note}")
        lines.append([fidelity, f"{count} designs", each])
        count = ceil(keep * count)
    out.result(out.table_text(lines))
    for note in notes:
        out.result(note)
    out.result(f"{plan.kind}: about {total_s:.1f} s of one core; nothing is written")


def from_file(what: str, set_: Sequence[str], flags: Flags, usual: str) -> "tuple[Plan, str]":
    """A study by its name or path, and its folder."""
    from archsim.dse.plan import prepare
    from archsim.dse.spec import load_explore

    own = [setting for setting in set_ if setting.startswith("explore.")]
    spec, document = load_explore(what, set_=own)
    rest = [setting for setting in set_ if not setting.startswith("explore.")]
    plan = prepare(with_flags(spec, flags), document, set_=rest, usual=usual)
    return plan, plan.spec.output or f"sweeps/{plan.spec.name}"


def from_flags(
    hardware: str,
    workload: dict[str, Any],
    vary: Sequence[str],
    set_: Sequence[str],
    flags: Flags,
) -> "tuple[Plan, str]":
    """A study of one machine and one workload, and its folder."""
    from archsim.core.document import Document
    from archsim.dse.plan import prepare
    from archsim.dse.spec import load_explore
    from archsim.dse.vary import space_of

    if not vary:
        raise typer.BadParameter("nothing varies: give one or more", param_hint="--vary")
    space = space_of(vary)
    name = f"{Path(hardware).stem}-{Path(str(workload['model'])).stem}"
    data = {
        "schema": "archsim.explore/1", "name": name, "hardware": hardware, "workloads": [workload],
        "space": space.data,
    }  # fmt: skip
    marks = {("space", *path): mark for path, mark in space.marks.items()}
    own = [setting for setting in set_ if setting.startswith("explore.")]
    spec, document = load_explore(Document(data, marks), set_=own)
    rest = [setting for setting in set_ if not setting.startswith("explore.")]
    plan = prepare(with_flags(spec, flags), document, set_=rest)
    return plan, plan.spec.output or f"sweeps/{name}-{plan.sha256[:8]}"
