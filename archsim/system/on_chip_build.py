"""From a floorplan as described to the network of the chip: who sits where, and whether all fit."""

from __future__ import annotations

from collections.abc import Mapping

from archsim.components.base import Engine
from archsim.core.errors import InputError, nearest
from archsim.energy.table import EnergyTable
from archsim.interconnect.base import Link, Topology
from archsim.interconnect.dma import Dma
from archsim.interconnect.floorplan import Nodes, nodes_of
from archsim.memory.base import Memory
from archsim.system.network_port import on_chip
from archsim.system.on_chip import OnChip


def chip_network(
    movers: Mapping[str, Link],
    memories: Mapping[str, Memory],
    engines: Mapping[str, Engine],
    table: EnergyTable,
) -> OnChip | None:
    """The network of the chip, if the machine has one.

    Raises:
        InputError: E201 for a name or a node that does not exist, E202 for two such networks, for
            parts without a place, and for nodes that instances cannot be dealt to.
    """
    found = [x for _, x in sorted(movers.items()) if isinstance(x, Topology) and on_chip(x)]
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(link.name for link in found)
        raise InputError(
            f"interconnect has {len(found)} networks with a place: {names}",
            code="E202",
            help="a chip has one network; levels of one are of kind hierarchical",
            details={"path": f"interconnect.{found[1].name}"},
        )
    link = found[0]
    ends = {n: (x.spec.from_, x.spec.to) for n, x in movers.items() if isinstance(x, Dma)}
    place = {name: nodes_of(link, name, nodes) for name, nodes in link.spec.place.items()}
    _all_placed(link, place, memories, engines, ends)
    receivers = dict(place)
    for name, engine in engines.items():
        receivers[name] = _dealt(link, engine, place[name])
    return OnChip(link, table, place, receivers, memories, engines, ends)


def _all_placed(
    link: Topology,
    place: Mapping[str, Nodes],
    memories: Mapping[str, Memory],
    engines: Mapping[str, Engine],
    ends: Mapping[str, tuple[str, str]],
) -> None:
    """Every name is of a part, and every part that uses the network has a place."""
    known = [*memories, *engines]
    for name in place:
        if name not in known:
            close = nearest(name, known)
            path = f"interconnect.{link.name}.place.{name}"
            raise InputError(
                f'{path} names "{name}", which is neither engine nor memory',
                code="E201",
                help=f"names: {', '.join(known)}" + (f'; did you mean "{close}"?' if close else ""),
                details={"path": path},
            )
    chip = next(name for name, m in sorted(memories.items()) if not m.off_chip)
    beside = {name for pair in ends.values() if chip in pair for name in pair}
    for name in (*sorted(engines), *sorted(beside)):
        if name not in place:
            what = "engine" if name in engines else "memory"
            raise InputError(
                f"{what} {name} has no place on {link.name}",
                code="E202",
                help=f"interconnect.{link.name}.place.{name}: all, or a list of nodes",
                details={"path": f"interconnect.{link.name}.place"},
            )


def _dealt(link: Topology, engine: Engine, nodes: Nodes) -> Nodes:
    """The node of each instance of an engine: as many on each of its nodes.

    Raises:
        InputError: E202 for more nodes than instances, and for instances that do not divide.
    """
    count = int(getattr(engine.spec, "count", 1))
    path = f"interconnect.{link.name}.place.{engine.name}"
    if count % len(nodes):
        more = "more" if len(nodes) > count else "no divisor of"
        raise InputError(
            f"{path} has {len(nodes)} nodes, {more} {'than ' * (more == 'more')}the {count} of "
            f"engines.{engine.name}.count",
            code="E202",
            help=f"{count} nodes, or a number that divides {count}",
            details={"path": path},
        )
    return tuple(node for node in nodes for _ in range(count // len(nodes)))
