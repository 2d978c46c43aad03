"""`archsim noc`: latency against load of a network, flit by flit or message by message."""

from typing import Annotated, Literal

import typer

from archsim.cli import _options as o

EXAMPLES = (
    "archsim noc mesh:8x8 --load 0.1,0.2,0.3 --packet-flits 5",
    "archsim noc torus:4x4x4 --traffic tornado --out curve",
)
NEEDS_ARGUMENTS = True

Topology = Annotated[
    str,
    typer.Argument(
        metavar="TOPOLOGY", help="mesh:8x8, torus:4x4x4, ring:16..., or a machine with a network."
    ),
]
File = Annotated[str | None, typer.Argument(metavar="FILE", help="Packets of `--traffic trace`.")]
Traffic = Annotated[
    str,
    typer.Option(
        "--traffic",
        metavar="PATTERN",
        help="uniform, transpose, bitcomp, tornado, neighbour, hotspot or trace.",
    ),
]
Load = Annotated[
    str,
    typer.Option(
        "--load", metavar="L,L", help="Flits per node and cycle. Default: up to saturation."
    ),
]
Hot = Annotated[str, typer.Option("--hot", metavar="N,N", help="Nodes that `hotspot` sends to.")]
Flits = Annotated[int, typer.Option("--packet-flits", metavar="N", help="Flits of a packet.")]
Vcs = Annotated[int | None, typer.Option("--vcs", metavar="N", help="Virtual channels of a port.")]
Buffer = Annotated[
    int | None, typer.Option("--buffer", metavar="N", help="Flits that a virtual channel holds.")
]
Routing = Annotated[
    Literal["dimension_order", "adaptive", "table"] | None,
    typer.Option("--routing", help="Default: in order of dimensions, else by table."),
]
LinkLatency = Annotated[
    int | None, typer.Option("--link-latency", metavar="N", help="Cycles of a link.")
]
CreditDelay = Annotated[
    int | None,
    typer.Option("--credit-delay", metavar="N", help="Cycles to take a credit in. Default: 2."),
]
EarlyRelease = Annotated[
    bool,
    typer.Option("--early-release", help="Free a virtual channel before its last credit is back."),
]
Rng = Annotated[
    Literal["own", "replay"], typer.Option("--rng", help="`replay` draws as BookSim2 does.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Of the random numbers.")]
Fidelity = Annotated[
    Literal["cycle", "tile"],
    typer.Option("--fidelity", help="Flits, or messages that share links."),
]
Form = Annotated[Literal["text", "json", "csv"], typer.Option("--format", help="How to print.")]
Folder = Annotated[
    str | None, typer.Option("--out", "-o", metavar="DIR", help="Write tables and figures there.")
]


def command(
    topology: Topology,
    file: File = None,
    *,
    traffic: Traffic = "uniform",
    load: Load = "",
    hot: Hot = "",
    packet_flits: Flits = 1,
    vcs: Vcs = None,
    buffer: Buffer = None,
    routing: Routing = None,
    link_latency: LinkLatency = None,
    credit_delay: CreditDelay = None,
    early_release: EarlyRelease = False,
    rng: Rng = "own",
    seed: Seed = 1,
    fidelity: Fidelity = "cycle",
    fmt: Form = "text",
    output: Folder = None,
    force: o.Force = False,
) -> None:
    """Load a network and print latency, saturation, hops and the use of every link.

    Routers are input-queued, with virtual channels and credits, as in BookSim2. A trace has lines
    such as `120,0,5,4`: cycle, source, destination, flits.
    """
    from archsim.cli import _folder, _networks

    _folder.refuse_to_replace(output, force=force)
    found = _networks.loaded(
        topology, traffic, load, hot, file, packet_flits=packet_flits, rng=rng, seed=seed,
        fidelity=fidelity, vcs=vcs, buffer=buffer, routing=routing, link_latency=link_latency,
        credit_delay=credit_delay, wait_for_tail_credit=False if early_release else None,
    )  # fmt: skip
    _networks.show(found, fmt)
    if output:
        _networks.write(found, output)
