"""The flags that several verbs share: one spelling and one meaning each."""

from typing import Annotated, Literal

import typer

Hardware = Annotated[
    str, typer.Argument(metavar="HARDWARE", help="A shipped machine, or a hardware YAML.")
]
Workload = Annotated[
    str,
    typer.Argument(
        metavar="WORKLOAD",
        help="A shipped workload or model, or a workload YAML, config.json or topology CSV.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=V", help="Override one value of an input file. Repeatable."),
]
SetFile = Annotated[
    list[str] | None,
    typer.Option(
        "--set-file", metavar="FILE", help="Override values with a YAML file. Repeatable."
    ),
]
PhaseKind = Annotated[
    Literal["prefill", "decode", "encode", "train", "infer"] | None,
    typer.Option("--phase", help="Phase, for a bare model name."),
]
Batch = Annotated[
    int | None, typer.Option("--batch", min=1, metavar="N", help="Sequences in the batch.")
]
Context = Annotated[
    int | None,
    typer.Option(
        "--context", min=1, metavar="N", help="Tokens attended in decode, the newest included."
    ),
]
Tokens = Annotated[
    int | None,
    typer.Option("--tokens", min=1, metavar="N", help="Tokens of a sequence, except in decode."),
]
Dim = Annotated[
    list[str] | None,
    typer.Option(
        "--dim", metavar="NAME=N", help="Extent of a symbolic dimension of ONNX. Repeatable."
    ),
]


def with_dims(set_: list[str] | None, dims: list[str] | None) -> list[str]:
    """Overrides, and those that a model's dimensions are set by.

    Raises:
        BadParameter: where a dimension is not `NAME=N`.
    """
    found = list(set_ or ())
    for dim in dims or ():
        name, _, extent = dim.partition("=")
        if not name or not extent.isdigit() or int(extent) < 1:
            raise typer.BadParameter(f'"{dim}" is not NAME=N, such as seq=128', param_hint="--dim")
        found.append(f"workload.model.dims.{name}={extent}")
    return found


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notes or warnings on stderr.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more on stderr.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is in the output folder.")]
OutFile = Annotated[
    str | None, typer.Option("--out", metavar="FILE", help="Write to a file instead of stdout.")
]
AnyFormat = Annotated[
    Literal["table", "json", "csv", "yaml"], typer.Option("--format", help="How to print.")
]
TableOrJson = Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")]
