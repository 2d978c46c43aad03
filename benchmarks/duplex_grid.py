"""The grid of Duplex (Yun et al., MICRO 2024): 3 models x 3 lengths x 3 batches on five systems.

    python -m benchmarks.duplex_grid [--models mixtral,glam,grok] [--batches 32,64,128]
        [--lengths 1,2,3] [--systems NAMES] [--workers N] [--out FOLDER]

Each point is a closed loop at steady state, of which stages of each kind are simulated. `cpu_s` is
the processor time of a point; `--lengths` picks lengths of each model by their place. The system
`hetero` is of Mixtral alone. `--out` writes duplex_grid.csv. True where the whole grid, if it was
asked for, took at most 15 minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from archsim.sim.kernels import compiled
from archsim.validation.adapters._duplex import BATCHES, MODELS, Point, Served, served
from benchmarks.tables import Row, write_csv

GRID = ("mixtral", "glam", "grok")
FIVE = ("gpu", "gpu_doubled", "duplex", "duplex_pe", "duplex_pe_et")
MOST_S = 15 * 60.0
FORM = "{:8} {:>6} {:>6} {:13} {:>10} {:>10} {:>8} {:>8}"


def points(
    models: list[str], places: list[int], batches: list[int], names: list[str]
) -> list[Point]:
    """The points that are asked for, those of one load together."""
    found = []
    for model in models:
        preset = MODELS[model]
        for place in places:
            length = preset[2][place - 1]
            found += [
                Point(system, model, preset[1], length, length, batch)
                for batch in batches
                for system in names
                if system != "hetero" or model == "mixtral"
            ]
    return found


def timed(point: Point) -> tuple[Served, float]:
    """What a point gives, and its processor time."""
    start = time.process_time()
    return served(point), time.process_time() - start


def measured(every: list[Point], workers: int) -> Iterator[Row]:
    """A row of each point, with its figures over those of the GPUs with its load."""
    base: dict[Point, Served] = {}
    context = get_context("forkserver")
    with ProcessPoolExecutor(workers, context, compiled, ("advance",)) as pool:
        for point, (found, seconds) in zip(every, pool.map(timed, every), strict=True):
            load = point._replace(system="")
            base.setdefault(load, found)
            yield {
                "model": point.model,
                "length": point.prompt,
                "batch": point.batch,
                "system": point.system,
                "tokens_per_s": found.tokens_per_s,
                "joules_per_token": found.joules_per_token,
                "over_first": found.tokens_per_s / base[load].tokens_per_s,
                "cpu_s": seconds,
            }


def main() -> bool:
    """Print the grid; True where the bar is met, or was not asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default=",".join(GRID))
    parser.add_argument("--lengths", default="1,2,3")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--systems", default=",".join(FIVE))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    places, batches = ([int(n) for n in of.split(",")] for of in (given.lengths, given.batches))
    every = points(given.models.split(","), places, batches, given.systems.split(","))
    found: list[Row] = []
    start = time.perf_counter()
    for row in measured(every, given.workers):
        if not found:
            print(FORM.format(*row))
        print(FORM.format(*(f"{v:.4g}" if isinstance(v, float) else v for v in row.values())),
              flush=True)  # fmt: skip
        found.append(row)
    took = time.perf_counter() - start
    spent = sum(row["cpu_s"] for row in found)
    print(f"{len(every)} points in {took:.1f} s with {given.workers} workers, {spent:.1f} s of cpu")
    if given.out:
        write_csv(given.out / "duplex_grid.csv", found)
    return len(every) < len(FIVE) * 27 or took <= MOST_S


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
