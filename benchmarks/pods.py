"""What pods cost us: wall time and memory of a run for 8 to 4096 chips.

    python -m benchmarks.pods [--out FOLDER] [--chips N]

Each run is a process of its own, so that memory is its own. Chips that are alike are simulated
once, which the plan finds; with a straggler, with experts that get unlike numbers of tokens, or
when every one is asked for (`exact`), there are more of them. Bars, for chips that are alike: 60 s
and 1 GB at 4096 at fidelity `tile`, 10 s at 64. `exact` runs must end in the same picosecond as
others of the same plan, with the same energy. `--chips` leaves larger pods out. `--out` writes
pods.csv and a figure. True where all bars are met and all pairs are equal.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import archsim
from archsim.report import style
from archsim.system.spec import load_hardware
from benchmarks.tables import Row, counted, write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TORI = {8: (2, 2, 2), 64: (4, 4, 4), 512: (8, 8, 8), 4096: (16, 16, 16)}
LINK = {"kind": "torus", "bandwidth": "45 GB/s", "latency": "1 us"}  # TPU v4 ICI; latency assumed
STRAGGLER = {"device": 5, "clock": 0.5}
DECODE = {"kind": "decode", "context": 2048}
TRAIN = {"kind": "train", "tokens": 1024}
MOST_S = {64: 10.0, 4096: 60.0}
MOST_MB = 1000.0
STAGES = {"tensor": 8, "pipeline": 4, "data": 2, "microbatches": 8}


def case(chips: int, plan: Row, what: str = "alike", **more: Any) -> Row:
    """A run: Llama 3 8B decodes, unless something else is said."""
    row = {"chips": chips, "model": "llama-3-8b", "phase": DECODE, "plan": plan, "what": what}
    return {**row, "batch": max(64, chips), "faults": [], "exact": False, **more}


CASES: tuple[Row, ...] = (
    *(case(n, {"tensor": 8, "data": n // 8}) for n in TORI),
    *(case(n, {"data": n}, model="gpt2-xl", phase=TRAIN, batch=n) for n in TORI),
    case(64, STAGES),
    case(4096, {"tensor": 8, "pipeline": 8, "data": 64, "microbatches": 8}),
    case(64, {"tensor": 8, "data": 8}, "straggler", faults=[STRAGGLER]),
    case(64, STAGES, "straggler", faults=[STRAGGLER]),
    case(64, {"data": 64}, "straggler", model="gpt2-xl", phase=TRAIN, faults=[STRAGGLER]),
    case(64, {"expert": 64}, "unlike experts", model="qwen3-235b-a22b", batch=256),
    case(8, {"tensor": 2, "pipeline": 2, "data": 2, "microbatches": 4}),
    case(8, {"tensor": 8, "data": 1}, "exact", exact=True),
    case(8, {"tensor": 2, "pipeline": 2, "data": 2, "microbatches": 4}, "exact", exact=True),
    case(8, {"data": 8}, "exact", exact=True, model="gpt2-xl", phase=TRAIN, batch=8),
    case(64, {"tensor": 8, "data": 8}, "exact", exact=True),
)  # fmt: skip


def run(asked: Row) -> Row:
    """One case in this process: simulated time and energy, our wall time and peak memory."""
    hardware = load_hardware("tpu-v4")[0].to_data()
    hardware["interconnect"]["node"] = {**LINK, "dims": TORI[asked["chips"]]}
    hardware["faults"] = asked["faults"]
    workload = {
        "schema": "archsim.workload/1",
        "name": asked["model"],
        "model": {"preset": asked["model"]},
        "phase": {**asked["phase"], "batch": asked["batch"]},
        "parallel": asked["plan"],
    }
    began = time.perf_counter()
    report = archsim.run(hardware, workload, fidelity="tile", exact=asked["exact"], advice=False)
    return {
        "time_ps": report.result["time_ps"],
        "energy_j": report.metrics["energy_j"]["total"],
        "wall_s": time.perf_counter() - began,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def apart(asked: Row) -> Row:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.pods", "--case", json.dumps(asked)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: Row = json.loads(done.stdout)
    return found


def pairs(rows: list[Row]) -> list[tuple[Row, Row]]:
    """Runs of chips that are alike, with the run that simulates every one of them."""
    same = ("chips", "model", "phase", "batch", "plan")
    return [
        (row, other) for other in rows if other["what"] == "exact"
        for row in rows if row["what"] == "alike" and all(row[k] == other[k] for k in same)
    ]  # fmt: skip


def equal(row: Row, other: Row) -> bool:
    """Whether two runs end in the same picosecond and take the same energy."""
    near = abs(row["energy_j"] - other["energy_j"]) <= 1e-12 * row["energy_j"]  # order of a sum
    return bool(row["time_ps"] == other["time_ps"] and near)


def over(rows: list[Row]) -> list[Row]:
    """Runs that exceed a bar."""
    alike = [row for row in rows if row["what"] == "alike"]
    return [
        row
        for row in alike
        if row["wall_s"] > MOST_S.get(row["chips"], MOST_S[4096]) or row["peak_mb"] > MOST_MB
    ]


def paint(ax: Axes, rows: list[Row]) -> None:
    """Wall time against chips, a mark for each kind of run."""
    for i, what in enumerate(dict.fromkeys(row["what"] for row in rows)):
        x, y = ([r[key] for r in rows if r["what"] == what] for key in ("chips", "wall_s"))
        ax.plot(x, y, label=what, color=style.colour(i), marker=style.MARKERS[i], ms=3, ls="")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set(xlabel="chips", ylabel="wall time of a run, s")
    style.legend_above(ax, 4)


def main() -> bool:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for pods.csv and a figure")
    parser.add_argument("--chips", type=int, default=max(TORI), help="of the largest pod")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        print(json.dumps(run(asked.case)))
        return True
    rows = []
    for given in counted("pods", [c for c in CASES if c["chips"] <= asked.chips]):
        row = {**given, **apart(given)}
        rows.append(row)
        plan = " ".join(f"{axis}={n}" for axis, n in row["plan"].items())
        print(f"{row['chips']:5} chips  {row['model']:15} {row['phase']['kind']:6} {plan:44} "
              f"{row['time_ps'] / 1e9:10.3f} ms  {row['wall_s']:6.2f} s  {row['peak_mb']:5.0f} MB  "
              f"{row['what']}")  # fmt: skip
    for row, other in pairs(rows):
        said = "equal" if equal(row, other) else "UNEQUAL"
        print(f"{row['chips']} chips, {row['plan']}: {row['time_ps']} ps once, "
              f"{other['time_ps']} ps exact: {said}")  # fmt: skip
    for row in over(rows):
        print(f"over a bar: {row['chips']} chips, {row['plan']}")
    if asked.out:
        write_csv(asked.out / "pods.csv", rows)
        style.save(asked.out / "pods", paint, rows, 2.4)
    return not over(rows) and all(equal(*pair) for pair in pairs(rows))


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
