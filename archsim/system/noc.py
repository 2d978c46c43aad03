"""Latency against load on a network, flit by flit or message by message: the `noc` of the API."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from archsim.core.errors import InputError, nearest
from archsim.interconnect.traffic import pattern
from archsim.interconnect.traffic_trace import read_packets, replayed
from archsim.system.noc_network import network_of
from archsim.system.noc_result import NocResult, Point
from archsim.system.noc_sweep import run_loads
from archsim.system.noc_times import too_short

FIDELITIES = ("cycle", "tile")
RANDOM = ("own", "replay")
OF_FLITS = (
    "vcs", "buffer", "routing", "link_latency", "credit_delay", "wait_for_tail_credit",
)  # fmt: skip


def noc(
    topology: str | dict[str, Any] | Any,
    traffic: str = "uniform",
    loads: Sequence[float] = (),
    *,
    hot: Sequence[int] = (),
    trace: str | Path | None = None,
    packet_flits: int = 1,
    rng: str = "own",
    seed: int = 1,
    fidelity: str = "cycle",
    plain: bool = False,
    tell: Callable[[Point], None] | None = None,
    **routers: Any,
) -> NocResult:
    """Latency against load of a network.

    Args:
        topology: `mesh:8x8`, `torus:4x4x4`, `ring:16`..., the description of a network, or a
            machine that has one.
        traffic: uniform | transpose | bitcomp | tornado | neighbour | hotspot | trace.
        loads: flits per node and cycle of the node's link; none: a sweep until it saturates.
        hot: the nodes that `hotspot` sends to.
        trace: the file of `trace`.
        packet_flits: flits of a packet.
        rng: own, or replay: the random numbers of BookSim2, whose figures are then met exactly.
        seed: of the random numbers.
        fidelity: cycle: flits, VCs and credits; tile: messages that share links fairly.
        plain: run as plain Python even where numba is installed.
        tell: called with each load as it is done.
        routers: fields of RouterSpec, such as vcs, buffer and routing.

    Raises:
        ArchsimError: with the exit code that the command line returns.
    """
    _check(loads, packet_flits, seed, rng, fidelity)
    if rng == "replay" and fidelity == "tile":
        raise InputError("rng replay draws for flits: fidelity cycle", code="E202")
    given = {key: value for key, value in routers.items() if value is not None}
    network = network_of(topology, given, fidelity=fidelity)
    nodes = network.wires.nodes
    if (traffic == "trace") != (trace is not None):
        raise InputError("traffic trace, and no other, needs a trace file", code="E202")
    if trace is not None:
        if loads:
            raise InputError("a trace says its own load", code="E202")
        read = read_packets(trace, nodes)
        packets = replayed(read, nodes)
        lengths = [flits for *_, flits in read]
    else:
        lengths = [packet_flits]
        packets = pattern(traffic, nodes, network.wires.dims, hot)
    points, saturation, within, zero = run_loads(
        network, packets, loads, packet_flits=packet_flits, seed=seed, replay=rng == "replay",
        fidelity=fidelity, plain=plain, tell=tell,
    )  # fmt: skip
    options = {
        "traffic": traffic, "hot": list(hot),
        "packet_flits": packet_flits if trace is None else fmean(lengths),
        "packet_flits_min": min(lengths), "packet_flits_max": max(lengths), "rng": rng,
        "seed": seed, "fidelity": fidelity, "routers": network.routers.to_data(),
    }  # fmt: skip
    said = _without_effect(given) if fidelity == "tile" else too_short(network, fmean(lengths))
    warnings = (said,) if said else ()
    return NocResult(network, options, points, saturation, within, zero, warnings)


def _without_effect(given: Collection[str]) -> str | None:
    """What to say of options that only flits have."""
    idle = [name for name in OF_FLITS if name in given]
    if not idle:
        return None
    have = "has" if len(idle) == 1 else "have"
    return f"{', '.join(idle)} {have} no effect at fidelity tile: messages have no VCs or buffers"


def _check(loads: Sequence[float], packet_flits: int, seed: int, rng: str, fidelity: str) -> None:
    """Refuse what no network takes.

    Raises:
        InputError: E107 for a number out of range, E108 for an unknown word.
    """
    wrong = [load for load in loads if not 0 < load <= 1]
    if wrong:
        raise InputError(
            f"load must be above 0 and at most 1, got {wrong[0]:g}",
            code="E107",
            help="flits per node and cycle, of which a node's link takes one",
        )
    for name, value, most in (("packet_flits", packet_flits, 1 << 16), ("seed", seed, 1 << 30)):
        least = 1 if name == "packet_flits" else 0
        if not least <= value <= most:
            raise InputError(f"{name} must be from {least} to {most}, got {value}", code="E107")
    for name, word, known in (("rng", rng, RANDOM), ("fidelity", fidelity, FIDELITIES)):
        if word not in known:
            close = nearest(word, known)
            raise InputError(
                f'{name} "{word}" is not one of {", ".join(known)}',
                code="E108",
                help=f'did you mean "{close}"?' if close else None,
            )
