"""What does each way of computing inside a memory make of a matrix and a few vectors?

    python -m benchmarks.pim_gemv [--out FOLDER] [--matrix 16384x4096]

A matrix in fp16 lies in one stack (one device of GDDR6) and meets 1 to 32 vectors in units that are
built in one of eight ways, each as published. Time is that of the commands in closed form, that of
the same commands one by one on the channel's scheduler, and the least that the units' peak rates
allow. The bus is what the ordinary way to read the matrix once would take at the memory's peak.
All ticks of the closed form have a reason. `--out` writes pim_gemv.csv. True where no way is faster
than its bound, and closed forms and commands are within two percent.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from archsim.components._pim import PimEngine
from archsim.core.data import find
from archsim.core.units import PS_PER_S
from archsim.core.yamlio import load_yaml
from archsim.ir.pim import Layout, PimWork, Product
from archsim.ir.problem import Extents
from archsim.system.build import build
from archsim.system.spec import load_hardware
from benchmarks.tables import Row, counted, write_csv

VECTORS = (1, 2, 4, 8, 16, 32)
NEAR = 0.02
LAYOUTS: tuple[Layout, ...] = ("row", "interleaved", "column")
WAYS: dict[str, tuple[str, str, Row]] = {  # standard, clock of the units, engine
    "AiM": ("GDDR6_AiM", "1 GHz", {"kind": "bank_pim", "lanes": 16}),
    "HBM-PIM": ("HBM2_PIM_2.0Gbps", "300 MHz", {"kind": "bank_pim", "lanes": 16}),
    "Newton": ("HBM2_NeuPIMs_2.0Gbps", "1 GHz", {"kind": "bank_pim", "lanes": 32}),
    "AttAcc bank": ("HBM3_PIM_5.2Gbps", "666 MHz", {"kind": "bank_pim", "lanes": 16}),
    "AttAcc bank group": (
        "HBM3_PIM_5.2Gbps", "666 MHz",
        {"kind": "bankgroup_pim", "lanes": 16, "commands": "AttAccBG"},
    ),
    "Bank-PIM": (
        "HBM3_PIM_5.2Gbps_NPC", "650 MHz",
        {"kind": "bank_pim", "lanes": 8, "column_register": True},
    ),
    "BankGroup-PIM": ("HBM3_5.2Gbps", "650 MHz", {"kind": "bankgroup_pim", "lanes": 64}),
    "Logic-PIM": ("HBM3_5.2Gbps", "650 MHz", {"kind": "logic_pim", "macs_per_stack": 16384}),
}  # fmt: skip


def engine_of(way: str) -> PimEngine:
    """The units of one way, inside one stack."""
    standard, clock, engine = WAYS[way]
    data: Any = load_yaml(find("npu", "configs")).data
    del data["provenance"]
    data["clocks"]["pim"] = clock
    data["memory"]["hbm"] = {"kind": "dram", "standard": standard}
    data["engines"]["pim"] = {"inside": "hbm", "clock": "pim", **engine}
    found = build(load_hardware(data)[0]).engines["pim"]
    assert isinstance(found, PimEngine)
    return found


def best_of(pim: PimEngine, extents: Extents) -> tuple[Layout, PimWork, PimWork]:
    """The fastest layout of a matrix, what it takes in closed form, and command by command."""
    products = {lie: Product((extents,), 16, 16, 16, lie) for lie in LAYOUTS}
    works = {lie: pim.product(product) for lie, product in products.items()}
    lie = min(LAYOUTS, key=lambda one: works[one].banks_ps)
    return lie, works[lie], pim.product(products[lie], exact=True)


def measured(way: str, extents: Extents) -> Row:
    """Times of one product, where they go, and what they are compared with."""
    pim = engine_of(way)
    layout, close, exact = best_of(pim, extents)
    bus_ps = 2 * extents.n * extents.k * PS_PER_S / pim.memory.peak_bytes_per_s
    one_by_one = exact.banks_ps if exact is not close else None
    reasons = {f"{why}_share": ps / close.banks_ps for why, ps in close.waits_ps.items()}
    return {
        "way": way, "vectors": extents.m, "layout": layout, "closed_us": close.banks_ps / 1e6,
        "commands_us": one_by_one and one_by_one / 1e6, "bound_us": close.bound_ps / 1e6,
        "bus_us": bus_ps / 1e6, "gain": bus_ps / close.banks_ps,
        "bank_utilisation": close.bank_utilisation, "row_hit_rate": close.row_hit_rate,
        "read_again": close.read_bytes / close.matrix_bytes,
        **{f"{why}_share": reasons.get(f"{why}_share", 0.0) for why in REASONS},
    }  # fmt: skip


REASONS = ("mac", "compute", "power", "row", "input", "result", "refresh", "mode")


def main() -> bool:
    """Measure all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for pim_gemv.csv")
    parser.add_argument("--matrix", default="16384x4096", help="outputs x reduction")
    asked = parser.parse_args()
    n, k = (int(part) for part in asked.matrix.split("x"))
    cases = [(way, m) for way in WAYS for m in VECTORS]
    rows = [measured(way, Extents(1, m, n, k)) for way, m in counted("pim_gemv", cases)]
    print(f"{'':18}{'vec':>4} {'layout':12}{'closed us':>10}{'commands':>10}{'bound':>9}"
          f"{'x bound':>8}{'x bus':>7}{'banks':>7}{'row hit':>8}{'reads':>6}  time spent on"
          )  # fmt: skip
    for row in rows:
        shares = {why: row[f"{why}_share"] for why in REASONS}
        spent = ", ".join(f"{why} {100 * s:.1f} %" for why, s in shares.items() if s >= 0.0005)
        slow, each = row["commands_us"], f"{row['commands_us'] or 0:10.2f}"
        print(f"{row['way']:18}{row['vectors']:4} {row['layout']:12}{row['closed_us']:10.2f}"
              f"{each if slow else '-':>10}{row['bound_us']:9.2f}"
              f"{row['closed_us'] / row['bound_us']:8.2f}{row['gain']:7.2f}"
              f"{100 * row['bank_utilisation']:6.1f}%{100 * row['row_hit_rate']:7.1f}%"
              f"{row['read_again']:6.1f}  {spent}")  # fmt: skip
    if asked.out:
        write_csv(asked.out / "pim_gemv.csv", rows)
    within = [row["closed_us"] / row["commands_us"] - 1 for row in rows if row["commands_us"]]
    print(f"closed forms against {len(within)} streams of commands: "
          f"{100 * min(within):+.2f} to {100 * max(within):+.2f} %")  # fmt: skip
    bounded = all(row["closed_us"] >= row["bound_us"] for row in rows)
    return bounded and all(abs(error) <= NEAR for error in within)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
