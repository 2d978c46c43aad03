"""GPUs beside memory's own devices against GPUs alone and against Duplex: stages and full batches.

    python -m benchmarks.hetero [--prompts 256,1024] [--batch N] [--capacity] [--out FOLDER]

Mixtral 8x7B. For each length of prompt: time and energy of a stage that only decodes, and of one
that reads a prompt besides; the share of time for which devices stand still because of others. With
`--capacity` the largest batch at twice that length too. `--out` writes hetero.csv. True where, as
Yun et al. (Duplex, MICRO 2024, section III-B) find of such a system, stages that decode are faster
than on as many GPUs, stages with prompts slower, and fewer requests fit.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import archsim
from archsim.validation.adapters._duplex import FP16, Point, largest_batch, plan_of
from benchmarks.tables import Row, write_csv

SYSTEMS = {"gpu": "gpu-hbm3-4", "hetero": "hetero-4", "duplex": "duplex-4"}
HEAD = ("prompt", "stage", "system", "time_ms", "energy_j", "idle_share", "largest_batch")
FORM = "{:>6} {:8} {:8} {:>9} {:>9} {:>10} {:>13}"


def stage(system: str, prompt: int, batch: int, *, mixed: bool) -> dict[str, Any]:
    """The result of a stage of a full batch, at half of its answers."""
    decode = {"batch": batch - mixed, "context": prompt + prompt // 2}
    phase: dict[str, Any] = {"kind": "decode", **decode}
    if mixed:
        phase = {"kind": "mixed", "decode": decode, "prefill": [{"tokens": prompt}]}
    data = {
        "schema": "archsim.workload/1",
        "name": "mixtral",
        "model": {"preset": "mixtral-8x7b"},
        "phase": phase,
        "parallel": plan_of(point(system, prompt, batch)),
        "dtypes": FP16,
    }
    found: dict[str, Any] = archsim.run(SYSTEMS[system], data, fidelity="tile", advice=False).result
    return found


def point(system: str, prompt: int, batch: int) -> Point:
    """As many tokens to answer as to read."""
    return Point(system, "mixtral", 4, prompt, prompt, batch)


def rows(prompt: int, batch: int, *, capacity: bool) -> list[Row]:
    """All systems at one length of prompt."""
    most = {s: largest_batch(point(s, prompt, 1)) if capacity else "" for s in SYSTEMS}
    found = []
    for mixed in (False, True):
        for system in SYSTEMS:
            one = stage(system, prompt, batch, mixed=mixed)
            figures = (
                "mixed" if mixed else "decode",
                system,
                1e3 * one["metrics"]["time_s"],
                one["metrics"]["energy_j"]["total"],
                one["breakdown"]["bubble"],
                most[system],
            )
            found.append(dict(zip(HEAD, (prompt, *figures), strict=True)))
    return found


def as_published(found: list[Row]) -> bool:
    """Whether the three findings hold at one length."""
    of = {(row["stage"], row["system"]): row for row in found}
    gpu, ours = ({s: of[s, name] for s in ("decode", "mixed")} for name in ("gpu", "hetero"))
    fits = [one["decode"]["largest_batch"] for one in (ours, gpu)]
    return bool(
        ours["decode"]["time_ms"] < gpu["decode"]["time_ms"]
        and ours["mixed"]["time_ms"] > gpu["mixed"]["time_ms"]
        and (fits[0] == "" or fits[0] < fits[1])
    )


def main() -> bool:
    """Print the table; True where all lengths agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", default="256,1024,4096")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--capacity", action="store_true")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    print(FORM.format(*HEAD))
    every, fine = [], True
    for prompt in map(int, given.prompts.split(",")):
        found = rows(prompt, given.batch, capacity=given.capacity)
        fine &= as_published(found)
        for row in found:
            shown = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values())
            print(FORM.format(*shown), flush=True)
        every += found
    if given.out:
        write_csv(given.out / "hetero.csv", every)
    return fine


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
