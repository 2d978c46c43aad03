"""A collective on a fabric: its algorithm, time, bytes and energy when all groups run it at once.

The fastest algorithm that fits is taken, unless the collective or the network's options name one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from archsim.core.errors import InputError
from archsim.core.units import PS_PER_S
from archsim.interconnect.collective_options import CollectiveOptions
from archsim.interconnect.collectives.base import Site, algorithms
from archsim.interconnect.collectives.price import Priced, overhead_ps, price, protocol_ps
from archsim.interconnect.fabric import Fabric, Ints
from archsim.ir.collective import PATTERNS, Collective

Groups = Sequence[Sequence[int]]


@dataclass(frozen=True, eq=False)
class Exchanged:
    """What a collective took.

    Attributes:
        time_ps: from the last device's arrival until all have the result: the next three together.
        overhead_ps: launch and steps.
        latency_ps: ways of its rounds.
        transfer_ps: bytes over the fullest links, with what the protocol makes of them.
        algorithm: its kind; `none` where nothing is sent.
        reason: why this algorithm, as a sentence.
        link_bytes: over each link of the fabric, of all groups, [links].
        sent_bytes: by all devices of all groups.
        energy_pj: of the links and routers, of all groups.
        rounds: of messages, one behind the other.
        bound_ps: least time of the bytes that the busiest device has to send or get.
    """

    time_ps: int
    overhead_ps: int
    latency_ps: int
    transfer_ps: int
    algorithm: str
    reason: str
    link_bytes: Ints
    sent_bytes: int
    energy_pj: float
    rounds: int
    bound_ps: int


def exchange(
    fabric: Fabric,
    collective: Collective,
    groups: Groups,
    options: CollectiveOptions | None = None,
) -> Exchanged:
    """Carry out a collective in all groups of its axis, which start at the same instant.

    A `send` goes from the first device of a pair to the second; in longer groups every device sends
    to the one that is `peer` places on, round the group. A `receive` is part of its send: nothing.

    Args:
        fabric: the network.
        collective: what each group does.
        groups: device numbers of each, in order along the axis.
        options: overheads, protocols and algorithms of the network; none costs nothing.

    Raises:
        InputError: E202 for groups that are empty or not as the collective says, E203 for an
            algorithm that does not exist or does not fit.
    """
    _check(fabric, collective, groups)
    options = options or CollectiveOptions()
    nothing = _nothing(collective, groups)
    if nothing:
        zeros = np.zeros(fabric.links, np.int64)
        return Exchanged(0, 0, 0, 0, "none", nothing, zeros, 0, 0.0, 0, 0)
    if collective.pattern == "send" and len(groups[0]) > 2:
        groups = neighbours(groups, collective.peer or 1)
    tried = _try(fabric, collective, groups, options)
    overheads = options.overheads(collective.pattern)
    times = {
        kind: overhead_ps(overheads, p) + p.latency_ps + protocol_ps(overheads, kind, p)
        for kind, p in tried.items()
    }
    best = min(times, key=lambda kind: (times[kind], kind))
    priced = tried[best]
    return Exchanged(
        time_ps=times[best],
        overhead_ps=overhead_ps(overheads, priced),
        latency_ps=priced.latency_ps,
        transfer_ps=protocol_ps(overheads, best, priced),
        algorithm=best,
        reason=_reason(best, times, collective, options),
        link_bytes=priced.link_bytes,
        sent_bytes=priced.sent_bytes,
        energy_pj=float(8 * (priced.link_bytes * fabric.pj_per_bit).sum()),
        rounds=priced.rounds,
        bound_ps=bound_ps(fabric, collective),
    )


def neighbours(
    groups: Groups, peer: int, senders: Collection[int] | None = None
) -> tuple[tuple[int, int], ...]:
    """Pairs of each sender and the device so many places on, round its group: groups of a send.

    Args:
        groups: device numbers of each, in order along the axis.
        peer: places, back where negative.
        senders: devices that send, such as those of one stage; default all.
    """
    return tuple(
        (device, group[(i + peer) % len(group)])
        for group in groups
        for i, device in enumerate(group)
        if senders is None or device in senders
    )


def least_bytes(fabric: Fabric, collective: Collective) -> int:
    """Bytes that the busiest device has to send, or to get, on this network."""
    n, size, pattern = collective.devices, collective.size_bytes, collective.pattern
    if pattern == "all_reduce" and fabric.reduces and n > 1:
        return size  # up once, and down once
    if pattern == "gather" and n:
        return (n - 1) * size // n  # by the one that gets all
    if collective.sent_bytes:
        sent = np.array(collective.sent_bytes, np.int64).reshape(n, n)
        return max(collective.lower_bound_bytes(), int((sent.sum(0) - sent.diagonal()).max()))
    return collective.lower_bound_bytes()


def bound_ps(fabric: Fabric, collective: Collective) -> int:
    """Time of those over all links that leave a device, of the device with most, rounded down."""
    leaving = fabric.src < fabric.terminals
    out = np.bincount(fabric.src[leaving], fabric.bytes_per_s[leaving], fabric.terminals)
    return int(least_bytes(fabric, collective) * PS_PER_S / out.max())


def _check(fabric: Fabric, collective: Collective, groups: Groups) -> None:
    n, pattern = collective.devices, collective.pattern
    if pattern not in PATTERNS:
        raise InputError(f"{pattern} is no collective", code="E108", help=", ".join(PATTERNS))
    if not groups or any(not len(group) for group in groups):
        raise InputError(f"{pattern} over {collective.axis}: a group is empty", code="E202")
    sizes = {len(group) for group in groups}
    if sizes != {n} and (pattern not in ("send", "receive") or len(sizes) > 1):
        of = ", ".join(map(str, sorted(sizes)))
        message = f"{pattern} over {collective.axis}: groups of {of} devices, not {n}"
        raise InputError(message, code="E202")
    numbers = np.concatenate([np.asarray(group, np.int64) for group in groups])
    if numbers.min() < 0 or numbers.max() >= fabric.terminals:
        message = (
            f"{pattern} over {collective.axis}: device {int(numbers.max())} is not one of the"
            f" network's {fabric.terminals}"
        )
        raise InputError(message, code="E202")
    if collective.sent_bytes and len(collective.sent_bytes) != n * n:
        counts = f"{len(collective.sent_bytes)} counts for blocks between devices"
        message = f"{pattern} over {collective.axis}: {counts}, not {n * n}"
        raise InputError(message, code="E202")


def _nothing(collective: Collective, groups: Groups) -> str:
    """Why nothing is exchanged; empty where something is."""
    if len(groups[0]) == 1:
        return "one device has nothing to exchange"
    if collective.pattern == "receive":
        return "counted where it is sent"
    if not any(collective.sent_bytes or (collective.size_bytes,)):
        return "there are no bytes to exchange"
    return ""


def _try(
    fabric: Fabric, collective: Collective, groups: Groups, options: CollectiveOptions
) -> dict[str, Priced]:
    """Price of each algorithm that may be taken."""
    pattern = collective.pattern
    able = {kind: cls() for kind, cls in algorithms.items() if pattern in cls.PATTERNS}
    only = (collective.algorithm,) if collective.algorithm else options.allowed(pattern)
    unknown = [kind for kind in only if kind not in able]
    if unknown:
        message = f'no algorithm "{unknown[0]}" for {pattern}'
        raise InputError(message, code="E203", help=f"one of {', '.join(able)}")
    step_ps = round(options.overheads(pattern).step * PS_PER_S)
    site, reasons, tried = Site(fabric, groups, step_ps), {}, {}
    for kind, algorithm in able.items():
        if only and kind not in only:
            continue
        why = algorithm.fits(site, collective)
        if why:
            reasons[kind] = why
        else:
            tried[kind] = price(fabric, algorithm.rounds(site, collective), groups)
    if not tried:
        said = "; ".join(f"{kind}: {why}" for kind, why in reasons.items())
        who = " or ".join(only) if only else "no algorithm"
        can = "cannot" if only else "can"
        message = f"{who} {can} carry out {pattern} over {collective.axis}"
        raise InputError(message, code="E203", help=said)
    return tried


def _reason(
    best: str, times: dict[str, int], collective: Collective, options: CollectiveOptions
) -> str:
    """The time of the one taken, and of the others; or who named it."""
    own = f"{best}: {_us(times[best])}"
    others = [f"{kind} {_us(times[kind])}" for kind in sorted(times) if kind != best]
    if others:
        return ", ".join([own, *others])
    if collective.algorithm:
        return f"{own}, as the workload says"
    if options.allowed(collective.pattern):
        return f"{own}, as the network's description says"
    return f"{own}, the only one that fits"


def _us(time_ps: int) -> str:
    """Microseconds with three digits, or more above a thousand."""
    us = time_ps / 1e6
    return f"{us:,.0f} us" if us >= 100 else f"{us:.3g} us"
