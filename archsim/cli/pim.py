"""`archsim pim`: a memory that computes, under one trace of commands."""

from typing import Annotated, Literal

import typer

from archsim.cli import _options as o

EXAMPLES = (
    'archsim pim GDDR6_AiM --trace "WR_GB 64; MAC_ABK 64 rows 0..9" --channels 1',
    "archsim pim HBM3_PIM_5.2Gbps --trace gemv:4096x4096 --refresh all_bank",
)
NEEDS_ARGUMENTS = True

Standard = Annotated[
    str,
    typer.Argument(metavar="STANDARD", help="A DRAM standard with a command set, or its YAML."),
]
Trace = Annotated[
    str,
    typer.Option(
        "--trace", metavar="TRACE", help="NAME:SIZES of each channel, a description, or a file."
    ),
]
Commands = Annotated[
    str | None,
    typer.Option(
        "--commands", metavar="SET", help="Command set: see `archsim list pim`. Default: the first."
    ),
]
Channels = Annotated[
    int | None,
    typer.Option("--channels", metavar="N", help="Channels of a trace without masks. Default: all"),
]
Refresh = Annotated[
    Literal["none", "all_bank", "per_bank"], typer.Option("--refresh", help="Refresh commands.")
]
Exact = Annotated[
    bool, typer.Option("--exact", help="Simulate each channel, also those that do the same.")
]
Form = Annotated[Literal["text", "json", "csv"], typer.Option("--format", help="How to print.")]
Folder = Annotated[
    str | None, typer.Option("--out", "-o", metavar="DIR", help="Write result and tables there.")
]


def command(
    standard: Standard,
    *,
    trace: Trace = "gemv:1024x4096",
    commands: Commands = None,
    channels: Channels = None,
    refresh: Refresh = "none",
    exact: Exact = False,
    fmt: Form = "text",
    output: Folder = None,
    force: o.Force = False,
) -> None:
    """Run a command trace and print cycles, commands, waiting and energy.

    For AiM cycles are exact: those of its simulator. Names: gemv, and for AiM gemv_acc, ewmul,
    mac_abk, mac_sbk, mac_sbk_banks, mac_same_row, wr_gb; for other sets mac. Sizes are per channel
    (of HBM per pseudo channel): with 32 channels `gemv:1024x4096` is 32 such products, each on
    data of its own; a matrix dealt out by rows is `gemv:32x4096`. A file has lines such as
    `AiM MAC_ABK 64 0xffffffff 0`.
    """
    from archsim import api
    from archsim.cli import _folder, _pims

    _folder.refuse_to_replace(output, force=force)
    found = api.pim(
        standard, trace, commands=commands, channels=channels, refresh=refresh, exact=exact
    )
    _pims.show(found, fmt)
    if output:
        _pims.write(found, output)
