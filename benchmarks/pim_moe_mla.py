"""What does arithmetic in the memory do for experts and for latent attention, batch by batch?

    python -m benchmarks.pim_moe_mla [--out FOLDER] [--models deepseek-v3,mixtral-8x7b,glam-143b]

One decode step at a context of 2048 on one GPU of H100 class with five stacks of HBM3, and on the
same GPU whose stacks compute: on the logic die, at the bank groups, or at the banks, as Duplex (Yun
et al., MICRO 2024) builds them. The memory is given room for the whole model. Ops are sent as
Duplex sends them (experts and attention of decoding tokens to the memory), or by `auto`, each to
the faster side. Area is that of a GPU die, of nine dies a stack, and of what is added to them; EDAP
is energy x time x area over that of the GPU alone. `--out` writes pim_moe_mla.csv. True where
`auto` is at most 2 % slower than either side alone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from archsim import api
from benchmarks.tables import Row, counted, write_csv

MODELS = ("deepseek-v3", "mixtral-8x7b", "glam-143b")
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTEXT = 2048
STACKS = 5
GPU = "gpu-hbm3-4"
INSIDE = {"logic die": "duplex-4", "bank group": "bankgroup-pim-4", "bank": "bank-pim-4"}
SENT = ("as Duplex", "auto")
GPU_MM2 = 814.0  # NVIDIA H100 white paper
DIES_MM2 = STACKS * 9 * 121.0  # eight DRAM dies and the logic die a stack: Duplex (MICRO 2024)
ATTENTION = ("attention_score", "softmax", "attention_value")
EXPERTS = ("moe_expert",)
EITHER = [
    {"ops": ops, "run_on": "auto", "among": ["xpu", "pim"]} for ops in ("attention", "moe_expert")
]
SLACK = 1.02


def workload(model: str, batch: int) -> dict[str, Any]:
    """A decode step of a model in fp16."""
    return {
        "schema": "archsim.workload/1", "name": f"{model}-{batch}", "model": {"preset": model},
        "phase": {"kind": "decode", "batch": batch, "context": CONTEXT},
        "dtypes": {"weights": "fp16", "kv_cache": "fp16"},
    }  # fmt: skip


def alone(machine: str, sent: str) -> dict[str, Any]:
    """One device of a shipped machine of four, with room for any model."""
    data = api.load_hardware(machine, set_=["memory.hbm.capacity=8 TiB"]).to_data()
    del data["interconnect"]["node"]
    del data["provenance"]
    if sent == "auto":
        data["dispatch"] = EITHER
    return data


def spent(run: api.Report, classes: tuple[str, ...]) -> tuple[float, str]:
    """Microseconds of some classes of ops, and the engines of their products."""
    rows = [row for row in run.ops if row["op_class"] in classes]
    at = sorted({row["engine"] for row in rows if row["op_class"] != "softmax"})
    return sum(row["time_ps"] for row in rows) / 1e6, "+".join(at)


def measured(model: str, batch: int, where: str, sent: str) -> Row:
    """One step on one machine: time, energy, area, and where attention and experts ran."""
    machine = alone(INSIDE.get(where, GPU), sent)
    run = api.run(machine, workload(model, batch), fidelity="tile", advice=False)
    area = run.metrics["area_mm2"]["by_component"]
    added = sum(mm2 for name, mm2 in area.items() if name in ("pim", "softmax"))
    attention_us, attention_on = spent(run, ATTENTION)
    experts_us, experts_on = spent(run, EXPERTS)
    time_s, energy_j = run.metrics["time_s"], run.metrics["energy_j"]["total"]
    mm2 = GPU_MM2 + DIES_MM2 + added
    return {
        "model": model, "batch": batch, "inside": where, "sent": sent, "time_ms": 1e3 * time_s,
        "energy_j": energy_j, "area_mm2": mm2, "edap": time_s * energy_j * mm2,
        "attention_us": attention_us, "attention_on": attention_on,
        "experts_us": experts_us, "experts_on": experts_on,
    }  # fmt: skip


def of(rows: list[Row], model: str, batch: int) -> list[Row]:
    """Those of one model and batch; the first is the GPU alone."""
    return [row for row in rows if (row["model"], row["batch"]) == (model, batch)]


def show(rows: list[Row]) -> None:
    """Print those of one model and batch, over the first of them."""
    gpu = rows[0]
    for row in rows:
        print(f"{row['model']:13}{row['batch']:4} {row['inside']:11}{row['sent']:10}"
              f"{row['time_ms']:9.3f} ms {gpu['time_ms'] / row['time_ms']:6.2f} x  "
              f"{row['energy_j']:8.3f} J {100 * (row['energy_j'] / gpu['energy_j'] - 1):+6.1f} %"
              f"{row['area_mm2']:8.0f} mm2  EDAP {row['edap'] / gpu['edap']:6.3f}  "
              f"attention {row['attention_us']:10.1f} us on {row['attention_on']:4}"
              f"  experts {row['experts_us']:10.1f} us on {row['experts_on']}")  # fmt: skip


def never_worse(rows: list[Row]) -> bool:
    """Whether `auto` is as fast as the GPU alone and as the fixed rule, of one model and batch."""
    times = {(row["inside"], row["sent"]): row["time_ms"] for row in rows}
    gpu_ms = rows[0]["time_ms"]
    return all(
        times[where, "auto"] <= SLACK * min(gpu_ms, times[where, "as Duplex"]) for where in INSIDE
    )


def main() -> bool:
    """Measure all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for pim_moe_mla.csv")
    parser.add_argument("--models", default=",".join(MODELS), help="presets with experts")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)), help="sequences")
    asked = parser.parse_args()
    models, batches = asked.models.split(","), [int(b) for b in asked.batches.split(",")]
    built = [("none", "-"), *((where, sent) for where in INSIDE for sent in SENT)]
    rows = []
    cases = [(model, batch, *one) for model in models for batch in batches for one in built]
    for case in counted("pim_moe_mla", cases):
        rows.append(measured(*case))
        if len(rows) % len(built) == 0:
            show(rows[-len(built) :])
    for model in models:
        for batch in batches:
            gpu, *others = of(rows, model, batch)
            for row in (*others, gpu):
                row["edap"] /= gpu["edap"]
    if asked.out:
        write_csv(asked.out / "pim_moe_mla.csv", rows)
    worse = [(m, b) for m in models for b in batches if not never_worse(of(rows, m, b))]
    for model, batch in worse:
        print(f"auto is slower than a side alone: {model} at {batch}")
    return not worse


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
