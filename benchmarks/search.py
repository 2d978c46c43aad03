"""Do searches find more than chance at the same price, and anything better than the shipped chip?

    python -m benchmarks search [--spaces NAMES] [--evaluations N] [--workers N] [--out FOLDER]

Two spaces of what a designer can turn, bandwidths of memory fixed: logic dies of a Duplex-like
machine under a decode step of Mixtral, and an NPU under a prompt and 32 decode steps of Llama-3-8B.
Less time, energy and area count; no design may draw more power than the machine as described.
Every design of each space is simulated once at `tile`; searches then ask that table, a batch of 12
at a time, with five seeds each; repeated designs count as asked. Volumes are shares of that of the
whole space's front, from a point a tenth beyond its worst values; `+-` is half of the 95 % interval
of the mean (Student), `over chance` that of the difference to random draws (Welch).

Then the proof: how many designs of the whole space dominate the machine as described, how many of
those that turn only arithmetic and vias, and how many seeds of each search found one. True where
NSGA-II and TPE have a larger mean than chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from operator import le
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from archsim.core.document import Document
from archsim.dse.evaluate import evaluate
from archsim.dse.executors.base import How, executors
from archsim.dse.found import Found
from archsim.dse.found import Row as Design
from archsim.dse.pareto import hypervolume, worst
from archsim.dse.plan import Plan, prepare
from archsim.dse.spec import SearchSpec, load_explore
from archsim.dse.study import Memory, Study
from benchmarks.tables import Row, write_csv

POWER = "metrics.power_w.mean"
OBJECTIVES = ("metrics.time_s", "metrics.energy_j.total", "metrics.area_mm2.total")
UNITS = ("add", "mul", "max", "exp")
SPACES: dict[str, dict[str, Any]] = {
    "duplex": {
        "hardware": "duplex-4",
        "workloads": ["mixtral-8x7b-decode"],
        "space": {
            "engines.pim.macs_per_stack": [8192, 12288, 16384, 20480, 24576, 32768],
            "engines.pim.tsv_multiplier": [2, 3, 4, 6],
            "clocks.pim": [f"{n} MHz" for n in (450, 500, 550, 600, 650, 700)],
            "engines.pim.buffer": ["576 KiB", "1152 KiB", "2304 KiB"],
            "softmax": {
                "choices": [
                    {f"engines.softmax.units.{unit}": n for unit in UNITS} for n in (128, 256, 512)
                ]
            },
        },
    },
    "npu": {
        "hardware": "npu",
        "workloads": [
            {"model": "llama-3-8b", "phase": "prefill", "batch": 1, "tokens": 512},
            {"model": "llama-3-8b", "phase": "decode", "batch": 16, "context": 2048, "weight": 32},
        ],
        "space": {
            "engines.array.rows": [64, 128, 256],
            "engines.array.cols": [64, 128, 256],
            "engines.array.count": [2, 4, 8, 16],
            "clocks.core": [f"{n} MHz" for n in (700, 850, 1000, 1150)],
            "engines.vector.lanes": [32, 64, 128],
            "memory.sram.capacity": [f"{n} MiB" for n in (8, 16, 32, 64)],
        },
    },
}
SLACK = ("engines.pim.buffer", "engines.softmax", "memory.sram", "engines.vector")
"""Settings that may only take away what a workload leaves unused."""
KINDS = ("random", "nsga2", "tpe")
SEEDS = range(5)
STUDENT = {4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306}  # 97.5 %, by degrees of freedom
BATCH = 12
ROOM = 0.1  # of the front's extent, beyond its worst values
FORM = "{:8} {:8} {:>6} {:>8} {:>7} {:>17} {:>10}"
HEAD = ("space", "sampler", "asked", "volume", "+-", "over chance", "dominating")


def main() -> bool:
    """Print and write the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spaces", default=",".join(SPACES))
    parser.add_argument("--evaluations", type=int, default=192)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    said = parser.parse_args()
    rows: list[Row] = []
    for name in said.spaces.split(","):
        rows += compared(name, said.evaluations, said.workers)
    if said.out:
        write_csv(said.out / "search.csv", rows)
        draw(said.out / "search.svg", rows)
    last = {(row["space"], row["sampler"]): row["volume"] for row in rows}
    return all(volume >= last[space, "random"] for (space, _), volume in last.items())


def planned(name: str) -> Plan:
    """The grid of a space, with the power of the machine as described for a limit."""
    data: dict[str, Any] = {
        "schema": "archsim.explore/1", "name": name, "fidelity": "tile", **SPACES[name],
        "objectives": [{"metric": metric} for metric in OBJECTIVES], "search": {"sampler": "grid"},
    }  # fmt: skip
    most_w = evaluate(prepare(*load_explore(Document.of(data))).task({}, "tile")).metrics[POWER]
    data["constraints"] = [f"{POWER} <= {most_w!r} W"]
    return prepare(*load_explore(Document.of(data)))


