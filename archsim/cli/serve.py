"""`archsim serve`: a batch of requests that is always full, stage by stage."""

from typing import Annotated, Literal

import typer

from archsim.cli import _options as o

EXAMPLES = (
    "archsim serve h100x8 mixtral-closed-loop --sample 8",
    "archsim serve h100x8 llama-3-70b-closed-loop --set serving.batch=64 --format json",
)
NEEDS_ARGUMENTS = True

Serving = Annotated[
    str,
    typer.Argument(metavar="SERVING", help="A shipped description, or a YAML of your own."),
]
Fidelity = Annotated[
    Literal["analytic", "tile", "cycle"],
    typer.Option("--fidelity", help="Of the stages."),
]
Sample = Annotated[
    int | None,
    typer.Option(
        "--sample", min=2, metavar="N", help="Simulate N stages only; say the standard error."
    ),
]
Fit = Annotated[
    int | None,
    typer.Option(
        "--fit", min=20, metavar="N", help="Simulate N stages, estimate the others; say the error."
    ),
]
Workers = Annotated[
    int, typer.Option("--workers", "-j", min=1, metavar="N", help="Processes that simulate.")
]
Folder = Annotated[
    str | None, typer.Option("--out", "-o", metavar="DIR", help="Write result and stages there.")
]


def command(
    hardware: o.Hardware,
    serving: Serving,
    *,
    set_: o.Set = None,
    fidelity: Fidelity = "cycle",
    sample: Sample = None,
    fit: Fit = None,
    workers: Workers = 1,
    fmt: o.TableOrJson = "table",
    output: Folder = None,
    force: o.Force = False,
    quiet: o.Quiet = False,
) -> None:
    """Continuous batching in a closed loop: throughput, time between tokens, energy, largest batch.

    Overrides of every stage begin with `workload.`, those of the description with `serving.`.
    """
    from archsim.cli import _folder, _served
    from archsim.core.errors import EXIT_INTERRUPTED
    from archsim.serving.serve import serve

    if sample is not None and fit is not None:
        raise typer.BadParameter("--sample and --fit exclude each other", param_hint="--fit")
    _folder.refuse_to_replace(output, force=force)
    found = serve(
        hardware, serving, set_=set_ or (), fidelity=fidelity, sample=sample, fit=fit,
        workers=workers, progress=_served.progress(quiet=quiet),
    )  # fmt: skip
    _served.show(found, fmt)
    if output:
        _served.write(found, output)
    if not found.complete:
        raise typer.Exit(EXIT_INTERRUPTED)
