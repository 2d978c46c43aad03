"""How long does a decode step of a DGX with AttAccs take to simulate, and what does it say?

    python -m benchmarks.attacc [--models llama-65b,gpt3-175b] [--batch N] [--context N]

AttAcc's own simulator takes 0.7 to 116 s for one step. A line a model and fidelity: seconds to
simulate, first and again, the step's milliseconds, and how much of them banks work.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from archsim import api
from archsim.validation.adapters.attacc import Point, described

MACHINE = "dgx-attacc-pooled"
ROW = "{:12} {:>9} {:>9} {:>9} {:>9} {:>9}"


def simulate(model: str, batch: int, context: int, fidelity: str) -> tuple[float, dict[str, Any]]:
    """Seconds of one run, and its result."""
    began = time.perf_counter()
    work = described(Point(model, "fp16", context, 1), batch, context)
    report = api.run(MACHINE, work, fidelity=fidelity, advice=False)
    return time.perf_counter() - began, report.result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--models", default="llama-65b,gpt3-175b")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--context", type=int, default=3072)
    asked = parser.parse_args()
    print(ROW.format("model", "fidelity", "first s", "again s", "step ms", "banks %"))
    for model in asked.models.split(","):
        for fidelity in ("analytic", "tile", "cycle"):
            first, _ = simulate(model, asked.batch, asked.context, fidelity)
            again, result = simulate(model, asked.batch, asked.context, fidelity)
            busy = 100 * (result["pim"]["gemv"]["busy_share"] or 0.0)
            print(ROW.format(model, fidelity, f"{first:.2f}", f"{again:.2f}",
                             f"{result['time_ps'] / 1e9:.2f}", f"{busy:.1f}"))  # fmt: skip


if __name__ == "__main__":
    main()
