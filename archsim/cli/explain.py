"""`archsim explain`: where a number of a run comes from, and what would change it."""

from typing import Annotated

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim explain runs/mine",
    "archsim explain runs/mine metrics.energy_j.total --format json",
)
NEEDS_ARGUMENTS = True

Run = Annotated[str, typer.Argument(metavar="RUN", help="Folder of a run.")]
Metric = Annotated[
    str | None,
    typer.Argument(
        metavar="[METRIC]",
        help="Dotted path in result.json, or an op such as layer/attn.score. Default: the time.",
    ),
]
Sensitivity = Annotated[
    bool,
    typer.Option("--sensitivity", help="Simulate each resource of the machine at -20 and +20 %."),
]
Workers = Annotated[
    int, typer.Option("--workers", "-j", min=1, metavar="N", help="Processes for --sensitivity.")
]


def command(
    run: Run,
    metric: Metric = None,
    *,
    sensitivity: Sensitivity = False,
    workers: Workers = 1,
    fmt: o.TableOrJson = "table",
) -> None:
    """Say where a number of a run comes from: formula, ops, settings, table rows.

    Without a METRIC: why the run takes as long as it does, and what each change of the machine that
    would relieve it gains, each of them simulated. With --sensitivity also what time and energy do
    when a resource shrinks or grows, which of them bounds the run, and the cheapest change that
    makes it 1.10 x as fast; RUN/sensitivity.json keeps all of it.
    """
    from archsim.cli import _reasons, _sensitivity

    if metric and sensitivity:
        raise typer.BadParameter("is of a whole run: name no METRIC", param_hint="--sensitivity")
    found = _reasons.page(run, metric)
    text = _reasons.text(found)
    if sensitivity:
        found["sensitivity"] = _sensitivity.added(run, workers)
        text += f"\n\n{_sensitivity.text(found['sensitivity'])}"
    out.result(out.json_text(found) if fmt == "json" else text)
