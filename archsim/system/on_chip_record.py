"""The network on the chip as plain data for the report."""

from __future__ import annotations

from collections.abc import Sequence
from math import isinf

from archsim.interconnect.flit_wires import coordinates
from archsim.interconnect.floorplan import said
from archsim.ir.floor_record import FloorRecord, FlowRecord
from archsim.system.on_chip import FLOW, OnChip
from archsim.system.simulate import Timed


def floor_record(
    noc: OnChip | None, keys: Sequence[str], timed: Timed | None
) -> FloorRecord | None:
    """The network and the flows that a run counted; None where there is none.

    Args:
        noc: the network.
        keys: of all counts.
        timed: the run, or None where only bounds were asked for.
    """
    if noc is None:
        return None
    fabric, dims = noc.fabric, noc.fabric.dims

    def name(node: int) -> str:
        if fabric.names:
            return fabric.names[node]
        return said(coordinates(node, dims)) if dims else str(node)

    wires = tuple(range(fabric.links))
    if fabric.half_duplex is not None:
        other = fabric.half_duplex.tolist()
        wires = tuple(min(i, o) if o >= 0 else i for i, o in enumerate(other))
    routers = timed is not None and timed.schedule.routers
    ends = zip(fabric.src.tolist(), fabric.dst.tolist(), strict=True)
    return FloorRecord(
        noc.name,
        noc.link.kind,
        {part: tuple(map(name, nodes)) for part, nodes in noc.place.items()},
        {k: _flow(noc, k, routers=routers) for k in keys if k.startswith(f"{FLOW}.{noc.name}.")},
        tuple((name(a), name(b)) for a, b in ends),
        tuple(fabric.bytes_per_s.tolist()),
        wires,
    )


def _flow(noc: OnChip, key: str, *, routers: bool) -> FlowRecord:
    one = noc.flow(key, routers=routers)
    rate = one.bytes_per_s
    return FlowRecord(
        key.removeprefix(f"{FLOW}.{noc.name}."),
        None if isinf(rate) else rate,
        one.reached,
        one.hops,
        one.mean_ps,
        one.worst_ps,
        tuple(one.share.tolist()),
    )


def short_buffers(noc: OnChip | None, timed: Timed | None) -> tuple[tuple[str, str], ...]:
    """(code, text) of a warning where routers were simulated whose buffers leave links idle."""
    if noc is None or timed is None or not timed.schedule.routers:
        return ()
    from archsim.system.on_chip_routers import short_buffers_of

    said = short_buffers_of(noc.link)
    return (("W206", f"interconnect.{noc.name}: {said}"),) if said else ()
