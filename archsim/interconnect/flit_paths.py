"""Table routing: any fabric as routers and laid paths, in VC classes that keep deadlock away.

A path holds one channel while it asks for the next; where these waits close a ring, packets can
stop for ever (Dally and Seitz, 1987). Paths that take one of the waits that close rings change to
the next class of VCs there, as at the dateline of a ring: classes only grow, so no ring is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from archsim.core.errors import InputError, Unsupported
from archsim.core.units import PS_PER_S
from archsim.interconnect.fabric import Fabric
from archsim.interconnect.flit_fields import PATH_SHIFT
from archsim.interconnect.flit_wires import Wire, Wires

MOST_PAIRS = 1 << 20  # of nodes, whose paths are held
SHOWN = 6  # links of a ring that an error names


def cycle_ps(fabric: Fabric, flit_bytes: float) -> float:
    """A cycle: the fastest link carries a flit in one."""
    return flit_bytes * PS_PER_S / float(fabric.bytes_per_s.max())


def along_paths(fabric: Fabric, vcs: int, flit_bytes: float, router_cycles: int) -> Wires:
    """A fabric's links and routes as the flit simulator reads them.

    Args:
        fabric: any network; each of its nodes gets a router.
        vcs: that classes are made of.
        flit_bytes: what the fastest link carries in a cycle.
        router_cycles: part of each link's latency that is its router's pipeline.

    Raises:
        InputError: E202 when the routes need more VC classes than there are VCs, naming a ring of
            links that wait for each other.
        Unsupported: for half-duplex wires, or too many pairs of nodes.
    """
    if fabric.half_duplex is not None and (fabric.half_duplex >= 0).any():
        raise Unsupported(
            f"wires of a {fabric.kind} that both directions share have no routers at each end",
            help="fidelity tile simulates them",
        )
    if fabric.terminals**2 > MOST_PAIRS:
        raise Unsupported(
            f"{fabric.terminals} nodes have too many paths for table routing",
            help="dimension_order on a mesh or torus, or fidelity tile",
        )
    nodes = range(fabric.terminals)
    routes = [fabric.route(a, b) for a in nodes for b in nodes]
    back = closing_waits(routes)
    changes = [sum(pair in back for pair in _waits(r)) for r in routes]
    classes = 1 + max(changes)
    if classes > vcs:
        raise _deadlock(fabric, routes, back, classes, vcs)
    links, own = wired(fabric, flit_bytes, router_cycles)
    steps: list[int] = []
    at = []
    masks = [_mask(c, classes, vcs) for c in range(classes)]
    everything = (1 << vcs) - 1
    for i, links_of in enumerate(routes):
        at.append(len(steps))
        level = sum(divmod(i, fabric.terminals)) % (classes - changes[i])  # spread over classes
        for k, link in enumerate(links_of):
            if k and (links_of[k - 1], link) in back:
                level += 1
            steps.append(links[link].out << PATH_SHIFT | masks[level])
        steps.append(own[i % fabric.terminals] << PATH_SHIFT | everything)
    return Wires(fabric.nodes, fabric.terminals, links, own, (), False, tuple(steps), tuple(at),
                 classes)  # fmt: skip


def _mask(level: int, classes: int, vcs: int) -> int:
    """VCs of a class: classes share them out evenly."""
    low, high = level * vcs // classes, (level + 1) * vcs // classes
    return (1 << high) - (1 << low)


def wired(
    fabric: Fabric, flit_bytes: float, router_cycles: int
) -> tuple[tuple[Wire, ...], tuple[int, ...]]:
    """Links with their ports, in the fabric's order, and the port to each terminal itself."""
    period = cycle_ps(fabric, flit_bytes)
    outs = np.zeros(fabric.nodes, np.int64)
    ins = np.zeros(fabric.nodes, np.int64)
    links = []
    fastest = float(fabric.bytes_per_s.max())
    for a, b, speed, latency in zip(
        fabric.src.tolist(), fabric.dst.tolist(), fabric.bytes_per_s.tolist(),
        fabric.latency_ps.tolist(), strict=True,
    ):  # fmt: skip
        cycles = max(1, round(latency / period) - router_cycles)
        links.append(Wire(a, int(outs[a]), b, int(ins[b]), cycles, max(1, round(fastest / speed))))
        outs[a] += 1
        ins[b] += 1
    own = np.maximum(outs, ins)[: fabric.terminals]
    return tuple(links), tuple(own.tolist())


def _waits(route: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of links of which a packet holds one while it asks for the other."""
    return list(pairwise(route))


def closing_waits(routes: Sequence[Sequence[int]]) -> frozenset[tuple[int, int]]:
    """Waits without which the others form no ring: those that lead back in a depth-first walk."""
    after: dict[int, list[int]] = {}
    for held, asked in sorted({pair for route in routes for pair in _waits(route)}):
        after.setdefault(held, []).append(asked)
    back, seen, open_ = set(), set(), set()
    for root in sorted(after):
        if root in seen:
            continue
        seen.add(root)
        open_.add(root)
        stack = [(root, iter(after[root]))]
        while stack:
            link, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                open_.discard(link)
            elif following in open_:
                back.add((link, following))
            elif following not in seen:
                seen.add(following)
                open_.add(following)
                stack.append((following, iter(after.get(following, ()))))
    return frozenset(back)


def _deadlock(
    fabric: Fabric,
    routes: Sequence[Sequence[int]],
    back: frozenset[tuple[int, int]],
    classes: int,
    vcs: int,
) -> InputError:
    """The error that names a ring of links that can wait for each other."""
    import networkx as nx

    waits = nx.DiGraph(pair for route in routes for pair in _waits(route))
    asked, held = min(back)[1], min(back)[0]
    ring = nx.shortest_path(waits, asked, held)
    names = [f"{fabric.src[link]} to {fabric.dst[link]}" for link in ring]
    text = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" * (len(names) > SHOWN))
    return InputError(
        f"routes of the {fabric.kind} can deadlock with {vcs} VC{'s' * (vcs > 1)}: "
        f"links {text} wait for each other in a ring",
        code="E202",
        help=f"{classes} VCs or more break every ring",
    )
