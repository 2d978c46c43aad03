"""Whole decoder layers as one pipeline against an op a kernel, on one SN40L-like socket.

    python -m benchmarks.fused_layers [--out FOLDER]

Three ways, as Prabhakar et al. (SN40L, MICRO 2024, section VI-A) compare them: each op a kernel of
its own that the host launches; regions of ops that the host launches; the same regions launched by
the chip. They measure eight sockets, each with an eighth of every layer; so each model is run whole
on one socket, and as one socket's eighth of it (heads, feed-forward and vocabulary divided by
eight; what the sockets tell each other is left out, on both sides). Prints times, ratios and
launches beside the published bands; with a folder, a table too.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

from archsim.validation.adapters._sn40l import DECODE, PREFILL, SOCKETS, fused, workload

# of SN40L, section VI-A: lowest and highest of the paper's benchmarks
BANDS = {
    (PREFILL, "fusion_x"): (1.5, 3.0),
    (DECODE, "fusion_x"): (1.0, 13.0),
    (PREFILL, "hardware_x"): (1.0, 1.1),
    (DECODE, "hardware_x"): (1.4, 8.0),
}
PUBLISHED_LAUNCHES = ("llama-2-7b", PREFILL, 11.0)  # unfused over fused
CASES = (
    *((model, phase, batch) for model in ("llama-2-7b", "llama-3-8b", "mistral-7b")
      for phase, batch in ((PREFILL, 1), (DECODE, 1), (DECODE, 8))),
    ("llama-2-70b", PREFILL, 1),
    ("llama-2-70b", DECODE, 1),
)  # fmt: skip
LARGE = ("llama-2-70b",)  # more than the memory beside one socket holds
TOKENS = 4096
COLUMNS = (
    "model", "sockets", "phase", "batch", "tokens", "unfused_s", "fused_s", "fused_hw_s",
    "fusion_x", "hardware_x", "launches_unfused", "launches_fused", "launches_x",
)  # fmt: skip

Row = dict[str, Any]


def measure(model: str, phase: str, batch: int, sockets: int) -> Row:
    """Times and launches of the three ways."""
    found = fused(workload(model, phase, TOKENS, batch, sockets))
    return {
        "model": model, "sockets": sockets, "phase": phase, "batch": batch, "tokens": TOKENS,
        "unfused_s": found.unfused_s, "fused_s": found.fused_s, "fused_hw_s": found.hardware_s,
        "fusion_x": found.fusion, "hardware_x": found.hardware,
        "launches_unfused": found.launches_unfused, "launches_fused": found.launches_fused,
        "launches_x": found.launches,
    }  # fmt: skip


def inside(row: Row, metric: str) -> bool:
    """Whether a ratio lies in the published band of its phase."""
    low, high = BANDS[row["phase"], metric]
    return low <= row[metric] <= high


def main() -> bool:
    """Print the table; True where fusion lies in the published bands in every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for fused_layers.csv")
    out = parser.parse_args().out
    line = "{:<11} {:>4} {:<8} {:>3} {:>10} {:>10} {:>10} {:>8} {:>9} {:>11} {:>9}"
    print(line.format("model", "1 of", "phase", "b", "unfused ms", "fused ms", "hw ms",
                      "fusion x", "hw x", "launches", "fewer x"))  # fmt: skip
    rows = []
    for model, phase, batch in CASES:
        for sockets in (SOCKETS,) if model in LARGE else (1, SOCKETS):
            row = measure(model, phase, batch, sockets)
            rows.append(row)
            times = (f"{1e3 * row[f'{way}_s']:.3f}" for way in ("unfused", "fused", "fused_hw"))
            ratios = (f"{row[m]:.2f}{' ' if inside(row, m) else '!'}" for m in
                      ("fusion_x", "hardware_x"))  # fmt: skip
            launches = f"{row['launches_unfused']}/{row['launches_fused']}"
            print(line.format(model, sockets, phase, batch, *times, *ratios, launches,
                              f"{row['launches_x']:.1f}"))  # fmt: skip
    for (phase, metric), (low, high) in BANDS.items():
        print(f"published {metric} of {phase}: {low} to {high}; outside of it marked !")
    model, phase, fewer = PUBLISHED_LAUNCHES
    print(f"published kernel calls of {model}, {phase}: {fewer:g} x fewer fused")
    if out:
        out.mkdir(parents=True, exist_ok=True)
        with (out / "fused_layers.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return all(inside(row, "fusion_x") for row in rows)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
