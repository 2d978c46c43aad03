"""`archsim merge`: the shards of a study in one folder, as if one machine had run them all."""

from typing import Annotated

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim merge sweeps/part-1 sweeps/part-2 -o sweeps/whole",
    "archsim merge sweeps/part-1 -o sweeps/so-far --partial",
)
NEEDS_ARGUMENTS = True

Folders = Annotated[
    list[str], typer.Argument(metavar="DIR", help="Folders that --shard I/N wrote.")
]
Into = Annotated[
    str, typer.Option("--output", "-o", metavar="DIR", help="The folder to be made.")
]  # fmt: skip
Partial = Annotated[
    bool, typer.Option("--partial", help="Also when shards lack, or did not come to their end.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Replace the study in the output folder.")]


def command(
    folders: Folders,
    *,
    output: Into,
    partial: Partial = False,
    fresh: Fresh = False,
    quiet: o.Quiet = False,
) -> None:
    """Join the shards of a study.

    They must be of one study and one version; what `export` then says is what it would say of the
    study run in one piece.
    """
    from pathlib import Path

    from archsim.dse.merge import merge

    counts = merge([Path(f) for f in folders], Path(output), partial=partial, fresh=fresh)
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    out.result(f"{sum(counts.values())} points: {said or 'none'}")
    out.note(f"wrote {output}", quiet=quiet)
