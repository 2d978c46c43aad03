"""`archsim new`: a commented file of one's own to start from, which runs as it is."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim new hardware my_chip",
    "archsim new component my_engine",
)
NEEDS_ARGUMENTS = True
TEMPLATES = Path(__file__).parent / "_templates"

# by kind: template, and the file it becomes
FILES = {
    "hardware": (("hardware.yaml", "{name}.yaml"),),
    "workload": (("workload.yaml", "{name}.yaml"),),
    "model": (("model.yaml", "{name}.yaml"),),
    "serving": (("serving.yaml", "{name}.yaml"),),
    "explore": (("explore.yaml", "{name}.yaml"),),
    "component": (
        ("component.py.template", "{name}/{name}.py"),
        ("component.toml.template", "{name}/pyproject.toml"),
    ),
}
NEXT = {
    "hardware": "archsim run {name}.yaml llama-3-8b-decode",
    "workload": "archsim run npu {name}.yaml",
    "model": "archsim run npu {name}.yaml",
    "serving": "archsim serve h100 {name}.yaml",
    "explore": "archsim explore {name}.yaml",
    "component": "pip install -e {name} && archsim list components",
}

Kind = Annotated[
    Literal["hardware", "workload", "model", "serving", "explore", "component"],
    typer.Argument(
        metavar="KIND",
        help="What to begin: hardware, workload, model, serving, explore or component.",
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name, and that of its file.")]


def command(kind: Kind, name: Name, *, force: o.Force = False) -> None:
    """Write a commented template that already runs: a machine, a workload, a plug-in and so on."""
    from archsim.core.files import atomic_write

    if not name.replace("-", "_").isidentifier() or (kind == "component" and "-" in name):
        raise typer.BadParameter(
            f'"{name}" is no name: letters, digits and _, not beginning with a digit',
            param_hint="NAME",
        )
    targets = [(TEMPLATES / t, Path(f.format(name=name))) for t, f in FILES[kind]]
    for _, target in targets:
        if target.exists() and not force:
            raise typer.BadParameter(f"{target} exists; --force replaces it", param_hint="NAME")
    for template, target in targets:
        atomic_write(target, template.read_text("utf-8").replace("NAME", name))
        out.result(f"wrote {target}")
    out.note(f"next: {NEXT[kind].format(name=name)}")
