"""A network some of whose links are slow or missing: messages go round those that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from archsim.core.errors import Infeasible, InputError
from archsim.interconnect._routes import FewestHops, routes_of, single
from archsim.interconnect.fabric import Fabric, Ints, Routes


@dataclass(frozen=True, slots=True)
class Wear:
    """What is left of a link, in both directions.

    Attributes:
        ends: its two nodes.
        share: of its bandwidth; 0 where it is missing.
        path: where that is said, for messages.
    """

    ends: tuple[int, int]
    share: float
    path: str


def worn(fabric: Fabric, links: Sequence[Wear], network: str) -> Fabric:
    """The network with what is left of some links.

    Args:
        fabric: as described.
        links: that are slow or missing.
        network: its name, for messages.

    Raises:
        InputError: E201 for a link that the network does not have.
        Infeasible: E401 when some devices can no longer be reached.
    """
    rate, gone = fabric.bytes_per_s.copy(), np.zeros(fabric.links, dtype=np.bool_)
    for wear in links:
        found = _between(fabric, wear, network)
        if wear.share:
            rate[found] *= wear.share
        else:
            gone[found] = True
    if not gone.any():
        return replace(fabric, bytes_per_s=rate)
    first = next(wear.path for wear in links if not wear.share)
    routes = _round(fabric, np.flatnonzero(~gone), network, first)
    return replace(fabric, bytes_per_s=rate, routes=routes, route=single(routes))


def _between(fabric: Fabric, wear: Wear, network: str) -> Ints:
    """Links between two nodes, both ways."""
    a, b = wear.ends
    found = np.flatnonzero(
        ((fabric.src == a) & (fabric.dst == b)) | ((fabric.src == b) & (fabric.dst == a))
    )
    if not len(found):
        beside = sorted({*fabric.dst[fabric.src == a].tolist()})
        known = ", ".join(map(str, beside[:16])) or "nothing"
        raise InputError(
            f"{wear.path} is from {a} to {b}, and {network} has no such link",
            code="E201",
            help=f"{a} is joined to {known}",
            details={"path": wear.path},
        )
    return found


def _round(fabric: Fabric, left: Ints, network: str, path: str) -> Routes:
    """Routes as they were, or of fewest hops over what is left where they passed a missing link."""
    fewest = FewestHops(fabric.nodes, fabric.src[left], fabric.dst[left])
    unreached = fewest.unreached(fabric.terminals)
    if unreached:
        raise Infeasible(
            f"the job does not survive: without the missing links of {network} no way leads from "
            f"device 0 to {_devices(unreached)}",
            code="E401",
            help="a network with more than one way between any two devices",
            details={"path": path, "unreached": list(unreached)},
        )
    before = routes_of(fabric)

    def routes(start: Ints, end: Ints) -> Ints:
        rows = before(start, end)
        broken = ((rows >= 0) & ~np.isin(rows, left)).any(axis=1)
        if not broken.any():
            return rows
        around = fewest(start[broken], end[broken])
        width = max(rows.shape[1], around.shape[1])
        found = np.full((len(rows), width), -1, np.int64)
        found[:, : rows.shape[1]] = rows
        found[broken] = -1
        found[broken, : around.shape[1]] = np.where(around < 0, -1, left[around])
        return found

    return routes


def _devices(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    more = f" and {len(numbers) - 8} more" if len(numbers) > 8 else ""
    return f"device{'s' if len(numbers) > 1 else ''} {shown}{more}"
