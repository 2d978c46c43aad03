"""`archsim memory`: one DRAM under one request list, down to its banks."""

from typing import Annotated, Literal

import typer

from archsim.cli import _options as o

EXAMPLES = (
    "archsim memory DDR4_3200 --trace rand_rd --scheduler frfcfs_row_hit",
    "archsim memory HBM3 --trace rand_rd --sweep-load -o curve",
)
NEEDS_ARGUMENTS = True

Standard = Annotated[
    str, typer.Argument(metavar="STANDARD", help="A DRAM standard, or a YAML file of one.")
]
Trace = Annotated[
    str, typer.Option("--trace", metavar="NAME|FILE", help="Request list, or a trace file.")
]
Number = Annotated[
    int | None,
    typer.Option("--requests", min=1, metavar="N", help="Default: 32768, or all of a file."),
]
Channels = Annotated[int, typer.Option("--channels", min=1, metavar="N", help="Power of two.")]
Mapping = Annotated[
    str,
    typer.Option(
        "--mapping", metavar="MAP", help="MOP4CLXOR, RoBaRaCoCh, rochrababgco, or a bit order."
    ),
]
Structure = Annotated[
    Literal["unified", "command_queues"],
    typer.Option("--structure", help="Queues as in Ramulator 2.1, or as in DRAMsim3."),
]
Scheduler = Annotated[
    Literal["fcfs", "frfcfs", "frfcfs_row_hit"] | None,
    typer.Option("--scheduler", help="Which request goes first."),
]
RowPolicy = Annotated[
    str | None,
    typer.Option(
        "--row-policy",
        metavar="POLICY",
        help="open, closed, closed_after:N accesses, or timeout:N ticks.",
    ),
]
Refresh = Annotated[
    Literal[
        "all_bank", "per_bank", "per_bank_interleaved", "none", "rank_staggered", "bank_staggered"
    ]
    | None,
    typer.Option("--refresh", help="Refresh commands."),
]
Queue = Annotated[
    int | None, typer.Option("--queue", min=1, metavar="N", help="Reads, and writes, that wait.")
]
Outstanding = Annotated[
    int, typer.Option("--outstanding", min=0, metavar="N", help="In flight at most; 0: no cap.")
]
Sweep = Annotated[
    bool, typer.Option("--sweep-load", help="Latency against load, with a figure under -o.")
]
Folder = Annotated[
    str | None, typer.Option("-o", "--output", metavar="DIR", help="Where the figure goes.")
]


def command(
    standard: Standard,
    *,
    trace: Trace = "stream_rd",
    requests: Number = None,
    channels: Channels = 1,
    mapping: Mapping = "MOP4CLXOR",
    structure: Structure = "unified",
    scheduler: Scheduler = None,
    row_policy: RowPolicy = None,
    refresh: Refresh = None,
    queue: Queue = None,
    outstanding: Outstanding = 0,
    sweep_load: Sweep = False,
    output: Folder = None,
    fmt: o.AnyFormat = "table",
) -> None:
    """Send requests to a DRAM and print bandwidth, latencies, row statistics and energy.

    Ticks are exact: those of Ramulator 2.1, or of DRAMsim3 with `--structure command_queues`. A
    trace file has lines such as `0x1f40,r` or `0x1f40 W 120`.
    """
    from archsim.cli import _memories

    if output and not sweep_load:
        raise typer.BadParameter("is for --sweep-load, which draws a figure", param_hint="-o")
    setup = _memories.setup(
        standard, trace, requests, channels, mapping, outstanding,
        structure=structure, scheduler=scheduler, row_policy=row_policy, refresh=refresh,
        queue=queue,
    )  # fmt: skip
    if sweep_load:
        rows = _memories.curve(setup, output)
        _memories.show_curve(rows, fmt, output)
        return
    _memories.show(_memories.measured(setup), fmt)
