"""What do a missing link and a slow chip cost a pod of 64, and does its job survive?

    python -m benchmarks.degraded [--out FOLDER]

Llama 3 70B on the torus of TPU v4: decode in copies, prefill in stages, decode on all chips at
once. A fault is a link gone or slow, a chip at half its clock or with half the bandwidth of its
memory, two of these, or a chip gone, which no plan survives. What a run says of its faults is in
its report under `degraded`. `--out` writes degraded.csv and a figure. True where every job but that
without a chip survives, none is faster than without faults, and half a clock costs no more than
twice the time.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import archsim
from archsim.core.errors import ArchsimError
from archsim.report import style
from archsim.system.spec import load_hardware
from benchmarks.tables import Row, counted, write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MACHINE = "tpu-v4-64"
FAULTS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "link gone": [{"link": (0, 1), "missing": True}],
    "link at a quarter": [{"link": (0, 1), "bandwidth": 0.25}],
    "chip at half clock": [{"device": 21, "clock": 0.5}],
    "half of its memory": [{"device": 21, "memory_bandwidth": 0.5}],
    "link gone, chip slow": [{"link": (0, 1), "missing": True}, {"device": 21, "clock": 0.5}],
    "chip gone": [{"device": 21, "missing": True}],
}
JOBS: dict[str, Row] = {
    "70B decode, 8 copies": {
        "model": "llama-3-70b",
        "phase": {"kind": "decode", "batch": 512, "context": 2048},
        "parallel": {"tensor": 8, "data": 8},
    },
    "70B prefill, 4 stages": {
        "model": "llama-3-70b",
        "phase": {"kind": "prefill", "batch": 32, "tokens": 2048},
        "parallel": {"tensor": 8, "pipeline": 4, "data": 2, "microbatches": 8},
    },
    "70B decode, all 64": {
        "model": "llama-3-70b",
        "phase": {"kind": "decode", "batch": 64, "context": 2048},
        "parallel": {"tensor": 64, "layout": "2d", "attention": "batch"},
    },
}
KINDS = ("compute", "memory", "communication", "bubble")


def measured(job: str, fault: str, hardware: dict[str, Any]) -> Row:
    """One job under one fault; what was refused says why."""
    asked = JOBS[job]
    workload = {
        "schema": "archsim.workload/1",
        "name": job,
        "model": {"preset": asked["model"]},
        "phase": asked["phase"],
        "parallel": asked["parallel"],
    }
    row: Row = {"job": job, "fault": fault, "survives": False, "why": ""}
    row |= dict.fromkeys(("time_ps", "time_ratio", "energy_j", "energy_ratio", *KINDS))
    try:
        report = archsim.run(
            {**hardware, "faults": FAULTS[fault]}, workload, fidelity="tile", advice=False
        )
    except ArchsimError as error:
        return row | {"why": str(error).splitlines()[0]}
    result = report.result
    said = result.get("degraded", {"survives": True, "time_ratio": 1.0, "energy_ratio": 1.0})
    row |= {key: said[key] for key in ("survives", "time_ratio", "energy_ratio")}
    row |= {"time_ps": result["time_ps"], "energy_j": result["metrics"]["energy_j"]["total"]}
    return row | {kind: result["breakdown"][kind] for kind in KINDS}


def paint(ax: Axes, rows: list[Row]) -> None:
    """Time over that without faults, a group of bars for each fault."""
    faults = [name for name in FAULTS if any(r["fault"] == name and r["time_ratio"] for r in rows)]
    wide = 0.8 / len(JOBS)
    for i, job in enumerate(JOBS):
        ratio = {r["fault"]: r["time_ratio"] for r in rows if r["job"] == job}
        at = [n + (i - 1) * wide for n in range(len(faults))]
        ax.barh(at, [ratio[f] for f in faults], wide, label=job, color=style.colour(i))
    ax.axvline(1, color=style.INK, linewidth=0.5)
    ax.set_yticks(range(len(faults)), faults)
    ax.invert_yaxis()
    ax.set(xlabel="time over that without faults")
    style.legend_above(ax, 2)


def main() -> bool:
    """Print the table; whether what should survive does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for degraded.csv and a figure")
    out = parser.parse_args().out
    hardware = load_hardware(MACHINE)[0].to_data()
    rows = []
    for job, fault in counted("degraded", [(job, fault) for job in JOBS for fault in FAULTS]):
        row = measured(job, fault, hardware)
        rows.append(row)
        if not row["survives"]:
            print(f"{job:25} {fault:21} refused: {row['why']}")
            continue
        shares = " ".join(f"{kind} {100 * row[kind]:.1f} %" for kind in KINDS if row[kind])
        print(f"{job:25} {fault:21} {row['time_ps'] / 1e9:10.3f} ms {row['time_ratio']:7.3f} x  "
              f"energy {row['energy_ratio']:6.3f} x  {shares}")  # fmt: skip
    if out:
        write_csv(out / "degraded.csv", rows)
        style.save(out / "degraded", paint, rows, 2.6)
    lives = all(row["survives"] == (row["fault"] != "chip gone") for row in rows)
    slower = all(row["time_ratio"] >= 1 for row in rows if row["survives"])
    bounded = all(row["time_ratio"] <= 2 for row in rows if row["fault"] == "chip at half clock")
    return lives and slower and bounded


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
