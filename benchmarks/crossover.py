"""From which batch on does `auto` send experts to the processor beside the memory, not inside it?

    python -m benchmarks.crossover [--out FOLDER] [--hardware duplex-1 --engines xpu,pim] [--check]

One decode step at a context of 2048 for each batch: the time of a layer's experts on either engine
as dispatch estimates it, and where it would send them. Their Op/B is about the rows that an expert
has on average; where the memory's MACs take as long for these as the bus takes for the weights, the
lines cross. The machine is given room for the whole model. `--check` simulates the batches on
either side of the crossing. `--out` writes crossover.csv and a figure.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim import api
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.report import style
from archsim.system.build import Machine, build
from archsim.system.dispatch import Dispatcher
from archsim.system.dispatch_work import groups_of, work_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MODELS = ("mixtral-8x7b", "glam-143b")
BATCHES = (1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
ROOM = "memory.hbm.capacity=8 TiB"
MACHINE, ENGINES = "duplex-1", "xpu,pim"
COLUMNS = ("model", "batch", "rows_an_expert", "op_per_byte", "xpu_us", "pim_us", "auto")

Row = dict[str, Any]


def workload(model: str, batch: int) -> dict[str, Any]:
    """A decode step of a model in fp16."""
    return {
        "schema": "archsim.workload/1", "name": f"{model}-{batch}", "model": {"preset": model},
        "phase": {"kind": "decode", "batch": batch, "context": 2048},
        "dtypes": {"weights": "fp16", "kv_cache": "fp16"},
    }  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A machine, and the names of its engines beside and inside the memory."""

    machine: Machine
    engines: tuple[str, str]

    def row(self, model: str, batch: int) -> Row:
        """Estimates for the experts of one layer."""
        graph = lower(load_workload(workload(model, batch))[0])
        dispatcher = Dispatcher(self.machine, graph)
        ops = next(
            group
            for block in graph.blocks for group in groups_of(block)
            if group[0].op_class == "moe_expert"
        )  # fmt: skip
        work = work_of(graph, ops)
        products = [op for op in ops if op.is_mac]
        units = (self.machine.engines[name] for name in self.engines)
        times = [dispatcher.estimate(unit, products).ps / 1e6 for unit in units]
        taken = self.engines[0] if times[0] <= times[1] else self.engines[1]
        values = (model, batch, work.rows, work.intensity, *times, taken)
        return dict(zip(COLUMNS, values, strict=True))

    def first_beside(self, before: Row, after: Row) -> Row:
        """The first batch whose experts are sent beside the memory, between two."""
        while after["batch"] - before["batch"] > 1:
            middle = self.row(before["model"], (before["batch"] + after["batch"]) // 2)
            before, after = (
                (middle, after) if middle["auto"] == before["auto"] else (before, middle)
            )
        return after


def crossing(rows: list[Row]) -> tuple[Row, Row] | None:
    """The neighbours between which a model's experts move from one engine to the other."""
    moves = [(a, b) for a, b in pairwise(rows) if a["auto"] != b["auto"]]
    return moves[0] if len(moves) == 1 else None


def simulated_us(hardware: Any, engine: str, rest: str, model: str, batch: int) -> float:
    """Time of the experts of one layer, simulated at fidelity analytic on one engine."""
    data = api.load_hardware(hardware, set_=[ROOM]).to_data()
    rules = [{"ops": "moe_expert", "run_on": engine}, {"ops": "*", "run_on": rest}]
    run = api.run({**data, "dispatch": rules}, workload(model, batch), fidelity="analytic",
                  advice=False)  # fmt: skip
    experts = [row for row in run.ops if row["op_class"] == "moe_expert"]
    return float(sum(row["time_ps"] / row["repeats"] for row in experts)) / 1e6


def paint(ax: Axes, rows: list[Row]) -> None:
    """Time of a layer's experts against the batch, two lines for each model."""
    for i, model in enumerate(dict.fromkeys(row["model"] for row in rows)):
        mine = [row for row in rows if row["model"] == model]
        batches = [row["batch"] for row in mine]
        for key, line in (("xpu_us", "-"), ("pim_us", "--")):
            label = f"{model.partition('-')[0]} {'beside' if key == 'xpu_us' else 'inside'}"
            ax.plot(batches, [row[key] for row in mine], line, label=label, color=style.colour(i))
        if found := crossing(mine):
            ax.axvline(found[1]["batch"], color=style.colour(i), linewidth=0.5)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set(xlabel="sequences", ylabel="experts of a layer, us")
    style.legend_above(ax, 2)


def main() -> bool:
    """Print the table; True where each model's experts move once, and simulation agrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for crossover.csv and the figure")
    parser.add_argument("--hardware", default=MACHINE, help="a machine with both engines")
    parser.add_argument("--engines", default=ENGINES, help="beside and inside the memory")
    parser.add_argument("--check", action="store_true", help="simulate around the crossings")
    given = parser.parse_args()
    xpu, pim = given.engines.split(",")
    pair = Pair(build(api.load_hardware(given.hardware, set_=[ROOM])), (xpu, pim))
    rows = [pair.row(model, batch) for model in MODELS for batch in BATCHES]
    print(f"{'model':14}{'batch':>6}{'rows':>8}{'Op/B':>8}{'beside us':>11}{'inside us':>11}  auto")
    for row in rows:
        print(f"{row['model']:14}{row['batch']:6}{row['rows_an_expert']:8.2f}"
              f"{row['op_per_byte']:8.2f}{row['xpu_us']:11.1f}{row['pim_us']:11.1f}  {row['auto']}"
              )  # fmt: skip
    good = True
    for model in MODELS:
        found = crossing([row for row in rows if row["model"] == model])
        good = good and found is not None
        for row in found or () if given.check else ():
            times = {e: simulated_us(given.hardware, e, xpu, model, row["batch"])
                     for e in (xpu, pim)}  # fmt: skip
            agrees = min(times, key=times.__getitem__) == row["auto"]
            good = good and agrees
            said = ", ".join(f"{name} {us:.1f} us" for name, us in times.items())
            print(f"{model} at {row['batch']}, simulated: {said}")
        if found:
            first = pair.first_beside(*found)
            print(f"{model}: experts move at {first['batch']} sequences, "
                  f"{first['rows_an_expert']:.1f} rows an expert, Op/B {first['op_per_byte']:.1f}"
                  )  # fmt: skip
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        with (given.out / "crossover.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        style.save(given.out / "crossover", paint, rows, 2.4)
    return good


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
