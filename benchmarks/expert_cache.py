"""Experts cached in HBM: a decode of Mixtral-8x7B on three tiers, and its bytes against the trace.

    python -m benchmarks.expert_cache [--steps N] [--batch N] [--policy NAME] [--machine NAME]

The HBM of the machine holds 3, 5 or 8 of the 8 experts of each layer; DDR holds all of them.
Tokens go to experts by a trace, drawn here with a taste of its own for each layer. Each row is
one run. The weight bytes that leave DDR must be those of a plain recount of the trace, and visits
times the bytes of an expert those of all experts that it names; both to the byte. `hidden` is the
share of the time of all fetches by which the run is not longer than with all experts in HBM.
Below, hit rates of all policies for the same trace.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np

from archsim import api
from archsim.memory.replacement import replay

EXPERTS, TOP_K, LAYERS = 8, 2, 32
EXPERT_BYTES = 2 * 3 * 4096 * 14336  # three bf16 matrices
CHOICE = 1.0  # weight of the r-th expert of a layer: 1 / r to this power
POLICIES = ("pinned", "lru", "lfu", "belady")
ROW = "{:>4} {:>8} {:>9} {:>8} {:>6} {:>6} {:>12} {:>8} {:>6} {:>13} {:>6}"

Trace = list[list[int]]


def draw(steps: int, batch: int, seed: int = 1) -> Trace:
    """Tokens of each expert: one row a layer for each step, step by step."""
    rng = np.random.default_rng(seed)
    taste = [rng.permutation(EXPERTS) for _ in range(LAYERS)]
    weight = np.arange(1.0, EXPERTS + 1) ** -CHOICE
    rows = []
    for _ in range(steps):
        for layer in range(LAYERS):
            share = weight[taste[layer]] / weight.sum()
            counts = np.zeros(EXPERTS, dtype=np.int64)
            for _ in range(batch):
                counts[rng.choice(EXPERTS, TOP_K, replace=False, p=share)] += 1
            rows.append(counts.tolist())
    return rows


def visits(trace: Trace, layer: int) -> list[list[int]]:
    """Experts that each step needs in a layer, the one with most tokens first."""
    return [
        sorted((e for e, n in enumerate(row) if n), key=lambda e, row=row: (-row[e], e))
        for row in trace[layer::LAYERS]
    ]


def recount(trace: Trace, held: int) -> int:
    """Bytes that least-recently-used replacement fetches, counted anew in the plainest way."""
    misses = 0
    for layer in range(LAYERS):
        steps = visits(trace, layer)
        named = [e for step in steps for e in step]
        order = {e: i for i, e in enumerate(dict.fromkeys(named))}
        recent = sorted(order, key=lambda e: (-named.count(e), order[e]))[:held]
        for step in steps:
            there = [e for e in step if e in recent]
            for expert in there + [e for e in step if e not in there]:
                misses += expert not in there
                recent = [*(e for e in recent if e != expert), expert][-held:]
    return misses * EXPERT_BYTES


def run(machine: str, trace: Trace, options: argparse.Namespace, held: int, ahead: bool) -> Any:
    """One run of the decode."""
    workload = {
        "schema": "archsim.workload/1",
        "name": "mixtral-8x7b-decode",
        "model": {"preset": "mixtral-8x7b"},
        "phase": {"kind": "decode", "batch": options.batch, "context": 2048,
                  "steps": options.steps},
        "dtypes": {"weights": "bf16"},
        "routing": {"kind": "trace", "counts": trace},
    }  # fmt: skip
    rule = {"held": held, "policy": options.policy, "prefetch": str(ahead).lower()}
    settings = [f"placement.experts.{key}={value}" for key, value in rule.items()]
    settings.append("memory.hbm.capacity=128 GiB")  # room for all eight: one machine for all rows
    return api.run(machine, workload, set_=settings, fidelity="tile").result


def main() -> int:
    """Print the table; 1 when bytes disagree with the trace."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--policy", choices=POLICIES, default="lru")
    parser.add_argument("--machine", default="sn40l")
    options = parser.parse_args()
    trace = draw(options.steps, options.batch)
    named = sum(n > 0 for row in trace for n in row) * EXPERT_BYTES
    print(f"Mixtral-8x7B bf16, decode of {options.steps} steps, batch {options.batch}, "
          f"context 2048, on {options.machine}; {options.policy}")  # fmt: skip
    print(ROW.format("held", "prefetch", "time ms", "hit rate", "visits", "misses", "DDR bytes",
                     "DDR wait", "hidden", "bytes = trace", "run s"))  # fmt: skip
    good, all_there = True, 0
    for held, ahead in ((8, False), (5, False), (5, True), (3, False), (3, True)):
        began = time.perf_counter()
        found = run(options.machine, trace, options, held, ahead)
        took = time.perf_counter() - began
        cache, staged = found["expert_cache"], found["staging"]
        all_there = all_there or found["time_ps"]
        ddr = found["traffic"]["ddr"]["weight_read_bytes"]
        expected = recount(trace, held) if options.policy == "lru" else cache["miss_bytes"]
        agrees = ddr == expected == cache["miss_bytes"] and cache["visits"] * EXPERT_BYTES == named
        good &= agrees
        busy_ps = staged["busy_s"] * 1e12
        hidden = 1 - (found["time_ps"] - all_there) / busy_ps if busy_ps else None
        print(ROW.format(
            held, "on" if ahead else "off", f"{found['time_ps'] / 1e9:.3f}",
            f"{cache['hit_rate']:.4f}", cache["visits"], cache["misses"], ddr,
            f"{staged['stalls_s']['ddr'] * 1e12 / found['time_ps']:.3f}",
            "-" if hidden is None else f"{hidden:.3f}",
            "yes" if agrees else f"no: {expected}", f"{took:.1f}",
        ), flush=True)  # fmt: skip
    print("\nHit rate by policy over the same trace")
    print("{:>8} {:>8} {:>8} {:>8}".format("", *(f"{n} held" for n in (3, 5, 8))))
    for policy in POLICIES:
        rates = []
        for held in (3, 5, 8):
            seen = [replay(visits(trace, layer), held, policy) for layer in range(LAYERS)]
            hits = sum(len(step) for one in seen for step in one.hits)
            rates.append(f"{hits * EXPERT_BYTES / named:.4f}")
        print("{:>8} {:>8} {:>8} {:>8}".format(policy, *rates))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
