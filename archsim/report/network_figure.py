"""A network as a figure: devices and switches in place, links as wide as they are busy.

Where nodes stand is told by the topology: a grid as a grid, switches above what they join, all else
in a circle. How figures look is in `report.style`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import cos, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING

from archsim.core.files import atomic_write
from archsim.core.units import PS_PER_S
from archsim.interconnect.fabric import Fabric, Ints
from archsim.interconnect.messages import on_wires
from archsim.report import style
from archsim.report.model import csv_text
from archsim.report.style import Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEPTH = (0.38, 0.27)  # of a step along the third dimension, drawn to the upper right
BEND = 0.12  # of a link beside the way back, as a share of its length
THIN_PT, THICK_PT = 0.3, 2.5  # of an idle link, and of a busy one
Place = tuple[float, float]


def network_figure(
    fabric: Fabric, link_bytes: Ints, time_ps: int, path: Path, height_in: float = 2.6
) -> Path:
    """Draw a network and how busy its links were; writes `.svg`, `.png` and `.csv`.

    Args:
        fabric: the network.
        link_bytes: over each link, [links].
        time_ps: in which they went over it.
        path: of the figure, without a suffix.
        height_in: of the figure, in inches.

    Returns:
        path of the PNG file.
    """
    rows = link_rows(fabric, link_bytes, time_ps)
    atomic_write(path.with_suffix(".csv"), csv_text(rows, first=""))
    return style.save(path, painter(fabric.terminals, fabric.dims), rows, height_in)


def link_rows(fabric: Fabric, link_bytes: Ints, time_ps: int) -> Rows:
    """One row a link: its ends, what went over it and the share of its bandwidth that this is.

    The share of a link that shares its wire with the way back is that of the wire.
    """
    busy = on_wires(fabric, link_bytes) * PS_PER_S / fabric.bytes_per_s / max(time_ps, 1)
    return [
        {"from": int(fabric.src[link]), "to": int(fabric.dst[link]),
         "level": int(fabric.level[link]), "bytes": int(link_bytes[link]),
         "utilisation": float(busy[link])}
        for link in range(fabric.links)
    ]  # fmt: skip


def painter(terminals: int, dims: Sequence[int] = ()) -> Callable[[Axes, Rows], None]:
    """What draws links, given as rows with `from`, `to`, `utilisation` and, maybe, `level`.

    Args:
        terminals: nodes that are devices, the first ones; those after them are switches.
        dims: extents of a grid, the fastest first.
    """

    def paint(ax: Axes, rows: Rows) -> None:
        _paint(ax, rows, positions(rows, terminals, dims), terminals)

    return paint


def positions(rows: Rows, terminals: int, dims: Sequence[int] = ()) -> dict[int, Place]:
    """Where each device, and each switch that a link joins, stands."""
    if max((max(row["from"], row["to"]) for row in rows), default=0) >= terminals:
        return _layers(rows, terminals)
    ring = len(dims) == 1 and len(rows) >= 2 * terminals > 4
    if dims and not ring:
        return {node: _on_grid(node, dims) for node in range(terminals)}
    angles = (pi / 2 - 2 * pi * node / terminals for node in range(terminals))
    return {node: (cos(a), sin(a)) for node, a in enumerate(angles)}


def _on_grid(node: int, dims: Sequence[int]) -> Place:
    place = [0, 0, 0]
    for d, extent in enumerate(dims):
        node, place[d] = divmod(node, extent)
    return place[0] + DEPTH[0] * place[2], place[1] + DEPTH[1] * place[2]


def _layers(rows: Rows, terminals: int) -> dict[int, Place]:
    """Devices in a row, switches over the middle of what they join: by distance and level."""
    level: dict[int, int] = {}
    for row in rows:
        level[row["from"]] = max(level.get(row["from"], 0), row.get("level", 0))
    places: dict[int, Place] = {device: (float(device), 0.0) for device in range(terminals)}
    taken, distance = set(places.values()), 0
    while True:
        distance += 1
        beside = [(r["from"], r["to"]) for r in rows if r["from"] in places]
        found = sorted({end for _, end in beside} - places.keys())
        for switch in found:
            below = [places[start][0] for start, end in beside if end == switch]
            x, y = sum(below) / len(below), (distance + level.get(switch, 0)) * terminals / 4
            while (x, y) in taken:  # copies of a network over the same devices
                x += terminals / 16
            places[switch] = (x, y)
            taken.add((x, y))
        if not found:
            return places


def _paint(ax: Axes, rows: Rows, places: dict[int, Place], terminals: int) -> None:
    import matplotlib as mpl
    import networkx

    shade, shares = mpl.colormaps["viridis_r"], [min(row["utilisation"], 1.0) for row in rows]
    graph = networkx.MultiDiGraph()
    graph.add_nodes_from(places)
    graph.add_edges_from((row["from"], row["to"], link) for link, row in enumerate(rows))
    edges = list(graph.edges(keys=True))
    shown = [shares[link] for *_, link in edges]
    networkx.draw_networkx_edges(
        graph, places, ax=ax, edgelist=edges, arrows=True, arrowstyle="-", node_size=20,
        edge_color=[shade(share) for share in shown],
        width=[THIN_PT + share * (THICK_PT - THIN_PT) for share in shown],
        connectionstyle=f"arc3,rad={BEND}",
    )  # fmt: skip
    devices = [node for node in places if node < terminals]
    switches = [node for node in places if node >= terminals]
    for nodes, shape, colour in ((devices, "o", style.INK), (switches, "s", style.colour(1))):
        networkx.draw_networkx_nodes(
            graph, places, ax=ax, nodelist=nodes, node_shape=shape, node_color=colour,
            node_size=12, linewidths=0,
        )  # fmt: skip
    ax.set_title(f"{len(devices)} devices; the busiest link {max(shares, default=0.0):.0%}")
    ax.set_axis_off()
