"""Duplex's published results: throughput and energy over GPUs, room, utilisation, EDAP.

Rows of a grid are the best or the mean over its points. The cost of a hop of the machines' links
was fitted on three of them, which do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from statistics import fmean

from archsim.core.errors import Unsupported
from archsim.validation.adapters import _duplex, _gpu
from archsim.validation.adapters._duplex import BATCHES, EDAP, MODELS, Point, Served
from archsim.validation.base import Adapter, Progress, Row

WANT = "want"
GRID = "grid"
ALL = "*"
RATIOS = ("throughput_ratio", "energy_ratio")
CLASSES = {"moe": ("moe_expert",), "attention": ("attention_score", "attention_value")}
# (system, baseline, statistic) of the rows on which the cost of a hop was fitted
FITTED = (
    ("duplex_pe_et", "gpu", "best"), ("duplex_pe_et", "gpu", "mean"), ("duplex", "gpu", "best"),
)  # fmt: skip


class Duplex(Adapter):
    """What a row asks."""

    kind = "duplex"
    NEEDS = (
        "id", "model", "lin", "lout", "batch", "devices", "system", "baseline", "metric", "stat",
        "op_b", "tolerance_pct",
    )  # fmt: skip
    ID = "id"

    def __init__(self, set_: Sequence[str] = ()) -> None:
        """An adapter that serves each point once."""
        super().__init__(set_)
        self._known: dict[Point, Served] = {}

    def prepare(self, rows: Sequence[Row], workers: int, progress: Progress | None) -> None:
        """Serve the points of all grids, each once."""
        wanted: dict[Point, None] = {}
        for row in rows:
            if row["metric"] in RATIOS:
                with suppress(Unsupported):  # its row says why
                    for system in (row["system"], row["baseline"]):
                        wanted |= dict.fromkeys(self._points(row, system))
        if wanted:
            self._known |= _duplex.all_served(list(wanted), workers, self.set_, progress)

    def run(self, row: Row) -> dict[str, float]:
        """One figure.

        Raises:
            Unsupported: for a metric or a system that the paper does not have.
        """
        metric = row["metric"]
        if metric == "edap_norm":
            return {WANT: self._edap(row)}
        if metric == "max_batch":
            return {WANT: float(_duplex.largest_batch(self._point(row, 1), self.set_))}
        if metric == "compute_util_pct_max":
            classes = CLASSES[row["stat"]]
            return {WANT: max(_duplex.utilised_pct(p, classes, self.set_)
                              for p in self._points(row, row["system"]))}  # fmt: skip
        if metric not in RATIOS:
            raise Unsupported(f'metric "{metric}" is not of the paper')
        ratios = self._ratios(row, Served._fields[metric == "energy_ratio"])
        if row["stat"] != "best":
            return {WANT: fmean(ratios)}
        return {WANT: min(ratios) if metric == "energy_ratio" else max(ratios)}

    def gates(self, metric: str, row: Row) -> bool:
        """All but rows that something was fitted on, and those that are only reported."""
        fitted = (row["system"], row["baseline"], row["stat"]) in FITTED
        grid = row["metric"] == "throughput_ratio" and row["model"] == ALL
        return row["tolerance_pct"] != "report" and not (grid and fitted)

    def tolerance(self, metric: str, row: Row) -> str:
        """The row's own, but for a bound."""
        own = row["tolerance_pct"]
        return own if own == "report" else "" if own == "bound" else f"{own}%"

    def inside(self, metric: str, row: Row, want: float, got: float) -> bool | None:
        """Below a bound."""
        return got <= want if row["tolerance_pct"] == "bound" else None

    def _ratios(self, row: Row, figure: str) -> list[float]:
        """A figure of the system over that of its baseline, point by point."""
        pairs = zip(
            self._points(row, row["system"]), self._points(row, row["baseline"]), strict=True
        )
        return [
            getattr(self._served(ours), figure) / getattr(self._served(theirs), figure)
            for ours, theirs in pairs
        ]

    def _served(self, point: Point) -> Served:
        if point not in self._known:
            self._known[point] = _duplex.served(point, self.set_)
        return self._known[point]

    def _points(self, row: Row, system: str) -> list[Point]:
        """The points that a row speaks of: its own, or those of the grid."""
        names = [name for name in MODELS if MODELS[name][2]] if row["model"] == ALL else [
            row["model"]
        ]  # fmt: skip
        batches = BATCHES if row["batch"] == GRID else (_gpu.count(row, "batch"),)
        found = []
        for name in names:
            if name not in MODELS:
                raise Unsupported(f'model "{name}" is not one of {", ".join(MODELS)}')
            _, devices, lengths = MODELS[name]
            size = _gpu.count(row, "devices") if row["devices"] else devices
            pairs = [(n, n) for n in lengths]
            if row["lin"] != GRID:
                pairs = [(_gpu.count(row, "lin"), _gpu.count(row, "lout"))]
            found += [Point(system, name, size, *pair, b) for pair in pairs for b in batches]
        return found

    def _point(self, row: Row, batch: int) -> Point:
        return self._points(row, row["system"])[0]._replace(batch=batch)

    def _edap(self, row: Row) -> float:
        """Over the worst of all places at as many vectors."""
        vectors = _gpu.count(row, "op_b")
        every = {system: _duplex.edap(system, vectors, self.set_) for system in EDAP}
        if row["system"] not in every:
            raise Unsupported(f'system "{row["system"]}" is not one of {", ".join(EDAP)}')
        return every[row["system"]] / max(every.values())
