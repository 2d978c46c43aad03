"""`archsim check`: read files and say everything that is wrong with them."""

from typing import Annotated

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim check npu llama-3-8b --phase decode --batch 16 --context 2048",
    "archsim check npu llama-3-8b-decode --set memory.hbm.capacity='96 GiB'",
)
NEEDS_ARGUMENTS = True

Files = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Hardware and workload files or names.")
]


def command(
    files: Files,
    *,
    set_: o.Set = None,
    set_file: o.SetFile = None,
    phase: o.PhaseKind = None,
    batch: o.Batch = None,
    context: o.Context = None,
    tokens: o.Tokens = None,
    dim: o.Dim = None,
    fmt: o.TableOrJson = "table",
) -> None:
    """Read files and report every mistake in them; simulate nothing.

    A machine and a workload together are checked as a pair: engines, rules and capacity too. A
    model alone needs no phase.
    """
    from archsim.cli import _examine

    asked = {"phase": phase, "batch": batch, "context": context, "tokens": tokens}
    found = _examine.files(files, o.with_dims(set_, dim), set_file or [], asked)
    if fmt == "json":
        out.result(out.json_text(found))
    else:
        rows = [(item["file"], item["kind"], item["name"]) for item in found["files"]]
        out.result(out.table_text(rows))
        for text in found["warnings"]:
            out.note(f"warning: {text}")
