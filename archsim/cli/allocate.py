"""`archsim allocate`: where a model's tensors lie in a scratchpad, when, and what that moves."""

from typing import Annotated, Literal

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim allocate resnet-50 --budget '2352 KiB' --set dtypes.activations=int8",
    "archsim allocate gpt2-small --phase prefill --tokens 128 --budget half --format json",
)
NEEDS_ARGUMENTS = True

Budget = Annotated[
    str,
    typer.Option(
        "--budget",
        metavar="SIZE",
        help="Bytes such as '2352 KiB'; or largest-op, the least that runs; peak, the least that "
        "evicts nothing; half, between them.",
    ),
]
Policy = Annotated[
    str,
    typer.Option(
        "--policy",
        metavar="NAME",
        help="first-fit, best-fit, greedy-by-size; exact keeps the order and solves the rest; "
        "cosma solves for the order too.",
    ),
]
Form = Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="How to print.")]


def command(
    workload: o.Workload,
    *,
    budget: Budget,
    policy: Policy = "cosma",
    set_: o.Set = None,
    phase: o.PhaseKind = None,
    batch: o.Batch = None,
    context: o.Context = None,
    tokens: o.Tokens = None,
    dim: o.Dim = None,
    fmt: Form = "table",
) -> None:
    """Lay a model's tensors out in a scratchpad: addresses, lifetimes, off-chip bytes.

    Activations are allocated; weights stream past and are counted as compulsory. The budgets peak
    and half, and the policies exact and cosma, need the extra [solver] where room is short.
    """
    from archsim.cli import _lifetimes

    found = _lifetimes.allocation(
        workload, budget, policy,
        set_=[s.removeprefix("workload.") for s in o.with_dims(set_, dim)],
        phase=phase, batch=batch, context=context, tokens=tokens,
    )  # fmt: skip
    if fmt == "json":
        out.result(out.json_text(_lifetimes.data(found)))
    elif fmt == "csv":
        out.result(out.csv_text(_lifetimes.rows(found)))
    else:
        out.result(_lifetimes.text(found))
