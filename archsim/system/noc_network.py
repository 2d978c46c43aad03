"""A network with its routers, ready for traffic: how it is routed, and in which cycles."""

from __future__ import annotations

from typing import Any

from archsim.core.document import Document
from archsim.core.errors import InputError, Unsupported
from archsim.core.yamlio import validate
from archsim.interconnect.base import Topology
from archsim.interconnect.fabric import Fabric
from archsim.interconnect.flit_paths import along_paths, cycle_ps, wired
from archsim.interconnect.flit_spec import RouterSpec
from archsim.interconnect.flit_wires import Wires, lattice
from archsim.system.noc_named import find_network, has_dims, is_word, word_latency, wraps
from archsim.system.noc_result import Network
from archsim.system.noc_times import as_long_as_credits, held_flits

BITS = 8
FLIT_BITS = 128  # of links that have no width of their own (assumed)
MOST_HELD = 1 << 24  # flits in all buffers together: about 1 GiB (assumed)


def network_of(topology: Any, options: dict[str, Any], *, fidelity: str) -> Network:
    """A network with its routers.

    Args:
        topology: as `noc_named.find_network` takes it.
        options: of the routers, those of RouterSpec that are given.
        fidelity: cycle, or tile, which needs no routers.

    Raises:
        InputError: for no network, and options that it cannot have.
        Unsupported: for buffers that hold more flits than are laid out.
    """
    name, link = find_network(topology)
    fabric = link.fabric()
    spec = link.spec
    own = spec.router.to_data() if "router" in type(spec).model_fields else {}
    if is_word(topology):
        own |= {"link_latency": word_latency(link)}
    flit_bytes = getattr(spec, "width", FLIT_BITS) / BITS
    usual = {"routing": "dimension_order" if _regular(link, is_word(topology)) else "table"}
    routers = validate(Document.of(usual | own | options), RouterSpec)
    wires = _wires(link, fabric, routers, flit_bytes, fidelity)
    asked = routers
    if fidelity == "cycle":
        if _between_chips(link, is_word(topology)) and "buffer" not in _said(spec, options):
            routers = as_long_as_credits(wires, routers)
        _check_held(name, wires, routers)
    period = cycle_ps(fabric, flit_bytes)
    return Network(name, wires, routers, period, flit_bytes, fabric, routers != asked)


def _said(spec: Any, options: dict[str, Any]) -> set[str]:
    """Fields of the routers that are not left to their defaults."""
    return {*options, *getattr(getattr(spec, "router", None), "model_fields_set", ())}


def _between_chips(link: Topology, word: bool) -> bool:
    """Whether it joins chips, whose makers lay out buffers for the length of their links."""
    return not word and not link.spec.place and getattr(link.spec, "medium", "") != "chip"


def _check_held(name: str, wires: Wires, routers: RouterSpec) -> None:
    """Refuse what does not fit into memory.

    Raises:
        Unsupported: E301.
    """
    held = held_flits(wires, routers)
    if held > MOST_HELD:
        raise Unsupported(
            f"{name} has {wires.nodes} nodes, and buffers of {held} flits, beyond {MOST_HELD}",
            help="a smaller network or buffer, or fidelity tile",
        )


def _regular(link: Topology, word: bool) -> bool:
    """Whether links are those of `lattice`, which closes two nodes with two links each way."""
    if not has_dims(link) or link.spec.express:
        return False
    return word or not (wraps(link) and 2 in link.spec.dims)


def _wires(
    link: Topology, fabric: Fabric, routers: RouterSpec, flit_bytes: float, fidelity: str
) -> Wires:
    if fidelity == "tile":
        wires, own = wired(fabric, flit_bytes, routers.pipeline_cycles)
        return Wires(fabric.nodes, fabric.terminals, wires, own, fabric.dims)
    if routers.routing == "table":
        return along_paths(fabric, routers.vcs, flit_bytes, routers.pipeline_cycles)
    if not has_dims(link) or link.spec.express:
        raise InputError(
            f"routing {routers.routing} needs a mesh or torus without express links, not a "
            f"{link.kind}",
            code="E202",
            help="table routes any network",
        )
    _check_escape(link, routers)
    latency = int(fabric.latency_ps[0]) if fabric.links else 0
    cycles = round(latency / cycle_ps(fabric, flit_bytes)) - routers.pipeline_cycles
    return lattice(fabric.dims, wraps=wraps(link), latency_cycles=max(1, cycles))


def _check_escape(link: Topology, routers: RouterSpec) -> None:
    """Refuse routing that could deadlock.

    Raises:
        InputError: E202.
    """
    adaptive = routers.routing == "adaptive"
    escapes = 2 if wraps(link) else 1
    least = escapes + 1 if adaptive else escapes
    if routers.vcs < least:
        raise InputError(
            f"{routers.routing} routing on a {link.kind} needs {least} VCs or more, not "
            f"{routers.vcs}",
            code="E202",
            help="packets that go round the end need VCs of their own, or wait in a ring"
            if not adaptive
            else f"{escapes} of them are the escape from deadlock",
        )
    if adaptive and not routers.wait_for_tail_credit:
        raise InputError(
            "adaptive routing needs VCs that hold one packet at a time",
            code="E202",
            help="wait_for_tail_credit: true",
        )
