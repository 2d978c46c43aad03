"""Who sends to whom on a network: the patterns of the literature, and traces from files.

Patterns as in Dally and Towles, "Principles and Practices of Interconnection Networks", 2004,
section 3.2, with the conventions of BookSim2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archsim.core.errors import InputError, nearest
from archsim.interconnect import flit_fields as f
from archsim.interconnect.flit_wires import coordinates

PATTERNS = ("uniform", "transpose", "bitcomp", "tornado", "neighbour", "hotspot", "trace")


@dataclass(frozen=True)
class Pattern:
    """Traffic as the flit simulator reads it.

    Attributes:
        name: one of PATTERNS.
        kind: a constant of `flit_fields`.
        targets: the node that each node sends to, or the hot nodes.
        trace: destination, flits and the cycle of the node's next packet, for every packet.
        first: cycle of each node's first packet, [nodes].
        entry: where each node's packets begin in `trace`, [nodes].
    """

    name: str
    kind: int
    targets: tuple[int, ...] = ()
    trace: tuple[int, ...] = ()
    first: tuple[int, ...] = ()
    entry: tuple[int, ...] = ()


def pattern(name: str, nodes: int, dims: Sequence[int] = (), hot: Sequence[int] = ()) -> Pattern:
    """A pattern by name.

    Args:
        name: uniform | transpose | bitcomp | tornado | neighbour | hotspot.
        nodes: of the network.
        dims: extents of a mesh or torus; other networks are one dimension of all nodes.
        hot: the nodes that `hotspot` sends to.

    Raises:
        InputError: E108 for an unknown pattern, E202 where the network has not the form that it
            needs, E107 for a hot node outside.
    """
    dims = dims or (nodes,)
    if hot and name != "hotspot":
        raise InputError(f"hot nodes belong to hotspot, not to {name}", code="E202")
    if name == "uniform":
        return Pattern(name, f.UNIFORM)
    if name == "hotspot":
        return _hotspot(nodes, hot)
    if name in ("transpose", "bitcomp"):
        return Pattern(name, f.PERMUTATION, _of_bits(name, nodes))
    if name in ("tornado", "neighbour"):
        return Pattern(name, f.PERMUTATION, _shifted(name, nodes, dims))
    close = nearest(name, PATTERNS)
    raise InputError(
        f'traffic "{name}" is not one of {", ".join(PATTERNS)}',
        code="E108",
        help=f'did you mean "{close}"?' if close else None,
    )


def _hotspot(nodes: int, hot: Sequence[int]) -> Pattern:
    if not hot:
        raise InputError("hotspot needs its hot nodes", code="E102", help="such as 27,28,35,36")
    outside = [node for node in hot if not 0 <= node < nodes]
    if outside:
        raise InputError(
            f"hot node {outside[0]} is not one of the {nodes} nodes",
            code="E107",
            help=f"nodes are 0 to {nodes - 1}",
        )
    return Pattern("hotspot", f.HOT, tuple(hot))


def _of_bits(name: str, nodes: int) -> tuple[int, ...]:
    """Node numbers with their bits swapped by halves, or inverted."""
    bits = nodes.bit_length() - 1
    if nodes != 1 << bits:
        raise InputError(
            f"{name} needs a power of two of nodes, not {nodes}",
            code="E202",
            help=f"{1 << bits} or {2 << bits} nodes",
        )
    if name == "bitcomp":
        return tuple(node ^ (nodes - 1) for node in range(nodes))
    if bits % 2:
        raise InputError(
            f"transpose needs a square of nodes, not {nodes}",
            code="E202",
            help=f"{nodes // 2} or {nodes * 2} nodes",
        )
    half = bits // 2
    low = (1 << half) - 1
    return tuple((node & low) << half | node >> half for node in range(nodes))


def _shifted(name: str, nodes: int, dims: Sequence[int]) -> tuple[int, ...]:
    """Every coordinate moved up, modulo its extent: by one, or by almost half."""
    found = []
    for node in range(nodes):
        to, stride = 0, 1
        for own, extent in zip(coordinates(node, dims), dims, strict=True):
            step = 1 if name == "neighbour" else (extent + 1) // 2 - 1
            to += (own + step) % extent * stride
            stride *= extent
        found.append(to)
    return tuple(found)
