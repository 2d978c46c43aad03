"""`archsim map`: the loop nests that a workload's ops become on a machine, as text."""

from typing import Annotated

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim map npu llama-3-8b-decode --op 'layer/attn.*'",
    "archsim map tpu-v4 gpt2-small --phase prefill --batch 1 --tokens 512 --op layer/ffn.down",
)
NEEDS_ARGUMENTS = True

OpGlob = Annotated[
    str, typer.Option("--op", metavar="GLOB", help="Op class, or glob on the op's path.")
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
    fmt: o.TableOrJson = "table",
) -> None:
    """Print how ops are mapped: loop nests, tiles, bytes per level."""
    from archsim.cli import _mappings

    found = _mappings.stages(
        hardware, workload, op,
        set_=o.with_dims(set_, dim), set_files=set_file or (),
        phase=phase, batch=batch, context=context, tokens=tokens,
    )  # fmt: skip
    if fmt == "json":
        out.result(out.json_text([data for data, _ in found]))
    else:
        out.result("\n\n".join(text for _, text in found))