def compared(name: str, evaluations: int, workers: int) -> list[Row]:
    """Rows of one space: volumes by sampler and by designs asked."""
    plan, memory = planned(name), Memory()
    whole = answered(plan, memory, workers)
    values = [row.values or () for row in whole.front]
    ideal = [min(column) for column in zip(*values, strict=True)]
    point = tuple(w + ROOM * (w - i) for w, i in zip(worst(values), ideal, strict=True))
    best = hypervolume(values, point)
    proof(name, whole)
    print(FORM.format(*HEAD))
    rows: list[Row] = []
    for kind in KINDS:
        found = []
        for seed in SEEDS:
            search = SearchSpec(
                sampler=kind, evaluations=evaluations, population=BATCH, seed=seed, reference=point
            )
            own = replace(plan, spec=plan.spec.model_copy(update={"search": search}), kind=kind)
            found.append(answered(own, memory, 1))
        chance = [row for row in rows if row["sampler"] == "random"]
        own_rows = curve(name, found, best, chance)
        for row in own_rows[3::4]:
            show(row)
        rows += own_rows
    return rows


def answered(plan: Plan, memory: Memory, workers: int) -> Found:
    """A study whose answers stay in memory."""
    executor: Any = executors.get("local" if workers > 1 else "serial")(How(workers))
    try:
        return Study(plan, memory, executor).run()
    finally:
        executor.close()


def proof(name: str, whole: Found) -> None:
    """How many designs of the whole space dominate the machine as described, and the best one."""
    at = whole.described.values if whole.described else None
    assert at is not None
    shipped = next(row.settings for row in whole.rows if row.values == at)
    kept = {path: value for path, value in shipped.items() if path.startswith(SLACK)}
    better = [row for row in whole.rows if dominates(row, at)]
    turned = [row for row in better if kept.items() <= dict(row.settings).items()]
    print(
        f"{name}: {len(whole.rows)} designs, {whole.counts['kept']} within its power, "
        f"{len(whole.front)} on the front; {len(better)} dominate the machine as described, "
        f"{len(turned)} of them with its {', '.join(kept)}"
    )
    for chosen in (better, turned):
        if chosen:
            best = max(chosen, key=lambda row: least_gain(row, at))
            gains = zip(OBJECTIVES, best.values or (), at, strict=True)
            said = ", ".join(f"{metric.split('.')[1]} {a / b - 1:+.2%}" for metric, a, b in gains)
            print(f"  best at its worst: {said}: {dict(best.settings)}")


def dominates(row: Design, at: Sequence[float]) -> bool:
    """Whether a design keeps the limits, is nowhere worse and somewhere better."""
    values = row.values or ()
    return row.kept and values != tuple(at) and all(map(le, values, at))


def least_gain(row: Design, at: Sequence[float]) -> float:
    """The smallest of a design's relative gains."""
    return min(1 - a / b for a, b in zip(row.values or (), at, strict=True))


def curve(name: str, found: list[Found], best: float, chance: list[Row]) -> list[Row]:
    """Volumes after each batch, as shares of the whole front's."""
    rows: list[Row] = []
    hits = sum(bool(one.dominating) for one in found)
    for batch in range(len(found[0].volumes)):
        shares = [one.volumes[batch] / best for one in found]
        mean, error = fmean(shares), stdev(shares) / len(shares) ** 0.5
        other = chance[batch] if chance else None
        gain, half = (0.0, 0.0) if other is None else _over(mean, error, other, len(shares) - 1)
        rows.append(
            {"space": name, "sampler": found[0].plan.kind, "asked": (batch + 1) * BATCH,
             "volume": mean, "half_interval": STUDENT[len(shares) - 1] * error, "error": error,
             "over_chance": gain, "over_chance_half_interval": half, "seeds_dominating": hits}
        )  # fmt: skip
    return rows


def _over(mean: float, error: float, chance: Row, freedom: int) -> tuple[float, float]:
    """Difference to random draws, and half of its 95 % interval by Welch."""
    squares = (error**2, chance["error"] ** 2)
    both = sum(squares)
    degrees = both**2 / (sum(s**2 for s in squares) / freedom) if both else float(freedom)
    return mean - chance["volume"], STUDENT[int(degrees)] * both**0.5


def show(row: Row) -> None:
    """One line of the table."""
    over = f"{row['over_chance']:+.4f} +-{row['over_chance_half_interval']:.4f}"
    print(FORM.format(
        row["space"], row["sampler"], row["asked"], f"{row['volume']:.4f}",
        f"{row['half_interval']:.4f}", over if row["sampler"] != "random" else "",
        f"{row['seeds_dominating']}/{len(SEEDS)}",
    ), flush=True)  # fmt: skip


def draw(path: Path, rows: list[Row]) -> None:
    """Volumes over designs asked, a panel a space, with intervals."""
    from matplotlib.figure import Figure

    spaces = list(dict.fromkeys(row["space"] for row in rows))
    figure = Figure(figsize=(3.4 * len(spaces), 2.6), layout="constrained")
    panels = figure.subplots(1, len(spaces), squeeze=False)[0]
    for panel, space in zip(panels, spaces, strict=True):
        for kind in KINDS:
            own = [row for row in rows if (row["space"], row["sampler"]) == (space, kind)]
            asked = [row["asked"] for row in own]
            low, high = ([r["volume"] + s * r["half_interval"] for r in own] for s in (-1, 1))
            panel.plot(asked, [row["volume"] for row in own], label=kind)
            panel.fill_between(asked, low, high, alpha=0.2)
        panel.set(title=space, xlabel="Designs asked", ylabel="Share of hypervolume")
        panel.legend(frameon=False)
    figure.savefig(path)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
