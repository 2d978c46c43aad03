"""Whole processes: wall seconds and peak memory of `archsim run`, models by machines.

    python -m benchmarks.whole_runs [--repeats N]

Capacities are raised where a model does not fit, so that every pair has a time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MACHINES = ("h100", "tpu-v4", "npu", "npu-hbm2", "sn40l")
MODELS = {
    "llama-3-8b": 16,
    "llama-3-70b": 16,
    "mixtral-8x7b": 64,
    "deepseek-v3": 32,
}  # and the batch of a decode step
ROOM = "--set=memory.hbm.capacity=2 TiB"


def phases(batch: int) -> dict[str, list[str]]:
    """Flags of the two phases."""
    return {
        "decode": ["--phase", "decode", "--batch", str(batch), "--context", "2048"],
        "prefill": ["--phase", "prefill", "--batch", "1", "--tokens", "2048"],
    }


def measure(machine: str, model: str, flags: list[str]) -> tuple[float, float, dict[str, object]]:
    """Wall seconds, peak MB and the result of one process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).with_name("archsim")), "run", machine, model, *flags]
        if machine != "sn40l":
            command.append(ROOM)
        command += ["--format", "json", "-o", f"{folder}/run", "-q"]
        began = time.perf_counter()
        with Path(folder, "out").open("w") as out:
            child = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE)
            _, status, used = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - began
        if status:
            return wall_s, used.ru_maxrss / 1024, {}
        return wall_s, used.ru_maxrss / 1024, json.loads(Path(folder, "out").read_text())


def main() -> bool:
    """Print the table; True when every run ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1)
    repeats = parser.parse_args().repeats
    row = "{:8} {:14} {:8} {:>7} {:>5} {:>10} {:>8}"
    print(row.format("machine", "model", "phase", "wall s", "MB", "time ms", "x bound"))
    fine = True
    for machine in MACHINES:
        for model, batch in MODELS.items():
            for phase, flags in phases(batch).items():
                runs = [measure(machine, model, flags) for _ in range(repeats)]
                wall_s, peak_mb, result = min(runs, key=lambda r: r[0])
                fine &= bool(result)
                ratio = result.get("ratio_to_bound") or 0.0
                ms = result.get("time_ps", 0) / 1e9  # type: ignore[operator]
                figures = f"{wall_s:.2f}", f"{peak_mb:.0f}", f"{ms:.3f}", f"{ratio:.3f}"
                print(row.format(machine, model, phase, *figures))
    return fine


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
