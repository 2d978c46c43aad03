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
    from archsim.core.units import format_si
    from archsim.report.render import summary

    rows, opened = [], Path(output)
    for workload in WORKLOADS:
        for machine in MACHINES:
            report = api.run(machine, workload)
            folder = Path(output) / f"{machine}-{workload}-{report.key[:8]}"
            report.write(folder)
            metrics = report.metrics
            rows.append(
                [
                    workload, machine,
                    format_si(metrics["time_s"], "s"), format_si(metrics["energy_j"]["total"], "J"),
                    f"{report.result['ratio_to_bound']:.2f}", folder.name,
                ]
            )  # fmt: skip
            if (machine, workload) == (MACHINES[0], HEADLINE):
                out.result(summary(report, width=out.width(), colour=out.colour()) + "\n")
                opened = folder
    header = ["workload", "machine", "time", "energy", "x bound", f"folder in {output}/"]
    out.result(out.table_text(rows, header))
    out.result("\nEach folder holds result.json, ops.csv, manifest.json and config.resolved.yaml.")
    out.result(
        "The same again: archsim run npu llama-3-8b --phase decode --batch 16 --context 2048"
    )
    out.result(str(opened / "result.json"))
