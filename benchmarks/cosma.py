"""What a scratchpad that is too small costs: COSMA's joint optimum against allocators that fit.

    python -m benchmarks.cosma [--cells N] [--out FILE]

Graphs: two convolutional networks, two transformers and cells as neural architecture search makes
them, drawn from seeds, all with elements of a byte; two cells are too large to be solved at once.
Budgets: the largest op by itself (M_R), the least room without evictions (M_P), and half way
between (M_H). The exit status is 0 when no optimum is worse than a heuristic, none is below its
bound, and none evicts anything at M_P.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.memory.allocation.allocate import HEURISTICS, POLICIES, allocate
from archsim.memory.allocation.cosma import least_room
from archsim.memory.allocation.lifetimes import Flow, Sized, Step
from archsim.system.allocation import flow_of

PAPER = 0.84  # COSMA (2023), abstract: mean cut of non-compulsory accesses
BYTES = ("dtypes.weights=int8", "dtypes.activations=int8")
NETWORKS: dict[str, dict[str, Any]] = {
    "resnet-50": {"phase": "infer", "batch": 1},
    "mobilenet-v1": {"phase": "infer", "batch": 1},
    "bert-base": {"phase": "encode", "batch": 1, "tokens": 128},
    "gpt2-small": {"phase": "prefill", "batch": 1, "tokens": 128},
}
CELLS = 20
NODES = 5  # of a cell; each adds two branches, as in NASNet and DARTS
LARGE = 16  # nodes of a large cell
LARGE_SEEDS = (100, 103)
COLUMNS = (
    *("graph", "ops", "budget", "budget_bytes", "policy", "compulsory_bytes"),
    *("non_compulsory_bytes", "bound_bytes", "status", "seconds"),
)

Row = dict[str, Any]


class _Cell:
    """A cell under construction: ops and tensors so far."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.pixels = self.draw.choice((14, 28, 56)) ** 2
        self.tensors: list[Sized] = []
        self.steps: list[Step] = []

    def tensor(self, channels: int) -> int:
        self.tensors.append(Sized(f"t{len(self.tensors)}", self.pixels * channels))
        return len(self.tensors) - 1

    def op(self, word: str, reads: tuple[int, ...], channels: int) -> int:
        written = self.tensor(channels)
        self.steps.append(Step(f"{word}{len(self.steps)}", reads, (written,)))
        return written

    def branch(self, x: int, channels: int) -> int:
        """A pooling, a separable convolution, or an expansion and its projection."""
        word = self.draw.choice(("pool", "separable", "inverted", "skip"))
        if word == "skip":
            return x
        if word == "pool":
            return self.op("pool", (x,), channels)
        inner = channels * (self.draw.choice((2, 3)) if word == "inverted" else 1)
        return self.op("project", (self.op("spread", (x,), inner),), channels)


def cell(seed: int, nodes: int = NODES) -> Flow:
    """A random cell: two inputs, nodes that add two branches each, and what is left joined."""
    made = _Cell(seed)
    channels = made.draw.choice((16, 32, 48))
    given = (made.tensor(2 * channels), made.tensor(channels))
    states = [made.op("adapt", (x,), channels) for x in given]
    for _ in range(nodes):
        ends = [made.branch(x, channels) for x in made.draw.sample(states, 2)]
        states.append(made.op("add", tuple(ends), channels))
    read = {x for step in made.steps for x in step.reads}
    loose = tuple(x for x in states if x not in read)
    result = made.op("concat", loose, channels * len(loose))
    return Flow(f"cell-{seed:02d}", tuple(made.tensors), tuple(made.steps), frozenset({result}))


def flows(cells: int) -> Iterator[Flow]:
    """The graphs of the table."""
    for name, phase in NETWORKS.items():
        yield flow_of(lower(load_workload(name, set_=BYTES, **phase)[0]))
    for seed in range(cells):
        yield cell(seed)
    for seed in LARGE_SEEDS:
        yield cell(seed, LARGE)


def rows(flow: Flow) -> Iterator[Row]:
    """A graph at its three budgets under every policy."""
    least, peak = flow.largest_op_bytes(), least_room(flow).bytes
    for word, budget in (("M_R", least), ("M_H", (least + peak) // 2), ("M_P", peak)):
        for policy in POLICIES:
            start = time.perf_counter()
            found = allocate(flow, budget, policy)
            seconds = time.perf_counter() - start
            found.check()
            yield {
                "graph": flow.name,
                "ops": len(flow.steps),
                "budget": word,
                "budget_bytes": budget,
                "policy": policy,
                "compulsory_bytes": found.compulsory_bytes,
                "non_compulsory_bytes": found.non_compulsory_bytes,
                "bound_bytes": found.bound_bytes,
                "status": found.status,
                "seconds": round(seconds, 3),
            }


def faults(table: list[Row]) -> Iterator[str]:
    """What must not be: an optimum worse than a heuristic or under its bound, evictions at M_P."""
    for best in (row for row in table if row["policy"] == "cosma"):
        moved, where = best["non_compulsory_bytes"], f"{best['graph']} at {best['budget']}"
        same = [r for r in table if (r["graph"], r["budget"]) == (best["graph"], best["budget"])]
        if moved > min(row["non_compulsory_bytes"] for row in same):
            yield f"{where}: a simpler policy moves less"
        if moved < best["bound_bytes"]:
            yield f"{where}: below the bound"
        if best["budget"] == "M_P" and moved:
            yield f"{where}: evicts at the peak"


def cuts(table: list[Row], policy: str, budgets: Sequence[str]) -> list[float]:
    """Share of a policy's non-compulsory bytes that the joint optimum saves, where it has some."""
    found = {(r["graph"], r["budget"], r["policy"]): r["non_compulsory_bytes"] for r in table}
    return [
        1 - found[graph, budget, "cosma"] / moved
        for (graph, budget, name), moved in found.items()
        if name == policy and budget in budgets and moved
    ]


def main() -> int:
    """Print the table, the mean cuts and the faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=CELLS)
    parser.add_argument("--out", type=Path, help="write the table as CSV too")
    options = parser.parse_args()
    table: list[Row] = []
    print(" ".join(f"{name:>14}" for name in COLUMNS))
    for flow in flows(options.cells):
        for row in rows(flow):
            table.append(row)
            print(" ".join(f"{row[name]!s:>14}" for name in COLUMNS), flush=True)
    if options.out:
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
    print()
    for budgets in (("M_R", "M_H"), ("M_R", "M_H", "M_P")):
        print(f"non-compulsory bytes saved at {', '.join(budgets)}, mean of the cases that evict:")
        for policy in (*HEURISTICS, "exact"):
            shares = cuts(table, policy, budgets)
            mean = sum(shares) / len(shares) if shares else 0.0
            print(f"  over {policy:14} {mean:6.1%} of {len(shares)} cases")
    print(f"the paper's mean is {PAPER:.0%}, over the allocators that it compares with")
    wrong = list(faults(table))
    print(*wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
