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


def command(run: Run, metric: Metric = None, *, fmt: o.TableOrJson = "table") -> None:
    """Say where a number of a run comes from: formula, ops, settings, table rows.

    Without a METRIC: why the run takes as long as it does, and what each change of the machine that
    would relieve it gains, each of them simulated.
    """
    from archsim.cli import _reasons

    found = _reasons.page(run, metric)
    out.result(out.json_text(found) if fmt == "json" else _reasons.text(found))
