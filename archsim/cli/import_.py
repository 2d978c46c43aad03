"""`archsim import`: a model of another tool's format becomes a workload YAML that stands alone."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim import hf config.json --phase decode --batch 16 --context 2048",
    "archsim import scalesim layers.csv --out layers.yaml",
)
NEEDS_ARGUMENTS = True
SUFFIX = {"hf": ".json", "onnx": ".onnx", "scalesim": ".csv"}

Format = Annotated[
    Literal["hf", "onnx", "scalesim"], typer.Argument(metavar="FORMAT", help="hf, onnx, scalesim.")
]
File = Annotated[
    str,
    typer.Argument(metavar="FILE", help="config.json or its folder, model.onnx, topology CSV."),
]


def command(
    format_: Format,
    file: File,
    *,
    phase: o.PhaseKind = None,
    batch: o.Batch = None,
    context: o.Context = None,
    tokens: o.Tokens = None,
    dim: o.Dim = None,
    out_file: o.OutFile = None,
) -> None:
    """Write a model of another format as a workload YAML, every number of it written out.

    Where no phase is given, the file has the one at which the model is counted: edit it.
    """
    from archsim.core.yamlio import dump_yaml
    from archsim.lowering.lower import lower
    from archsim.lowering.spec import architecture_of, load_workload

    path = Path(file)
    if path.is_file() and path.suffix.lower() != SUFFIX[format_]:
        raise typer.BadParameter(
            f"{file} does not end in {SUFFIX[format_]}, as {format_} files do", param_hint="FILE"
        )
    if not path.exists():
        raise typer.BadParameter(f'no file "{file}"', param_hint="FILE")
    spec, _ = load_workload(
        path,
        set_=[t.removeprefix("workload.") for t in o.with_dims(None, dim)],
        phase=phase,
        batch=batch,
        context=context,
        tokens=tokens,
    )
    if spec.phase is None:
        spec = spec.model_copy(update={"phase": architecture_of(spec).default_phase()})
    warnings = lower(spec).facts["warnings"]
    out.emit(dump_yaml(spec.to_data()), out_file)
    for code, text in warnings:
        out.note(f"warning: {code} {text}")
