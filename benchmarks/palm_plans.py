"""Which layout of PaLM 540B is best on TPU v4 chips, in prefill and in decode?

    python -m benchmarks.palm_plans [--out FOLDER] [--chips N ...] [--batch N ...] [--weights TYPE]

Latency against MFU over chips, batch, layout and how attention is shared, as in Pope et al.,
Efficiently Scaling Transformer Inference (MLSys 2023), with 64 padded heads as there. 2048 tokens
are prefilled, or attended by the token that is decoded. The tensor axis is one cube of 64 chips at
most, the number of heads; more chips are copies of it, each with its share of the batch. MFU counts
two operations a parameter of the unpadded model, and none for scores, as the paper does. `--out`
writes palm_plans.csv and a figure for each phase. True where the fastest layout of the largest
batch on 64 chips is not the same in both phases.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import archsim
from archsim.core.errors import Infeasible
from archsim.lowering.model import load_model
from archsim.report import style
from archsim.system.spec import load_hardware
from benchmarks.tables import Row, counted, write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MACHINE, NETWORK = "tpu-v4-64", "ici"
SHAPES = {
    8: (2, 2, 2), 16: (4, 2, 2), 32: (4, 4, 2), 64: (4, 4, 4), 128: (4, 4, 8), 256: (4, 4, 16),
}  # fmt: skip
BATCHES = (1, 4, 16, 64, 256, 512)
LAYOUTS = ("1d", "2d", "gathered_x", "gathered_xy", "gathered_xyz")
GATHERS = {"gathered_x": 1, "gathered_xy": 2, "gathered_xyz": 3}  # dimensions, of three
HEADS = 64  # padded from 48: Pope et al. 2023, section 4
TOKENS = 2048
PARAMETERS = 540.35e9  # Chowdhery et al., PaLM (2022), table 1
PEAK_FLOP_PER_S = 275e12  # of a chip, bf16: Jouppi et al., TPU v4 (ISCA 2023), table 4
KINDS = ("compute", "memory", "communication", "launch")


def plans(chips: int, batch: int) -> Iterator[Row]:
    """Parallel plans that divide heads and batch."""
    tensor = min(chips, HEADS)
    data = chips // tensor
    if batch % data:
        return
    for layout in LAYOUTS:
        dims = SHAPES[tensor]
        part = 1
        for ways in dims[: GATHERS.get(layout, 0)]:
            part *= ways
        if batch // data % part:
            continue
        for attention in ("heads", "batch"):
            if attention == "batch" and batch // data % tensor:
                continue
            plan = {"tensor": tensor, "data": data, "layout": layout, "attention": attention}
            yield plan | ({"tensor_dims": dims} if part > 1 else {})


def cases(chips: list[int], batches: list[int], weights: list[str]) -> list[Row]:
    """Everything that is tried."""
    return [
        {"phase": phase, "weights": bits, "chips": n, "batch": batch, "plan": plan}
        for phase in ("prefill", "decode")
        for bits in weights
        for n in chips
        for batch in batches
        for plan in plans(n, batch)
    ]


def mfu(row: Row, time_s: float) -> float:
    """Share of the peak that useful operations take."""
    tokens = row["batch"] * (TOKENS if row["phase"] == "prefill" else 1)
    return float(2 * PARAMETERS * tokens / (time_s * row["chips"] * PEAK_FLOP_PER_S))


def measured(case: Row, hardware: dict[str, Any], model: dict[str, Any]) -> Row:
    """One case simulated; without a time where a chip cannot hold its share."""
    hardware["interconnect"][NETWORK]["dims"] = SHAPES[case["chips"]]
    size = {"context": TOKENS} if case["phase"] == "decode" else {"tokens": TOKENS}
    workload = {
        "schema": "archsim.workload/1",
        "name": "palm-540b",
        "model": {"config": model},
        "phase": {"kind": case["phase"], "batch": case["batch"], **size},
        "dtypes": {"weights": case["weights"]},
        "parallel": case["plan"],
    }
    row = {key: case[key] for key in ("phase", "weights", "chips", "batch")}
    row |= {key: case["plan"][key] for key in ("layout", "attention")}
    row |= dict.fromkeys(("latency_s", "mfu", "energy_j", *KINDS))
    try:
        result = archsim.run(hardware, workload, fidelity="tile", advice=False).result
    except Infeasible:
        return row
    time_s = result["metrics"]["time_s"]
    row |= {"latency_s": time_s, "mfu": mfu(row, time_s)}
    row["energy_j"] = result["metrics"]["energy_j"]["total"]
    return row | {kind: result["breakdown"][kind] for kind in KINDS}


def fastest(rows: list[Row]) -> list[Row]:
    """The fastest plan for each phase, type of weights, number of chips and batch."""
    best: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = tuple(row[k] for k in ("phase", "weights", "chips", "batch"))
        if row["latency_s"] and (key not in best or row["latency_s"] < best[key]["latency_s"]):
            best[key] = row
    return list(best.values())


def changes(best: list[Row]) -> Iterator[str]:
    """From which batch on which layout is the fastest, a line for each phase, weights and chips."""
    lines: dict[tuple[Any, ...], dict[str, int]] = {}
    for row in sorted(best, key=lambda r: int(r["batch"])):
        found = lines.setdefault((row["phase"], row["weights"], row["chips"]), {})
        if not found or row["layout"] != list(found)[-1]:
            found.pop(row["layout"], None)
            found[row["layout"]] = row["batch"]
    for (phase, weights, chips), found in sorted(lines.items()):
        said = ", ".join(f"{layout} from batch {batch}" for layout, batch in found.items())
        yield f"{phase} on {chips} chips, {weights}: {said}"


def frontier(rows: list[Row]) -> list[Row]:
    """Those that no other beats in both latency and MFU, fastest first."""
    found: list[Row] = []
    for row in sorted(rows, key=lambda r: (r["latency_s"], -r["mfu"])):
        if not found or row["mfu"] > found[-1]["mfu"]:
            found.append(row)
    return found


def paint(ax: Axes, rows: list[Row]) -> None:
    """Every plan that fits, coloured by layout, and the frontier."""
    for i, layout in enumerate(LAYOUTS):
        mine = [row for row in rows if row["layout"] == layout]
        x, y = ([row[key] for row in mine] for key in ("latency_s", "mfu"))
        ax.plot(x, y, label=layout, color=style.colour(i), marker=style.MARKERS[i], ms=3, ls="")
    edge = frontier(rows)
    x, y = ([row[key] for row in edge] for key in ("latency_s", "mfu"))
    ax.plot(x, y, color=style.INK, linewidth=0.5, zorder=0)
    ax.set_xscale("log")
    what = "of 2048 tokens" if rows[0]["phase"] == "prefill" else "a token"
    ax.set(xlabel=f"{rows[0]['phase']}: latency {what}, s", ylabel="MFU")
    style.legend_above(ax, 3)


def main() -> bool:
    """Print the fastest plan of each size; True where the best layout depends on the phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for palm_plans.csv and figures")
    parser.add_argument("--chips", type=int, nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--batch", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--weights", nargs="+", default=["bf16", "int8"])
    asked = parser.parse_args()
    hardware = load_hardware(MACHINE)[0].to_data()
    model = {**load_model("palm-540b").model.to_data(), "heads": HEADS}
    todo = counted("palm", cases(asked.chips, asked.batch, asked.weights))
    rows = [measured(case, hardware, model) for case in todo]
    print(f"{'phase':8} {'weights':7} {'chips':>5} {'batch':>5} {'fastest':13} {'attention':9} "
          f"{'latency s':>10} {'MFU':>6}  compute memory exchange launch")  # fmt: skip
    for row in fastest(rows):
        shares = " ".join(f"{100 * row[kind]:6.1f}%" for kind in KINDS)
        print(f"{row['phase']:8} {row['weights']:7} {row['chips']:5} {row['batch']:5} "
              f"{row['layout']:13} {row['attention']:9} {row['latency_s']:10.4f} "
              f"{100 * row['mfu']:5.1f}% {shares}")  # fmt: skip
    print(*changes(fastest(rows)), sep="\n")
    fits = [row for row in rows if row["latency_s"]]
    print(f"{len(rows)} plans, {len(rows) - len(fits)} of them exceed the memory of a chip")
    if asked.out:
        write_csv(asked.out / "palm_plans.csv", rows)
        for phase in ("prefill", "decode"):
            style.save(asked.out / f"palm_{phase}", paint,
                       [row for row in fits if row["phase"] == phase], 2.6)  # fmt: skip
    largest = [r for r in fastest(rows) if (r["chips"], r["batch"]) == (64, max(asked.batch))]
    layouts = {phase: {r["layout"] for r in largest if r["phase"] == phase}
               for phase in ("prefill", "decode")}  # fmt: skip
    return not layouts["prefill"] & layouts["decode"]


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
