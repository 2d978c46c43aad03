"""`archsim schema`: the JSON Schema of a file kind, for editors."""

from typing import Annotated, Any, Literal

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim schema hardware",
    "archsim schema workload --out workload.v1.json",
)
NEEDS_ARGUMENTS = True

Kind = Annotated[
    Literal["hardware", "workload", "composition", "serving", "explore", "gym"],
    typer.Argument(metavar="KIND", help="Kind of file."),
]


def command(kind: Kind, out_file: o.OutFile = None) -> None:
    """Print the JSON Schema of hardware, workload, composition, serving, explore or gym files.

    A file that begins with `# yaml-language-server: $schema=FILE` is completed and underlined by
    editors that speak it.
    """
    from archsim.core.spec import json_schema
    from archsim.dse.spec import ExploreSpec
    from archsim.gym.spec import GymSpec
    from archsim.lowering.spec import WorkloadSpec
    from archsim.serving.batching import ServingSpec
    from archsim.serving.composition import CompositionSpec
    from archsim.system.spec import hardware_spec

    known: dict[str, Any] = {
        "workload": WorkloadSpec,
        "composition": CompositionSpec,
        "serving": ServingSpec,
        "explore": ExploreSpec,
        "gym": GymSpec,
    }
    spec = hardware_spec() if kind == "hardware" else known[kind]
    out.emit(out.json_text(json_schema(spec)), out_file)
