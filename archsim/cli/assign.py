"""`archsim assign`: which engine of a machine runs which op, for one network or several at once."""

from typing import Annotated, Literal

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim assign edge-duo edge-vision --objective energy",
    "archsim assign edge-duo edge-vision --solver cp-sat -o dispatch.yaml",
)
NEEDS_ARGUMENTS = True

Objective = Annotated[
    Literal["latency", "energy", "edp"], typer.Option("--objective", help="What is minimised.")
]
Solver = Annotated[
    Literal["moves", "cp-sat"],
    typer.Option(
        "--solver", help="Single moves as long as one helps; or the proven best (extra [solver])."
    ),
]
Out = Annotated[
    str | None,
    typer.Option("-o", "--out", metavar="FILE", help="Write the rules, for --set-file."),
]


def command(
    hardware: o.Hardware,
    workload: o.Workload,
    *,
    objective: Objective = "latency",
    solver: Solver = "moves",
    set_: o.Set = None,
    set_file: o.SetFile = None,
    phase: o.PhaseKind = None,
    batch: o.Batch = None,
    context: o.Context = None,
    tokens: o.Tokens = None,
    dim: o.Dim = None,
    fmt: o.TableOrJson = "table",
    out_: Out = None,
) -> None:
    """Assign ops to engines: dispatch rules found by closed forms, judged by simulation.

    Budgets of the machine (`budgets:`) are kept where that is possible.
    """
    from archsim.cli import _assigned

    found = _assigned.assigned(
        hardware, workload, objective, solver,
        set_=o.with_dims(set_, dim), set_files=set_file or (),
        phase=phase, batch=batch, context=context, tokens=tokens,
    )  # fmt: skip
    if out_ is not None:
        out.emit(_assigned.rules_text(found), out_)
    if fmt == "json":
        out.result(out.json_text(_assigned.data(found)))
    else:
        out.result(_assigned.text(found))
