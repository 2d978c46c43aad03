"""`archsim surrogate`: a proxy of the simulator from the designs of a study, and how good it is."""

from typing import Annotated, Literal

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim surrogate sweeps/learned --metric metrics.time_s",
    "archsim surrogate sweeps/learned --ask engines.array.rows=80,engines.array.count=6",
)
NEEDS_ARGUMENTS = True

Folder = Annotated[str, typer.Argument(metavar="SWEEP", help="The folder of a sweep or search.")]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric", metavar="M", help="What to learn. Repeatable. Default: the objectives."
    ),
]
Model = Annotated[
    Literal["boosted", "gaussian"],
    typer.Option("--model", help="Boosted trees, or a Gaussian process."),
]
Ask = Annotated[
    list[str] | None,
    typer.Option("--ask", metavar="A=1,B=2", help="A design to answer for. Repeatable."),
]
Vary = Annotated[
    list[str] | None,
    typer.Option("--vary", metavar="A=1,2", help="A grid to answer for, as `sweep` takes it."),
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, metavar="N", help="Of the models, and of what is held out.")
]


def command(
    folder: Folder,
    *,
    metric: Metrics = None,
    model: Model = "boosted",
    ask: Ask = None,
    vary: Vary = None,
    seed: Seed = 0,
    fmt: o.TableOrJson = "table",
) -> None:
    """Learn from a study what designs would give, and say how wrong that is.

    Errors are of designs that were held out, a fifth at a time. Answers are labelled as a proxy's;
    none of them enters the study.
    """
    from archsim.cli import _surrogate
    from archsim.dse.surrogate import train
    from archsim.dse.surrogate_asked import designs_of

    designs = designs_of(ask or (), vary or ())
    proxy = train(folder, metric or (), kind=model, seed=seed)
    found, speed = proxy.predict(designs), proxy.speed()
    if fmt == "json":
        out.result(out.json_text(_surrogate.data(proxy, found, speed)))
    else:
        out.result(_surrogate.text(proxy, found, speed))
