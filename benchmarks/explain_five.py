"""Does `explain` name what a machine was starved of, and is its cheapest change worth what it says?

    python -m benchmarks.explain_five [--out FOLDER] [--fidelity tile]

Five shipped machines, each short of one thing by construction. Each is run by the command line,
`archsim explain --sensitivity` names what bounds it and the cheapest change that makes it 1.10 x
as fast, and the machine with that change is run from scratch, by the command line again. `--out`
writes explain_five.csv. True where each time the right resource is named, the change proposed first
is one of it, and the gain is within 10 % of what was said.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.tables import Row, counted, write_csv

NEAR = 0.10  # of the gain that was said


@dataclass(frozen=True)
class Starved:
    """A machine that is short of one thing.

    Attributes:
        machine, workload: shipped names.
        settings: overrides that starve it.
        blamed: resources of which one must be named: the same units, seen two ways.
    """

    machine: str
    workload: str
    settings: tuple[str, ...]
    blamed: tuple[str, ...]


FIVE = {
    "starved HBM": Starved(
        "npu", "llama-3-8b-decode", ("memory.hbm.bandwidth=9 GB/s",), ("memory.hbm.bandwidth",)
    ),
    "tiny SRAM": Starved(
        "npu", "gpt2-small-prefill",
        ("memory.sram.capacity=512 KiB", "memory.hbm.bandwidth=200 GB/s"),
        ("memory.sram.capacity",),
    ),
    "slow vector unit": Starved(
        "npu", "gpt2-small-prefill", ("engines.vector.lanes=8",),
        ("engines.vector.lanes", "engines.vector.count"),
    ),
    "narrow link": Starved(
        "gpu-hbm3-4", "llama-3-8b-prefill", ("interconnect.node.bandwidth=5 GB/s",),
        ("interconnect.node.bandwidth",),
    ),
    "launch-bound": Starved(
        "h100", "gpt2-small-prefill",
        ("engines.tensor.launch=90 us", "engines.vector.launch=90 us"), ("engines.*.launch",),
    ),
}  # fmt: skip


def archsim(*arguments: str) -> str:
    """What the command line prints."""
    call = [sys.executable, "-m", "archsim.cli", *arguments]
    return subprocess.run(call, check=True, capture_output=True, text=True).stdout


def timed(case: Starved, folder: Path, fidelity: str, more: tuple[str, ...] = ()) -> int:
    """Picoseconds of a machine with settings, run into a folder."""
    flags = [flag for setting in (*case.settings, *more) for flag in ("--set", setting)]
    archsim(
        "run", case.machine, case.workload, "--fidelity", fidelity, "-o", str(folder), "-q", *flags
    )
    time_ps: int = json.loads((folder / "result.json").read_text("utf-8"))["time_ps"]
    return time_ps


def measured(name: str, case: Starved, folder: Path, fidelity: str) -> Row:
    """What is said of a machine, and what its change gains."""
    before_ps = timed(case, folder / "before", fidelity)
    said = archsim("explain", str(folder / "before"), "--sensitivity", "--format", "json")
    found = json.loads(said)["sensitivity"]
    by, change = found["bounded_by"], found["changes"][0]
    gain = before_ps / timed(case, folder / "after", fidelity, tuple(change["set"]))
    return {
        "machine": name, "named": by["resource"], "reason": by["relieves"], "share": by["share"],
        "elasticity": by["elasticity_time"], "change": " ".join(change["set"]),
        "cost": change["cost"], "cost_is": change["cost_is"],
        "gain_said": change["gain"], "gain": gain,
        "right": by["resource"] in case.blamed and set(change["resources"]) <= set(case.blamed)
        and abs(gain / change["gain"] - 1) <= NEAR,
    }  # fmt: skip


def main() -> bool:
    """Print the table; whether every row of it is right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for explain_five.csv")
    parser.add_argument("--fidelity", choices=("analytic", "tile", "cycle"), default="tile")
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for i, (name, case) in enumerate(counted("explain_five", list(FIVE.items()))):
            row = measured(name, case, Path(scratch) / str(i), asked.fidelity)
            rows.append(row)
            print(f"{name:17} {'right' if row['right'] else 'WRONG'}: {row['named']}, "
                  f"{row['reason']} {100 * row['share']:.0f} %; {row['change']}: "
                  f"{row['gain_said']:.4f} x said, {row['gain']:.4f} x simulated")  # fmt: skip
    if asked.out:
        write_csv(asked.out / "explain_five.csv", rows)
    return all(row["right"] for row in rows)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
