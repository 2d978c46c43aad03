"""`archsim list`: what exists, one line each."""

from typing import Annotated, Literal

import typer

from archsim.cli import _output as out

EXAMPLES = (
    "archsim list hardware",
    "archsim list components --format json",
)
NEEDS_ARGUMENTS = True

Kind = Annotated[
    Literal[
        "hardware", "workloads", "models", "compositions", "serving", "components", "memories",
        "standards", "pim", "links", "collectives", "dataflows", "transforms", "energy", "suites",
        "studies", "samplers", "executors", "metrics",
    ],
    typer.Argument(
        metavar="KIND",
        show_choices=False,
        help="hardware, workloads, models, compositions, serving, components, memories, standards, "
        "pim, links, collectives, dataflows, transforms, energy, suites, studies, samplers, "
        "executors or metrics.",
    ),
]  # fmt: skip
Form = Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="How to print.")]


def command(kind: Kind, fmt: Form = "table") -> None:
    """List what exists: machines, models, components, dataflows and so on."""
    from archsim.cli import _catalogue

    rows = [{"name": name, "about": about} for name, about in _catalogue.entries(kind)]
    if fmt == "json":
        out.result(out.json_text(rows))
    elif fmt == "csv":
        out.result(out.csv_text(rows))
    else:
        out.result(out.table_text([list(row.values()) for row in rows]))
