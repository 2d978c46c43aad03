"""`archsim run`: one simulation, a run folder, a summary."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim run npu llama-3-8b --phase decode --batch 16 --context 2048",
    "archsim run tpu-v4 gpt2-small-prefill --set memory.hbm.bandwidth='2 TB/s' --format json",
)
NEEDS_ARGUMENTS = True

Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="DIR", help="Run folder. Default: runs/<date>-<key>."),
]
Fidelity = Annotated[
    Literal["bound", "analytic", "tile", "cycle"],
    typer.Option("--fidelity", help="How closely time is modelled."),
]
Engine = Annotated[
    Literal["compiled", "simpy"],
    typer.Option("--engine", help="Executor or reference; both give the same answer."),
]
Exact = Annotated[
    bool, typer.Option("--exact", help="Simulate every repeat; the answer stays the same.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Seed of every random draw.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read, check and map; simulate nothing.")]
Figures = Annotated[
    bool, typer.Option("--figures", help="Draw figures too: SVG, PDF, PNG and data.")
]
Timeline = Annotated[
    bool, typer.Option("--timeline", help="Write timeline.json too, for Perfetto.")
]
Timeout = Annotated[
    str | None, typer.Option("--timeout", metavar="T", help="Give up after a time such as '60 s'.")
]


def command(
    hardware: o.Hardware,
    workload: o.Workload,
    *,
    output: Output = None,
    set_: o.Set = None,
    set_file: o.SetFile = None,
    fidelity: Fidelity = "cycle",
    engine: Engine = "compiled",
    exact: Exact = False,
    seed: Seed = 0,
    phase: o.PhaseKind = None,
    batch: o.Batch = None,
    context: o.Context = None,
    tokens: o.Tokens = None,
    dim: o.Dim = None,
    fmt: o.AnyFormat = "table",
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
    force: o.Force = False,
    figures: Figures = False,
    timeline: Timeline = False,
    dry_run: DryRun = False,
    timeout: Timeout = None,
) -> None:
    """Simulate a workload on a machine and write a run folder.

    Overrides reach the hardware; those that begin with `workload.` reach the workload.
    """
    from archsim import api
    from archsim.cli._folder import refuse_to_replace, run_folder
    from archsim.cli._timeout import at_most

    inputs: dict[str, Any] = {
        "set_": o.with_dims(set_, dim), "set_files": set_file or (),
        "phase": phase, "batch": batch, "context": context, "tokens": tokens,
    }  # fmt: skip
    refuse_to_replace(output, force=force)
    if timeline and fidelity not in api.TIMED:
        text = f"a run at fidelity {fidelity} has no timeline"
        raise typer.BadParameter(text, param_hint="--timeline")
    with at_most(timeout):
        if dry_run:
            plan = api.place_only(hardware, workload, **inputs)
            stages = sum(len(block.stages) for block in plan.blocks)
            out.note(f"{plan.graph.name} on {plan.machine.spec.name}: {stages} stages; nothing run")
            return
        report = api.run(
            hardware, workload,
            fidelity=fidelity, engine=engine, exact=exact, seed=seed, **inputs,
        )  # fmt: skip
    folder = Path(output) if output else run_folder("runs", report.key)
    report.write(folder)
    if timeline and not figures:
        report.write_timeline(folder)
    if figures:
        from archsim.report.figures import draw

        moments = report.write_timeline(folder).moments() if report.tracer else None
        draw(report, folder / "figures", moments)
    out.show_report(report, fmt)
    for text in report.result["fidelity_notes"]:
        out.note(f"note: {text}", quiet=quiet)
    for text in report.warnings:
        out.note(f"warning: {text}", quiet=quiet)
    if verbose:
        wall, peak = report.manifest["wall_s"], report.manifest["peak_memory_mb"]
        out.note(f"{wall:.2f} s, {peak:.0f} MB, {report.manifest['steps_simulated']} steps")
    out.note(f"wrote {folder}", quiet=quiet)
