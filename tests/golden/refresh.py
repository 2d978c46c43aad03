"""Refreshes the golden numbers: shipped workloads on shipped machines.

A machine for one purpose runs the workloads of that purpose; every other machine runs all workloads
that are not of a purpose.

`make golden` runs it and prints what changed, for the commit message. The `why` column is written
by hand and kept: hand calculation, closed form, or "regression only".
"""

from __future__ import annotations

import csv
import io
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from archsim import api
from archsim.core.data import names
from archsim.core.errors import ArchsimError

TABLE = Path(__file__).parent / "runs.csv"
COLUMNS = ("hardware", "workload", "time_ps", "bound_ps", "energy_j", "dram_bytes", "why")
NEW = "regression only"

LANGUAGE = ("llama-3-8b-*", "bert-base-encode")
VISION = ("resnet-50-infer",)
POD = ("llama-3-8b-*", "llama-3-70b-decode", "mixtral-8x7b-decode")
PURPOSE = {  # machines for one purpose, and globs of what they are for
    "ant": LANGUAGE, "bitmod": LANGUAGE, "fp16-array": LANGUAGE, "lut-npu": LANGUAGE,
    "olive": LANGUAGE, "sn40l-fabric": (*LANGUAGE, "gpt2-small-prefill", *VISION),
    "draco-16": VISION, "fuseconv-64": VISION, "nvdla-small": VISION,
    "edge-duo": ("edge-vision", *VISION),
    "flat": ("fusemax-*",), "fusemax": ("fusemax-*",), "streaming": ("streaming-sdpa-*",),
    "a100x4": POD, "a100x4-eager": POD, "a100x8": POD, "b200x8": POD, "cxl-32": POD,
    "dgx-a100-host": POD, "dgx-h100-host": POD, "h100-2x8": POD, "h100x8": POD, "h200x8": POD,
    "sn40l-8": POD, "sn40l-16": POD, "tpu-v4-64": POD,
    **dict.fromkeys(
        ("duplex-4", "duplex-8", "duplex-pe-4", "gpu-hbm3-4", "bank-pim-4", "bankgroup-pim-4",
         "hetero-4", "tiered-pim"), ("mixtral-8x7b-decode",)),
    **dict.fromkeys(
        ("duplex-1", "duplex-2x8", "duplex-pe-8", "duplex-pe-2x8", "gpu-hbm3-8", "gpu-hbm3-2x8",
         "gpu-hbm3-4x8", "cent-8", "cent-20", "cent-32", "neupims", "neupims-npu", "npu-pim-naive"),
        ("llama-3-8b-decode",)),
    **dict.fromkeys(
        ("dgx-a100-derated", "dgx-a100-hbm3", "dgx-a100-hbm3-large", "dgx-attacc",
         "dgx-attacc-derated", "dgx-attacc-pooled", "dgx-attacc-h100", "dgx-attacc-h100-pooled"),
        ("llama-3-70b-decode",)),
    **dict.fromkeys(
        ("pim-gpt", "t4", "t4-eager", "xeon", "xeon-eager", "hbm-pim", "hbm-pim-hbm2"),
        ("gpt2-small-prefill",)),
}  # fmt: skip
OF_A_PURPOSE = ("edge-vision", "fusemax-*", "streaming-sdpa-*")

Row = dict[str, str]


def measure(hardware: str, workload: str) -> Row:
    """The numbers of one run as texts; an error's code where there is no run."""
    try:
        result = api.run(hardware, workload, advice=False).result
    except ArchsimError as error:
        return {"time_ps": error.code, "bound_ps": "", "energy_j": "", "dram_bytes": ""}
    moved = sum(memory["total_bytes"] for memory in result["traffic"].values())
    return {
        "time_ps": str(result["time_ps"]),
        "bound_ps": str(result["bound_ps"]),
        "energy_j": f"{result['metrics']['energy_j']['total']:.12g}",
        "dram_bytes": str(moved),
    }


def pairs() -> list[tuple[str, str]]:
    """Machines and workloads that the table is made of."""
    found = []
    for hardware in names("configs"):
        for workload in names("workloads"):
            special = any(fnmatchcase(workload, glob) for glob in OF_A_PURPOSE)
            wanted = PURPOSE.get(hardware)
            if any(fnmatchcase(workload, g) for g in wanted) if wanted else not special:
                found.append((hardware, workload))
    return found


def committed() -> dict[tuple[str, str], Row]:
    """The rows of the table by hardware and workload."""
    if not TABLE.exists():
        return {}
    with TABLE.open(newline="") as file:
        return {(row["hardware"], row["workload"]): row for row in csv.DictReader(file)}


def main() -> None:
    """Measure everything, write the table, print the differences."""
    before, rows, report = committed(), [], []
    for hardware, workload in pairs():
        old = before.get((hardware, workload), {})
        new = measure(hardware, workload)
        for column, value in new.items():
            if old.get(column) != value:
                change = f"{old.get(column) or '-'} -> {value or '-'}"
                report.append(f"{hardware} {workload} {column}: {change}")
        why = {"why": old.get("why") or NEW}
        rows.append({"hardware": hardware, "workload": workload, **new, **why})
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    TABLE.write_text(text.getvalue())
    sys.stdout.write("\n".join(report or ["no number changed"]) + "\n")


if __name__ == "__main__":
    main()
