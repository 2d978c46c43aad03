"""What is arithmetic near banks worth? Energy x delay x area of a product, built in three ways.

    python -m benchmarks.edap [--out FOLDER]

A matrix of 16384 x 4096 in fp16 meets 1 to 32 vectors in one HBM3 stack whose units are at the
banks (16 times its bandwidth, an operation a byte), at the bank groups, or on the logic die (4
times, 8 operations a byte), after Duplex (Yun et al., MICRO 2024), figure 8. Delay is that of the
stream of commands, refresh included, or the least that rates allow (a roofline, as the figure's
seems to be); energy is of rows, accesses and MACs, as there; area is of nine dies and the added
units. Each is over the worst of the three. `--out` writes edap.csv. True where all that need no
dearer arithmetic in a DRAM process (up to 16 vectors) are within a quarter of the published labels
by the roofline.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from archsim.components._pim import PimEngine
from archsim.core.data import find
from archsim.core.yamlio import load_yaml
from archsim.ir.pim import Product
from archsim.ir.problem import Extents
from archsim.system.build import Machine, build
from archsim.system.spec import load_hardware
from benchmarks.tables import Row, write_csv

VECTORS = (1, 2, 4, 8, 16, 32)
DIES_MM2 = 9 * 121.0  # eight DRAM dies and the logic die: Duplex (MICRO 2024), as HBM3
BUFFERS = "2304 KiB"  # 32 of 8 KiB and 2 of 1 MiB: Duplex (MICRO 2024)
SOFTMAX = {
    "kind": "pim_companion", "clock": "pim", "buffer": "128 KiB",
    "units": {"exp": 512, "add": 512, "max": 512, "mul": 512, "div": 4},
}  # fmt: skip
BUILT: dict[str, tuple[str, Row]] = {
    "bank": ("HBM3_PIM_5.2Gbps_NPC", {"kind": "bank_pim", "lanes": 8, "column_register": True}),
    "bank group": ("HBM3_5.2Gbps", {"kind": "bankgroup_pim", "lanes": 64}),
    "logic die": ("HBM3_5.2Gbps", {"kind": "logic_pim", "macs_per_stack": 16384}),
}
PUBLISHED = {  # labels of the figure
    "bank": (0.08, 0.16, 0.35, 0.81, 1, 1),
    "bank group": (1, 1, 1, 1, 0.96, 0.67),
    "logic die": (0.66, 0.66, 0.65, 0.65, 0.61, 0.40),
}
NEAR = 0.25


def machine(where: str) -> Machine:
    """One stack, with units in one of the places."""
    standard, engine = BUILT[where]
    data: Any = load_yaml(find("npu", "configs")).data
    del data["provenance"]
    data["clocks"]["pim"] = "650 MHz"
    data["memory"]["hbm"] = {"kind": "dram", "standard": standard}
    data["engines"]["pim"] = {"inside": "hbm", "clock": "pim", "buffer": BUFFERS, **engine}
    data["engines"]["softmax"] = SOFTMAX
    return build(load_hardware(data)[0])


def measured(where: str) -> list[Row]:
    """Time, energy, area and their product, by the number of vectors."""
    built = machine(where)
    pim = built.engines["pim"]
    assert isinstance(pim, PimEngine)
    area = built.area_mm2()
    price = {a: pim.price(built.table, a).pj for a in ("activate", "read", "mac")}
    moving = {a: pim.price(built.table, a).pj for a in ("input", "result")}
    rows = []
    for m in VECTORS:
        product = Product((Extents(1, m, 4096, 16384),), 16, 16, 16)
        work = pim.product(product)
        energy = work.activates * price["activate"] + work.read_bytes * price["read"]
        energy += product.macs * price["mac"]
        moved = work.input_bytes * moving["input"] + work.result_bytes * moving["result"]
        mm2 = DIES_MM2 + area["pim"] + area["softmax"]
        rows.append(
            {"units at": where, "vectors": m, "time_us": work.banks_ps / 1e6,
             "best_us": work.bound_ps / 1e6, "energy_uj": energy / 1e6, "moved_uj": moved / 1e6,
             "area_mm2": mm2, "edap": energy * work.banks_ps * mm2,
             "edap_at_best": energy * work.bound_ps * mm2}
        )  # fmt: skip
    return rows


def main() -> bool:
    """Measure all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for edap.csv")
    asked = parser.parse_args()
    rows = [row for where in BUILT for row in measured(where)]
    for key in ("edap", "edap_at_best"):
        worst = {m: max(r[key] for r in rows if r["vectors"] == m) for m in VECTORS}
        for row in rows:
            row[key] /= worst[row["vectors"]]
    for i, row in enumerate(rows):
        row["published"] = PUBLISHED[row["units at"]][i % len(VECTORS)]
        row["error_at_best"] = row["edap_at_best"] / row["published"] - 1
        print(f"{row['units at']:10} {row['vectors']:3} vectors  {row['time_us']:6.1f} us (best "
              f"{row['best_us']:6.1f})  {row['energy_uj']:6.0f} uJ (inputs, results "
              f"{row['moved_uj']:4.0f})  {row['area_mm2']:6.1f} mm2  EDAP {row['edap']:5.3f} (best "
              f"{row['edap_at_best']:5.3f})  published {row['published']:4.2f}  "
              f"{100 * row['error_at_best']:+5.1f} %")  # fmt: skip
    if asked.out:
        write_csv(asked.out / "edap.csv", rows)
    return all(abs(r["error_at_best"]) <= NEAR for r in rows if r["vectors"] <= 16)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
