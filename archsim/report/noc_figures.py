"""Figures of a network under load: latency against load, and how much each link is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from archsim.report import network_figure, style
from archsim.report.style import Rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVE_IN, LINKS_IN = 2.2, 2.6
MOST_DRAWN = 400  # links that can be told apart in a figure
ASIDE = 0.12  # the two directions of a link, apart by so much of a node's distance
HEAT = "viridis"


def curve(ax: Axes, rows: Rows) -> None:
    """Mean latency with and without the source's queue; unstable loads are marked at the top."""
    stable = [row for row in rows if row["packet_latency_cycles"] is not None]
    for i, (key, label) in enumerate((("packet_latency_cycles", "packet"),
                                      ("net_latency_cycles", "in the network"))):  # fmt: skip
        shown = [row for row in stable if row[key] is not None]
        if shown:
            ax.plot(
                [row["load"] for row in shown], [row[key] for row in shown],
                color=style.colour(i), marker=style.MARKERS[i], markersize=2.5, linewidth=1,
                label=label,
            )  # fmt: skip
    lost = [row["load"] for row in rows if row["packet_latency_cycles"] is None]
    if lost:
        ax.plot(
            lost, [1] * len(lost), linestyle="", marker="x", markersize=3, color=style.INK,
            transform=ax.get_xaxis_transform(), clip_on=False, label="unstable",
        )  # fmt: skip
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlim(left=0)
    ax.set_xlabel("Load [flits per node and cycle]")
    ax.set_ylabel("Latency [cycles]")
    style.legend_above(ax, ncols=3)


def painter(dims: Sequence[int], nodes: int, links: int) -> Callable[[Axes, Rows], None]:
    """A map of a mesh or torus of one or two dimensions, a graph of others; bars of large ones."""
    if not 1 <= len(dims) <= 2:
        return network_figure.painter(nodes, dims) if links <= MOST_DRAWN else _bars
    wide = dims[0]

    def paint(ax: Axes, rows: Rows) -> None:
        _map(ax, rows, wide)

    return paint


def _bars(ax: Axes, rows: Rows) -> None:
    use = sorted((100 * row["utilisation"] for row in rows), reverse=True)
    ax.bar(range(1, len(use) + 1), use, width=1.0, color=style.colour(0))
    ax.set_xlabel("Links, the busiest first")
    ax.set_ylabel("Use [%]")


def _map(ax: Axes, rows: Rows, wide: int) -> None:
    """Links as arrows between nodes, coloured by use; those round the end as stubs at both ends."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    most = max(row["utilisation"] for row in rows) or 1.0
    scale = ScalarMappable(Normalize(0, 100 * most), HEAT)
    lines, colours, nodes = [], [], set()
    for row in rows:
        (x, y), (u, v) = (divmod(row[end], wide)[::-1] for end in ("from", "to"))
        nodes |= {(x, y), (u, v)}
        dx, dy = u - x, v - y
        if max(abs(dx), abs(dy)) > 1:  # round the end: leaves outwards
            dx, dy = -(dx > 0) + (dx < 0), -(dy > 0) + (dy < 0)
            dx, dy = dx / 2, dy / 2
        aside_x, aside_y = ASIDE * _sign(dy), ASIDE * _sign(-dx)
        lines.append([(x + aside_x, y + aside_y), (x + dx + aside_x, y + dy + aside_y)])
        colours.append(scale.to_rgba(100 * row["utilisation"]))
    ax.add_collection(LineCollection(lines, colors=colours, linewidths=1.6))
    ax.plot([x for x, _ in nodes], [y for _, y in nodes], "o", color=style.INK, markersize=2)
    ax.set_aspect("equal")
    ax.invert_yaxis()
    ax.autoscale_view()
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.figure.colorbar(scale, ax=ax, label="Use [%]", shrink=0.8)


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
