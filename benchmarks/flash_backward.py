"""How much on-chip memory the backward pass of attention needs before scores on chip pay.

    python -m benchmarks.flash_backward [--out FOLDER]

DRAM bytes of one layer's backward pass in closed form, eight heads of 2048 tokens: in tiles, which
move least among those that fit, against one op after the other, as it runs where no rule asks for
tiles, and against every operand once. Half of the on-chip memory is for tiles, as for any stage.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

from archsim.core.errors import Unmappable
from archsim.dataflows._flash_backward import least_traffic
from archsim.ir.flash_io import unfused_backward_bytes
from archsim.testing.attentions import attention_graph, problem_of

HEADS, TOKENS = 8, 2048
DIMS = (64, 128, 256)
SRAM_KIB = tuple(64 << i for i in range(8))
COLUMNS = ("dim", "causal", "sram_kib", "q", "kv", "tiled_bytes", "unfused_bytes", "least_bytes")

Row = dict[str, Any]


def measure(dim: int, causal: bool, sram_kib: int) -> Row:
    """Bytes both ways at one size; no tile and no bytes where none fits."""
    keys = ((TOKENS, HEADS),)
    problem = problem_of(attention_graph(HEADS, 1, TOKENS, keys, (dim, dim), causal=causal))
    apart = unfused_backward_bytes(problem)
    once = ("q", "k", "v", "d_out", "d_q", "d_k", "d_v")
    row: Row = {"dim": dim, "causal": causal, "sram_kib": sram_kib, "q": 0, "kv": 0}
    row |= {"tiled_bytes": None, "unfused_bytes": sum(apart.values())}
    row["least_bytes"] = len(once) * apart["v"]  # all seven are as large here
    try:
        mapping = least_traffic(problem, "array", sram_kib * 1024 // 2)
    except Unmappable:
        return row
    moved = sum(mapping.traffic().values())
    return row | {"q": mapping.tile["q"], "kv": mapping.tile["kv"], "tiled_bytes": moved}


def main() -> bool:
    """Print the table; True where tiles pay at the largest size of every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for flash_backward.csv")
    out = parser.parse_args().out
    line = "{:>4} {:>7} {:>9} {:>6} {:>6} {:>10} {:>12} {:>8} {:>8}"
    heads = ("dim", "causal", "SRAM KiB", "q", "kv", "tiled MiB", "unfused MiB", "ratio", "x least")
    print(line.format(*heads))
    rows = [
        measure(dim, causal, size) for dim in DIMS for causal in (False, True) for size in SRAM_KIB
    ]
    for row in rows:
        tiled, unfused, least = (row[column] for column in COLUMNS[5:])
        yes = "yes" if row["causal"] else "no"
        texts = ["-"] * 3
        if tiled:
            texts = [f"{tiled / 2**20:.1f}", f"{unfused / tiled:.2f}", f"{tiled / least:.2f}"]
        print(
            line.format(
                row["dim"], yes, row["sram_kib"], row["q"] or "-", row["kv"] or "-", texts[0],
                f"{unfused / 2**20:.1f}", *texts[1:],
            )
        )  # fmt: skip
    if out:
        out.mkdir(parents=True, exist_ok=True)
        with (out / "flash_backward.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    return all(
        row["tiled_bytes"] and row["tiled_bytes"] < row["unfused_bytes"]
        for row in rows
        if row["sram_kib"] == SRAM_KIB[-1]
    )


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
