"""How much on-chip memory attention needs before scores on chip pay: DRAM bytes, tiled and not.

    python -m benchmarks.flash_traffic [--out FOLDER]

Eight heads of 2048 tokens; queries, keys, values and results come from DRAM and go there, so that
nothing but the mapping decides what moves. Both ways are mapped for the least time on a memory slow
enough that bytes are time. `least` is every operand once. With a folder, a table and a figure too.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim.core.errors import Infeasible, Unmappable
from archsim.ir.graph import OpGraph
from archsim.report import style
from archsim.system.build import Machine, build
from archsim.system.place import Plan
from archsim.system.plan import place
from archsim.system.schedule import schedule
from archsim.system.simulate import executions
from archsim.system.spec import load_hardware
from archsim.testing.attentions import attention_graph

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEADS, TOKENS = 8, 2048
DIMS = (64, 128, 256)
SRAM_KIB = tuple(32 << i for i in range(9))
FLASH = {"ops": "attention", "dataflow": "flash_attention"}
UNFUSED = (  # softmax on whole rows behind the scores, or by itself
    {"ops": "attention_score", "fuse": "reductions"},
    {"ops": "attention_score", "fuse": "none"},
)
COLUMNS = ("dim", "causal", "sram_kib", "flash_bytes", "unfused_bytes", "least_bytes")

Row = dict[str, Any]


def machine(sram_kib: int, rule: dict[str, str]) -> Machine:
    """One array of 128 x 128 at 1 GHz behind a slow memory, with so much memory on chip."""
    memory = {
        "sram": {"kind": "sram", "capacity": f"{sram_kib} KiB", "bandwidth": "4096 B/cycle"},
        "hbm": {"kind": "dram", "capacity": "1 GiB", "bandwidth": "20 GB/s", "energy": "hbm2"},
    }
    engines = {
        "array": {"kind": "systolic_array", "rows": 128, "cols": 128},
        "vector": {"kind": "vector_unit", "lanes": 1024},
    }
    data = {
        "schema": "archsim.hardware/1",
        "name": "bench",
        "clocks": {"core": "1 GHz"},
        "memory": memory,
        "engines": engines,
        "interconnect": {"dma": {"kind": "dma", "from": "hbm", "to": "sram"}},
        "placement": {"weights": ["hbm"], "kv_cache": ["hbm"], "activations": ["hbm"]},
        "mapping": [rule],
        "energy": {"table": "7nm"},
    }
    return build(load_hardware(data)[0])


def moved_bytes(plan: Plan) -> int:
    """Bytes that a plan moves through DRAM: what its rows count, as often as they run."""
    book = schedule(plan)
    times = executions(book).tolist()
    pairs = zip(times, book.counts, strict=True)
    return sum(n * counts.get("dma.transfer", 0) for n, counts in pairs)


def placed(graph: OpGraph, sram_kib: int, rule: dict[str, str]) -> Plan | None:
    """The plan, if there is one: tiles may not fit."""
    try:
        return place(graph, machine(sram_kib, rule))
    except (Infeasible, Unmappable):
        return None


def least_bytes(graph: OpGraph) -> int:
    """Queries, keys, values and results, each once."""
    return sum(graph.tensors[name].bytes for name in "qkvo")


def measure(dim: int, causal: bool, sram_kib: int) -> Row:
    """Bytes both ways at one size; None where no tile fits."""
    keys = ((TOKENS, HEADS),)
    graph = attention_graph(HEADS, 1, TOKENS, keys, (dim, dim), causal=causal)
    found: Row = {"dim": dim, "causal": causal, "sram_kib": sram_kib}
    for name, rules in (("flash_bytes", (FLASH,)), ("unfused_bytes", UNFUSED)):
        moved = [moved_bytes(plan) for rule in rules if (plan := placed(graph, sram_kib, rule))]
        found[name] = min(moved, default=None)
    return {**found, "least_bytes": least_bytes(graph)}


def crossover(rows: list[Row]) -> str:
    """The smallest size from which on scores on chip move less, and that of a tenth above least."""
    better = near = None
    for row in reversed(rows):
        flash, unfused = row["flash_bytes"], row["unfused_bytes"]
        if flash is None or (unfused is not None and flash >= unfused):
            break
        better = row["sram_kib"]
    for row in reversed(rows):
        if row["flash_bytes"] is None or row["flash_bytes"] > 1.1 * row["least_bytes"]:
            break
        near = row["sram_kib"]
    first = f"pays from {better} KiB" if better else "does not pay at these sizes"
    return f"{first}, " + (f"within 10 % of least from {near} KiB" if near else "least not reached")


def paint(ax: Axes, rows: list[Row]) -> None:
    """Bytes by size: a colour a head dimension, dashed where scores are a tensor."""
    for i, dim in enumerate(DIMS):
        some = [r for r in rows if r["dim"] == dim and not r["causal"]]
        for name, line in (("flash", "-"), ("unfused", "--")):
            points = [(r["sram_kib"], r[f"{name}_bytes"]) for r in some if r[f"{name}_bytes"]]
            sizes, moved = zip(*((size, n / 2**20) for size, n in points), strict=True)
            mark = {"color": style.colour(i), "marker": style.MARKERS[i], "markersize": 3}
            ax.plot(sizes, moved, line, label=f"{name}, d {dim}", **mark)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set(xlabel="on-chip memory (KiB)", ylabel="DRAM traffic (MiB)")
    style.legend_above(ax, 3)


def main() -> bool:
    """Print the table; True where scores on chip pay at the largest size of every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for flash_traffic.csv and .svg")
    out = parser.parse_args().out
    line = "{:>4} {:>7} {:>9} {:>12} {:>12} {:>8} {:>8}"
    print(line.format("dim", "causal", "SRAM KiB", "flash MiB", "unfused MiB", "ratio", "x least"))
    everything: list[Row] = []
    pays = True
    for dim in DIMS:
        for causal in (False, True):
            rows = [measure(dim, causal, size) for size in SRAM_KIB]
            for row in rows:
                flash, unfused, least = (row[c] for c in COLUMNS[3:])
                texts = (f"{n / 2**20:.1f}" if n else "-" for n in (flash, unfused))
                ratio = f"{unfused / flash:.2f}" if flash and unfused else "-"
                above = f"{flash / least:.2f}" if flash else "-"
                yes = "yes" if causal else "no"
                print(line.format(dim, yes, row["sram_kib"], *texts, ratio, above))
            print(f"     {crossover(rows)}")
            pays &= bool(rows[-1]["flash_bytes"]) and crossover(rows).startswith("pays")
            everything += rows
    if out:
        out.mkdir(parents=True, exist_ok=True)
        with (out / "flash_traffic.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(everything)
        style.save(out / "flash_traffic", paint, everything, 2.4)
    return pays


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
