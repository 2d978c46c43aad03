"""How should Llama 3.1 405B be divided over sixteen H100 in two nodes? Tensor against pipeline.

    python -m benchmarks.plans_405b [--out FOLDER]

A table over tensor x pipeline ways and microbatches, for a prefill and a decode step: time, energy,
what a device holds at most, and where time goes. Bubbles stand beside (p - 1) / (m + p - 1), those
of p equal stages and m microbatches. A step is timed alone, so the pipeline fills and drains in it;
tokens a second of many steps, one behind the other, are those by this closed form: prompts follow
each other at once, and a token of a sequence waits for the one before. Stages of 126 layers are not
all equal, the last one has the head, and sends take time: bubbles are then larger. `--out` writes
plans_405b.csv and figures. True where every plan fits and no bubble is below that of equal stages
by more than a hundredth.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import archsim
from archsim.report import style
from archsim.system.spec import load_hardware
from benchmarks.tables import Row, counted, write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MACHINE = "h100-2x8"
PLANS = ((16, 1), (8, 2), (4, 4), (2, 8))  # tensor x pipeline
PHASES: dict[str, dict[str, Any]] = {
    "prefill": {"kind": "prefill", "batch": 16, "tokens": 2048},
    "decode": {"kind": "decode", "batch": 64, "context": 2048},
}
STEPS = ("phase", "pipeline", "microbatches")
KINDS = ("compute", "memory", "communication", "launch", "bubble")


def cases() -> list[Row]:
    """Every plan, with as many microbatches as stages, two and four times as many, and one."""
    return [
        {"phase": phase, "tensor": tensor, "pipeline": pipeline, "microbatches": micro}
        for phase, size in PHASES.items()
        for tensor, pipeline in PLANS
        for micro in sorted({1, pipeline, 2 * pipeline, 4 * pipeline})
        if micro <= size["batch"] and (pipeline > 1 or micro == 1)
    ]


def equal_stages(pipeline: int, micro: int) -> float:
    """Share of the time in which a device stands still, were all stages alike and sends free."""
    return (pipeline - 1) / (micro + pipeline - 1)


def among_many(phase: str, pipeline: int, micro: int) -> float:
    """Time of a step among many over that of one alone, with equal stages."""
    busy = micro if phase == "prefill" else max(micro, pipeline)
    return busy / (micro + pipeline - 1)


def measured(case: Row, hardware: dict[str, Any]) -> Row:
    """One plan simulated."""
    ways = {key: case[key] for key in ("tensor", "pipeline", "microbatches")}
    workload = {
        "schema": "archsim.workload/1",
        "name": "llama-3.1-405b",
        "model": {"preset": "llama-3.1-405b"},
        "phase": PHASES[case["phase"]],
        "parallel": ways,
    }
    result = archsim.run(hardware, workload, fidelity="tile", advice=False).result
    metrics, phase = result["metrics"], PHASES[case["phase"]]
    tokens = phase["batch"] * phase.get("tokens", 1)
    shares = result["parallel"]["shares"]
    return {
        **case,
        "time_s": metrics["time_s"],
        "tok_per_s": tokens / metrics["time_s"],
        "many_tok_per_s": tokens / metrics["time_s"] / among_many(*(case[k] for k in STEPS)),
        "energy_j": metrics["energy_j"]["total"],
        "energy_j_per_tok": metrics["energy_j"]["total"] / tokens,
        "held_gib": max(sum(share["held_bytes"].values()) for share in shares) / 2**30,
        "mfu": metrics["utilization"]["mfu"],
        **{kind: result["breakdown"][kind] for kind in KINDS},
        "equal_stages": equal_stages(case["pipeline"], case["microbatches"]),
    }


def paint(ax: Axes, rows: list[Row]) -> None:
    """Time of the best number of microbatches for each plan, by what it is spent on."""
    best = {}
    for row in sorted(rows, key=lambda r: -r["time_s"]):
        best[row["tensor"]] = row
    names = [f"{t} x {p}" for t, p in PLANS]
    at = [0.0] * len(names)
    for i, kind in enumerate(KINDS):
        parts = [1e3 * best[t]["time_s"] * best[t][kind] for t, _ in PLANS]
        ax.bar(names, parts, bottom=at, label=kind, color=style.colour(i), width=0.6)
        at = [a + b for a, b in zip(at, parts, strict=True)]
    ax.set(xlabel="tensor x pipeline", ylabel=f"{rows[0]['phase']} step, ms")
    style.legend_above(ax, 3)


def main() -> bool:
    """Print the table; whether bubbles are at least those of equal stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for plans_405b.csv and figures")
    out = parser.parse_args().out
    hardware = load_hardware(MACHINE)[0].to_data()
    print(f"{'phase':8} {'tp x pp':>7} {'micro':>5} {'time ms':>9} {'tok/s':>8} {'of many':>8} "
          f"{'J':>8} {'J/tok':>8} {'GiB':>5} {'MFU':>6} {'bubble':>7} {'equal':>6}  "
          "compute memory exchange launch")  # fmt: skip
    rows = []
    for case in counted("405b", cases()):
        row = measured(case, hardware)
        rows.append(row)
        plan = f"{row['tensor']} x {row['pipeline']}"
        shares = "".join(f"{100 * row[kind]:7.1f}%" for kind in KINDS[:4])
        print(f"{row['phase']:8} {plan:>7} {row['microbatches']:5} {1e3 * row['time_s']:9.2f} "
              f"{row['tok_per_s']:8,.0f} {row['many_tok_per_s']:8,.0f} {row['energy_j']:8.1f} "
              f"{row['energy_j_per_tok']:8.4f} {row['held_gib']:5.1f} {100 * row['mfu']:5.1f}% "
              f"{100 * row['bubble']:6.1f}% {100 * row['equal_stages']:5.1f}%{shares}")  # fmt: skip
    if out:
        write_csv(out / "plans_405b.csv", rows)
        for phase in PHASES:
            style.save(out / f"plans_405b_{phase}", paint,
                       [row for row in rows if row["phase"] == phase], 2.4)  # fmt: skip
    return all(row["bubble"] > row["equal_stages"] - 0.01 for row in rows)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
