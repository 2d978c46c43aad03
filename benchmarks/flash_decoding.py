"""Is a decode step's context worth cutting? Time against parts, for one sequence and uneven ones.

    python -m benchmarks.flash_decoding [--out FOLDER]

Attention of one layer with one new token a sequence, 32 query heads of 128, on the npu (arrays)
and the h100 (thread blocks; it cuts no context into more parts than key heads leave SMs idle).
`grouped` is one sequence with 8 key heads, `uneven` four of them, of the context, a half, a quarter
and an eighth of it, and `multi-query` one sequence with a single key head. A dash: the machine does
not cut so. The last column is what it chooses by itself, perhaps more parts than are listed.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from archsim.core.errors import Infeasible, Unmappable
from archsim.ir.graph import OpGraph
from archsim.system.build import Machine, build
from archsim.system.flash import flash_stage
from archsim.system.place import PAGES, Plan
from archsim.system.plan import place
from archsim.system.room import Room
from archsim.system.simulate import timed
from archsim.system.spec import load_hardware
from archsim.testing.attentions import attention_graph

QUERY_HEADS, DIM = 32, 128
CONTEXTS = tuple(1024 << i for i in range(8))
SPLITS = (1, 2, 4, 8, 16)
COLUMNS = ("machine", "sequences", "context", "parts", "time_us", "chosen")

Row = dict[str, Any]


Case = tuple[int, tuple[int, ...]]  # key heads, and the context of each sequence


def decode(case: Case) -> OpGraph:
    """Scores, softmax and values of one new token for each length."""
    heads, lengths = case
    keys = tuple((n, heads * lengths.count(n)) for n in sorted(set(lengths)))
    return attention_graph(heads * len(lengths), QUERY_HEADS // heads, 1, keys, (DIM, DIM))


def time_us(plan: Plan) -> float:
    """Through time, memory and all."""
    return timed(plan, fidelity="tile").time_ps / 1e6


def in_parts(plan: Plan, split: int) -> Plan:
    """A plan whose attention has its contexts cut into so many parts.

    Raises:
        Unmappable: where a context has no so many.
    """
    ((block,), machine) = plan.blocks, plan.machine
    (stage,) = block.stages
    budget = plan.page_bytes * (PAGES // 2)
    room = Room(plan.graph, machine, plan.resident, budget, plan.accumulator_bits, set())
    return replace(plan, blocks=(replace(block, stages=(flash_stage(stage, room, split),)),))


def gpu(split: int, longest: int) -> Machine:
    """The h100 with parts as short as the longest context cut so often needs."""
    tokens = max(1, longest // split)
    settings = [f"engines.tensor.attention.split_tokens={tokens}"]
    return build(load_hardware("h100", set_=settings)[0])


def measure(name: str, case: Case, split: int | None) -> tuple[float, int] | None:
    """Microseconds and the parts of the longest context; None where there are no so many."""
    graph = decode(case)
    try:
        if name == "h100" and split:
            plan = place(graph, gpu(split, max(case[1])))
        else:
            plan = place(graph, build(load_hardware(name)[0]))
            plan = in_parts(plan, split) if split else plan
    except (Infeasible, Unmappable):
        return None
    mapping: Any = plan.blocks[0].stages[0].mapping
    if split and mapping.split != split:
        return None
    return time_us(plan), mapping.split


def cases(context: int) -> dict[str, Case]:
    """One sequence, four of uneven lengths, and one whose heads share all keys."""
    return {
        "grouped": (8, (context,)),
        "uneven": (8, tuple(context >> i for i in range(4))),
        "multi-query": (1, (context,)),
    }


def table(machines: tuple[str, ...], contexts: tuple[int, ...]) -> list[Row]:
    """A row for every machine, case, context and number of parts that there is."""
    rows: list[Row] = []
    for name in machines:
        for context in contexts:
            for word, case in cases(context).items():
                own = measure(name, case, None)
                for split in SPLITS:
                    found = measure(name, case, split)
                    if found and own:
                        values = (name, word, context, found[1], found[0], own[1])
                        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def best(rows: list[Row]) -> dict[tuple[str, str, int], tuple[int, float]]:
    """The fastest number of parts of each case, and how much faster than a whole context."""
    found: dict[tuple[str, str, int], tuple[int, float]] = {}
    for row in rows:
        key = (row["machine"], row["sequences"], row["context"])
        alike = [r for r in rows if (r["machine"], r["sequences"], r["context"]) == key]
        whole = next(r["time_us"] for r in alike if r["parts"] == 1)
        least = min(alike, key=lambda r: r["time_us"])
        found[key] = least["parts"], whole / least["time_us"]
    return found


def main() -> bool:
    """Print the table; True where no machine's own choice is a tenth slower than the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for flash_decoding.csv")
    out = parser.parse_args().out
    rows = table(("npu", "h100"), CONTEXTS)
    heads = "".join(f"{f'{n} parts':>10}" for n in SPLITS)
    print("microseconds, by parts")
    print(f"{'machine':>7} {'sequences':>11} {'context':>8}{heads} {'speedup':>8} {'chosen':>6}")
    fine = True
    for key, (_, speedup) in best(rows).items():
        alike = {r["parts"]: r for r in rows if (r["machine"], r["sequences"], r["context"]) == key}
        times = "".join(
            f"{alike[n]['time_us']:>10.2f}" if n in alike else f"{'-':>10}" for n in SPLITS
        )
        chosen = next(iter(alike.values()))["chosen"]
        print(f"{key[0]:>7} {key[1]:>11} {key[2]:>8}{times} {speedup:>7.2f}x {chosen:>6}")
        if chosen in alike:
            least = min(r["time_us"] for r in alike.values())
            fine &= alike[chosen]["time_us"] <= 1.1 * least
    if out:
        out.mkdir(parents=True, exist_ok=True)
        with (out / "flash_decoding.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return fine


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
