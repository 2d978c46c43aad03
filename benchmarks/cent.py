"""How do CENT's devices compare with GPUs that were measured on the same models?

    python -m benchmarks.cent [--out FOLDER] [--standby MILLIWATTS]

Llama 2 of 7, 13 and 70 billion parameters on 8, 20 and 32 devices: a stage for each layer, and all
devices on one token. 512 prompt tokens go one by one, 3584 follow, as published (Gu et al., CENT,
ASPLOS 2025); GPUs are one, two and four A100 under vLLM, measured by the authors. Static power of a
channel is that of the machine's description unless `--standby` says otherwise: the authors' own
power model leaves 8.24 mW of its 263.75. `--out` writes cent.csv. True where the machines are
faster than GPUs in answers, and slower in prompts, of every model.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from archsim.validation.adapters.cent import ENERGY, LATENCY, RATE, Cent
from archsim.validation.suite import HERE, read_table
from benchmarks.tables import Row, counted, write_csv

DEVICES = {"Llama2-7B": (8, 32), "Llama2-13B": (20, 40), "Llama2-70B": (32, 80)}
PHASES = ("prefill", "decoding", "end2end")
STANDBY_MW = 263.75  # of a channel: CENT simulator (Yufeng98/CENT, 8c79786), cent_power_calculator


def gpus() -> dict[tuple[str, str, str], float]:
    """What was measured: by figure, model and phase."""
    rows = read_table(HERE / "tables" / "cent_gpu_measured.csv")
    return {(row["file"], row["row"], row["field"]): float(row["value"]) for row in rows}


def ours(adapter: Cent, model: str, *, staged: bool, phase: str) -> dict[str, float]:
    """A model on its devices: a stage for each layer, or all devices on one token."""
    devices, layers = DEVICES[model]
    row = {
        "Model": model, "Device number": str(devices), "Seqlen": "4096", "Phase": phase,
        "Pipeline parallelism": str(layers if staged else 1),
        "Tensor parallelism": str(1 if staged else devices),
    }  # fmt: skip
    return adapter.run(row)


def main() -> bool:
    """Measure all, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="folder for cent.csv")
    parser.add_argument("--standby", type=float, default=STANDBY_MW, help="mW of a channel")
    asked = parser.parse_args()
    adapter, measured = Cent((f"memory.gddr.standby={asked.standby} mW",)), gpus()
    rows: list[Row] = []
    for model, phase in counted("cent", [(m, p) for m in DEVICES for p in PHASES]):
        found = ours(adapter, model, staged=True, phase=phase)
        first = ours(adapter, model, staged=False, phase=phase)
        rate, per_joule = (measured[f"GPU_{x}", model, phase] for x in ("throughput", "energy"))
        rows.append(
            {"model": model, "phase": phase, "tokens_per_s": found[RATE], "gpu_tokens_per_s": rate,
             "speed_up": found[RATE] / rate, "tokens_per_j": 1000 / found[ENERGY],
             "gpu_tokens_per_j": per_joule, "frugal": 1000 / found[ENERGY] / per_joule,
             "latency_s": found[LATENCY], "least_latency_s": first[LATENCY]}
        )  # fmt: skip
    for row in rows:
        print(f"{row['model']:10} {row['phase']:8} {row['tokens_per_s']:6.0f} tokens/s (GPUs "
              f"{row['gpu_tokens_per_s']:6.0f}, x {row['speed_up']:4.2f})  "
              f"{row['tokens_per_j']:5.1f} tokens/J (GPUs {row['gpu_tokens_per_j']:5.1f}, "
              f"x {row['frugal']:4.2f})  a sequence in {row['latency_s']:5.1f} s, on all devices "
              f"{row['least_latency_s']:4.1f} s")  # fmt: skip
    if asked.out:
        write_csv(asked.out / "cent.csv", rows)
    faster = {(r["model"], r["phase"]): r["speed_up"] > 1 for r in rows}
    return all(faster[m, "decoding"] and not faster[m, "prefill"] for m in DEVICES)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
