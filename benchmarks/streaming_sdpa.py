"""What streaming attention needs: FIFO depths, cycles of a query, memory between nodes, deadlocks.

    python -m benchmarks.streaming_sdpa [--out FOLDER] [--long]

Every order of the sums with the long FIFOs as deep as they must be, two tokens less (a row), and
one less than that. Seconds are of the whole `api.run`. `--long` goes on to 65,536 tokens. With a
folder, the table and a figure of memory by length too.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import archsim
from archsim.core.errors import SimulationStopped
from archsim.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRAPHS = ("naive", "scaled", "reordered", "memory_free")
LENGTHS = (64, 128, 256, 512, 1024, 2048, 4096)
LONGER = (16384, 65536)
SLOTS = {"naive": (2, 1, 0, -1), "scaled": (2, 0, -1)}  # slots of a long FIFO beyond a row
COLUMNS = (
    "tokens", "graph", "long_depth", "short_depth", "interval_cycles", "cycles_per_score",
    "peak_intermediate_tokens", "peak_intermediate_bytes", "stands_still_at", "run_s",
)  # fmt: skip

Row = dict[str, Any]


def measure(graph: str, tokens: int, more: int | None) -> Row:
    """One run; `more` slots of long FIFOs beyond a row, None where the graph has none."""
    config = {"architecture": "streaming_sdpa", "graph": graph, "tokens": tokens, "head_dim": 64}
    long = None if more is None else tokens + more
    if long:
        config["long_depth"] = long
    model = {"schema": "archsim.workload/1", "name": "sdpa", "model": {"config": config}}
    row: Row = {"tokens": tokens, "graph": graph, "long_depth": long, "short_depth": 2}
    began = time.perf_counter()
    try:
        found = archsim.run("streaming", model).result["streams"][0]
    except SimulationStopped as error:
        waits = error.details["waits"]
        full = next(w for w in waits if w["state"] == "full")
        row |= dict.fromkeys(COLUMNS[4:8])
        row["stands_still_at"] = f"{full['fifo']} full, cycle {full['since_cycle']}"
    else:
        row |= {key: found[key] for key in COLUMNS if key in found}
        row["cycles_per_score"] = found["interval_cycles"] / tokens
        row["stands_still_at"] = None
    return row | {"run_s": time.perf_counter() - began}


def paint(ax: Axes, rows: list[Row]) -> None:
    """Tokens between nodes by length, at full throughput."""
    for i, graph in enumerate(GRAPHS):
        some = [r for r in rows if r["graph"] == graph and r["cycles_per_score"] == 1]
        points = sorted((r["tokens"], r["peak_intermediate_tokens"]) for r in some)
        lengths, held = zip(*points, strict=True)
        mark = {"color": style.colour(i), "marker": style.MARKERS[i], "markersize": 3}
        ax.plot(lengths, held, label=graph.replace("_", "-"), **mark)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set(xlabel="tokens N", ylabel="tokens held between nodes")
    style.legend_above(ax, 2)


def main() -> bool:
    """Print the table; True where every order at its depth takes a cycle a score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for streaming_sdpa.csv, .svg and .png")
    parser.add_argument("--long", action="store_true", help="up to 65,536 tokens")
    given = parser.parse_args()
    line = "{:>6} {:>11} {:>6} {:>6} {:>9} {:>8} {:>8} {:>10} {:>6}  {}"
    heads = ("N", "graph", "long", "short", "interval", "cyc/score", "held", "held bytes", "s")
    print(line.format(*heads, "stands still at"))
    rows = []
    for tokens in (*LENGTHS, *(LONGER if given.long else ())):
        for graph in GRAPHS:
            for more in SLOTS.get(graph, (None,)):
                row = measure(graph, tokens, more)
                texts = ["-" if row[c] is None else f"{row[c]:g}" for c in COLUMNS[4:6]]
                texts += ["-" if row[c] is None else f"{row[c]}" for c in COLUMNS[6:8]]
                long = row["long_depth"] or "-"
                texts = [str(tokens), graph, str(long), "2", *texts, f"{row['run_s']:.2f}"]
                print(line.format(*texts, row["stands_still_at"] or ""), flush=True)
                rows.append(row)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        with (given.out / "streaming_sdpa.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        style.save(given.out / "streaming_sdpa", paint, rows, 2.2)
    whole = [r for r in rows if r["long_depth"] in (None, r["tokens"] + 2)]
    return all(r["cycles_per_score"] == 1 for r in whole)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
