"""`archsim map`: the loop nests that a workload's ops become on a machine, as text."""

from typing import Annotated, Any, Literal

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim map npu llama-3-8b-decode --op 'layer/attn.*'",
    "archsim map eyeriss resnet-50 --op 'stage4.*' --format yaml",
)
NEEDS_ARGUMENTS = True

OpGlob = Annotated[
    str, typer.Option("--op", metavar="GLOB", help="Op class, or glob on the op's path.")
]
Format = Annotated[
    Literal["text", "table", "json", "yaml"],
    typer.Option("--format", help="How to print; `table` is `text`, `yaml` are mapping rules."),
]


def command(
    hardware: o.Hardware,
    workload: o.Workload,
    *,
    op: OpGlob = "*",
    set_: o.Set = None,
    set_file: o.SetFile = None,
    phase: o.PhaseKind = None,
    batch: o.Batch = None,
    context: o.Context = None,
    tokens: o.Tokens = None,
    dim: o.Dim = None,
    fmt: Format = "text",
) -> None:
    """Print how ops are mapped: loop nests, tiles, bytes per level.

    As YAML they are mapping rules, which `--set-file` lays over the machine, edited or not.
    """
    from archsim.cli import _mappings

    options: dict[str, Any] = {
        "set_": o.with_dims(set_, dim), "set_files": set_file or (),
        "phase": phase, "batch": batch, "context": context, "tokens": tokens,
    }  # fmt: skip
    if fmt == "yaml":
        out.result(_mappings.rules(hardware, workload, op, **options))
        return
    found = _mappings.stages(hardware, workload, op, **options)
    if fmt == "json":
        out.result(out.json_text([data for data, _ in found]))
    else:
        out.result("\n\n".join(text for _, text in found))
