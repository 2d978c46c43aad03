"""`archsim compose`: a router and many complete models that share a machine."""

from typing import Annotated, Literal

import typer

from archsim.cli import _options as o

EXAMPLES = (
    "archsim compose sn40l-8 samba-coe",
    "archsim compose dgx-a100-host samba-coe --set composition.requests.batch=1 --format json",
)
NEEDS_ARGUMENTS = True

Composition = Annotated[
    str,
    typer.Argument(metavar="COMPOSITION", help="A shipped composition, or a YAML of your own."),
]
Fidelity = Annotated[
    Literal["analytic", "tile", "cycle"],
    typer.Option("--fidelity", help="Of the passes of each model."),
]
Folder = Annotated[
    str | None, typer.Option("--out", "-o", metavar="DIR", help="Write tables and figures there.")
]


def command(
    hardware: o.Hardware,
    composition: Composition,
    *,
    set_: o.Set = None,
    fidelity: Fidelity = "tile",
    fmt: o.TableOrJson = "table",
    output: Folder = None,
    force: o.Force = False,
) -> None:
    """Serve requests that each ask for one of many models: switching, latency, throughput, energy.

    Overrides of every model begin with `workload.`, those of the composition with `composition.`.
    """
    from archsim.cli import _compositions, _folder
    from archsim.serving.compose import compose

    _folder.refuse_to_replace(output, force=force)
    found = compose(hardware, composition, set_=set_ or (), fidelity=fidelity)
    _compositions.show(found, fmt)
    if output:
        _compositions.write(found, output)
