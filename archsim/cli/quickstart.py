"""`archsim quickstart`: real models on real machines, end to end, in a few seconds."""

from pathlib import Path
from typing import Annotated

import typer

from archsim.cli import _output as out

EXAMPLES = (
    "archsim quickstart",
    "archsim quickstart --output demo",
)

MACHINES = ("npu", "tpu-v4")
WORKLOADS = ("llama-3-8b-decode", "llama-3-8b-prefill", "gpt2-small-prefill")
HEADLINE = "llama-3-8b-decode"  # its first machine's run is printed in full

Output = Annotated[
    str, typer.Option("--output", "-o", metavar="DIR", help="Where the run folders go.")
]


def command(output: Output = "runs") -> None:
    """Run real models on two machines, end to end."""
    from archsim import api
    from archsim.cli._folder import run_folder
    from archsim.core.units import format_si
    from archsim.report.render import summary

    rows, opened = [], Path(output)
    for workload in WORKLOADS:
        for machine in MACHINES:
            report = api.run(machine, workload)
            folder = run_folder(output, report.key)
            report.write(folder)
            metrics, ratio = report.metrics, report.result["ratio_to_bound"]
            time, energy = metrics["time_s"], metrics["energy_j"]["total"]
            said = (format_si(time, "s"), format_si(energy, "J"), f"{ratio:.2f}")
            rows.append((workload, machine, *said, folder.name))
            if (machine, workload) == (MACHINES[0], HEADLINE):
                out.result(summary(report, width=out.width(), colour=out.colour()) + "\n\n")
                opened = folder
    header = ("workload", "machine", "time", "energy", "x bound", f"folder in {output}/")
    out.result(out.table_text(rows, header))
    out.result("\nEach folder holds result.json, ops.csv, manifest.json, config.resolved.yaml.")
    out.result(f"One of them again: archsim run {MACHINES[0]} {HEADLINE}")
    out.result(str(opened / "result.json"))
