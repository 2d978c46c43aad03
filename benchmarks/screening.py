"""How fast are whole spaces screened, is it the same answer, and does it keep the right designs?

    python -m benchmarks.screening [--designs N] [--drawn N] [--study NAME]

Two grids by closed forms: an NPU under Llama-3-8B decode and a Duplex-like machine under Mixtral
decode, every design a whole model; and the NPU with numbers that all differ, as samplers draw them
from ranges, without and with the capacity of its SRAM among them. The bar is of grids. Points a
second are of one core, of wall time and, where others use the machine too, of processor time; the
designs that are checked one by one are included. Then drawn designs of a shipped study, under its
own objectives, at every fidelity: rank correlations of each two that follow each other, and how
much of the front at `cycle` is among the best designs by each of the others. The bound has no
energy: there the other objectives decide.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, product
from random import Random
from typing import Any

import numpy as np

from archsim import api
from archsim.core.yamlio import sha256_of
from archsim.dse.agreement import agreement
from archsim.dse.dimension import DimensionSpec, dimension
from archsim.dse.evaluate import evaluate
from archsim.dse.pareto import best, front, hypervolume, worst
from archsim.dse.plan import prepare
from archsim.dse.point import Task
from archsim.dse.screen import UNSCREENED, screen
from archsim.dse.spec import load_explore
from archsim.lowering.spec import load_workload

BAR = 20_000  # designs a second on one core
KEEPS = (0.1, 0.25)
STUDY = "duplex-mixtral"
FIDELITIES = ("bound", "analytic", "tile", "cycle")
NPU: dict[str, Sequence[Any]] = {
    "clocks.core": [f"{n} MHz" for n in (600, 700, 800, 900, 1000, 1100, 1200)],
    "engines.array.rows": [64, 96, 128, 192, 256],
    "engines.array.cols": [64, 96, 128, 192, 256],
    "engines.array.count": [2, 4, 8, 16],
    "engines.vector.lanes": [64, 128, 256],
    "memory.hbm.bandwidth": [f"{n} TB/s" for n in (0.5, 0.75, 1, 1.5, 2, 3, 4)],
    "memory.sram.capacity": ["16 MiB", "32 MiB", "64 MiB"],
}
DUPLEX: dict[str, Sequence[Any]] = {
    "engines.pim.macs_per_stack": [4096, 8192, 16384, 32768],
    "engines.pim.tsv_multiplier": [2, 4, 8],
    "memory.hbm.stacks": [5, 6, 8],
    "clocks.core": [f"{n} MHz" for n in (1000, 1200, 1400, 1600, 1830, 2000)],
    "engines.xpu.count": [64, 80, 96, 108, 120, 132, 144],
    "engines.simd.lanes": [64, 128, 256],
    "memory.l2.capacity": ["25 MiB", "50 MiB", "100 MiB"],
    "interconnect.node.bandwidth": [f"{n} GB/s" for n in (150, 300, 450, 900)],
}
DRAWN: dict[str, dict[str, Any]] = {
    "clocks.core": {"range": ("0.5 GHz", "1.5 GHz")},
    "engines.array.rows": {"int_range": (64, 256)},
    "engines.array.cols": {"int_range": (64, 256)},
    "engines.array.count": {"int_range": (2, 16)},
    "engines.vector.lanes": {"int_range": (64, 256)},
    "memory.hbm.bandwidth": {"range": ("0.5 TB/s", "4 TB/s")},
}
CAPACITY = {"memory.sram.capacity": {"range": ("16 MiB", "64 MiB")}}
SPACES = (
    ("npu", "llama-3-8b-decode", NPU),
    ("duplex-4", "mixtral-8x7b-decode", DUPLEX),
)


def tasks(machine: str, workload: str, space: Mapping[str, Sequence[Any]]) -> list[Task]:
    """Every design of a grid, at the bound."""
    hardware, work = api.load_hardware(machine).to_data(), load_workload(workload)[0].to_data()
    base = sha256_of({"hardware": hardware, "workloads": [work]})
    return [
        Task(hardware, (work,), dict(zip(space, values, strict=True)), "bound", 0, (1.0,), base)
        for values in product(*space.values())
    ]


def drawn(count: int, space: Mapping[str, Mapping[str, Any]]) -> list[Task]:
    """Designs of the NPU whose numbers all differ."""
    base = tasks("npu", "llama-3-8b-decode", {})[0]
    dimensions = [dimension(path, DimensionSpec(**how)) for path, how in space.items()]
    shares = Random(2)
    return [
        replace(base, settings={one.path: one.at(shares.random()) for one in dimensions})
        for _ in range(count)
    ]


def screened(name: str, designs: Sequence[Task]) -> float:
    """Designs a second of processor time; prints what it found."""
    screen(designs[:1])  # tables are read once
    wall, cpu = time.perf_counter(), time.process_time()
    found = screen(designs)
    wall_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    some = Random(1).sample(range(len(designs)), min(40, len(designs)))
    same = sum(_same(designs[i], found.outcome(i).metrics) for i in some)
    print(
        f"{name}: {len(designs)} designs, {len(designs[0].settings)} settings, "
        f"{len(found.groups)} plans: {len(designs) / cpu_s:,.0f} designs/s of processor time, "
        f"{len(designs) / wall_s:,.0f} of wall time; {same} of {len(some)} equal one by one"
        + (f"; {found.note}" if found.note else "")
    )
    return len(designs) / cpu_s if same == len(some) else 0.0


def _same(task: Task, here: Mapping[str, float]) -> bool:
    alone = evaluate(task).metrics
    return {k: v for k, v in alone.items() if not k.startswith(UNSCREENED)} == here


def fidelities(study: str, count: int) -> None:
    """Rank correlations between fidelities, and the share of the front that screening keeps.

    Less must be better in each objective of the study.
    """
    plan = prepare(*load_explore(study))
    sampler, objectives = plan.sampler(), [one.metric for one in plan.spec.objectives]
    drawn = sorted(Random(0).sample(range(sampler.total), min(count, sampler.total)))
    found: dict[str, dict[int, Mapping[str, float]]] = {}
    for fidelity in FIDELITIES:
        began = time.process_time()
        each = {i: evaluate(plan.task(sampler.ask(i), fidelity)).metrics for i in drawn}
        took_s = time.process_time() - began
        found[fidelity] = {i: metrics for i, metrics in each.items() if metrics}
        print(f"  {fidelity}: {len(drawn) / took_s:.1f} designs/s of processor time, one by one")
    for low, high in [*pairwise(FIDELITIES), ("bound", "cycle")]:
        names = [name for name in objectives if all(name in m for m in found[low].values())]
        values = [_values(found[fidelity], names) for fidelity in (low, high)]
        for one in agreement(names, *values):
            if one["spearman"] is not None:
                print(f"  {low} -> {high}, {one['metric']}: Spearman {one['spearman']:.4f}, "
                      f"Kendall {one['kendall']:.4f}")  # fmt: skip
    alike = sorted(set.intersection(*(set(found[fidelity]) for fidelity in FIDELITIES)))
    last = _values(found["cycle"], objectives)
    true = {alike[i] for i in front([last[i] for i in alike])}
    for fidelity in FIDELITIES[:-1]:
        names = [name for name in objectives if name in found[fidelity][alike[0]]]
        low_values = _values(found[fidelity], names)
        for keep in KEEPS:
            kept = best([low_values[i] for i in alike], int(np.ceil(keep * len(alike))))
            both = true & {alike[i] for i in kept}
            print(f"  keep {keep:.0%} by {fidelity} ({len(names)} of {len(objectives)} "
                  f"objectives): {len(both)} of the {len(true)} designs on the front at cycle, "
                  f"{_volume(last, both) / _volume(last, true):.2%} of its volume")  # fmt: skip


def _values(
    found: Mapping[int, Mapping[str, float]], names: Sequence[str]
) -> dict[int, tuple[float, ...]]:
    return {i: tuple(metrics[name] for name in names) for i, metrics in found.items()}


def _volume(values: Mapping[int, tuple[float, ...]], chosen: Iterable[int]) -> float:
    """Hypervolume of some designs, from the worst values of all."""
    return hypervolume([values[i] for i in chosen], worst(list(values.values())))


def main() -> bool:
    """Print all; whether both spaces are screened fast enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--designs", type=int, default=1_000_000, help="most of each space")
    parser.add_argument("--drawn", type=int, default=60, help="at every fidelity; 0: none")
    parser.add_argument("--study", default=STUDY, help="that designs are drawn from")
    said = parser.parse_args()
    rates = [
        screened(f"{machine} x {workload}", tasks(machine, workload, space)[: said.designs])
        for machine, workload, space in SPACES
    ]
    count = min(said.designs, 20_000)
    screened("npu, numbers that all differ", drawn(count, DRAWN))
    screened("the same, capacities too", drawn(count, DRAWN | CAPACITY))
    if said.drawn:
        print(f"{said.drawn} drawn designs of {said.study}:")
        fidelities(said.study, said.drawn)
    return all(rate >= BAR for rate in rates)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
