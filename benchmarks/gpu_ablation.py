"""What each effect of a GPU kernel is worth: mean error on measured rows with it switched off.

Every effect is a parameter of the shipped machines, and is switched off by overriding it: nothing
is refitted, so a number says how much the effect carries, not whether others could cover for it.
Run as `python -m benchmarks.gpu_ablation`; `--every 4` takes a quarter of the rows.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from archsim.validation import validate
from archsim.validation.suite import HERE, load_suite

TENSOR, VECTOR = "engines.tensor", "engines.vector"
ATTENTION = f"{TENSOR}.attention"
PREFILL, LINE = f"{ATTENTION}.prefill.bf16", "workload.model.config.ops[0]"
DECODE = tuple(f"{ATTENTION}.decode_{form}.bf16" for form in ("grouped", "multi_head"))
DTYPE = {"gpu-gemm": "dtype", "gpu-prefill": "kv_dtype", "gpu-decode": "kv_dtype"}

EFFECTS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "gpu-gemm": {
        "all effects": (),
        "one tile, no split-K": (f"{TENSOR}.tiles=[256x128]", f"{TENSOR}.split_k=[1]"),
        "no split-K": (f"{TENSOR}.split_k=[1]",),
        "no wave quantisation": (f"{TENSOR}.dealing=ideal",),
        "peak bandwidth": (f"{TENSOR}.memory_efficiency=1",),
        "SMs draw without limit": (f"{TENSOR}.memory_bytes_per_cycle=1e9",),
        "no launch": (f"{TENSOR}.launch=0 us",),
        "no operand feed limit": (f"{TENSOR}.operand_bytes_per_cycle=1e9",),
        "boost clock": (f"{TENSOR}.sustained.bf16=1",),
        "no tile latency": (f"{TENSOR}.tile_latency=0 us",),
        "no epilogue": (f"{TENSOR}.epilogue_bytes_per_cycle=1e9",),
    },
    "gpu-prefill": {
        "all effects": (),
        "softmax free": (f"{PREFILL}.softmax_cycles=0",),
        "no causal skip": (f"{ATTENTION}.causal_skip=false",),
        "no launch": (f"{PREFILL}.launch=0 us",),
        "no thread block latency": (f"{PREFILL}.cta_latency=0 us",),
        "no rotation and append": (f"{LINE}.append=false",),
        "ideal dealing": (f"{ATTENTION}.dealing=ideal",),
        "dealt in turn": (f"{ATTENTION}.dealing=in_turn",),
        "boost clock": (f"{TENSOR}.sustained.bf16=1",),
    },
    "gpu-decode": {
        "all effects": (),
        "keys and values apart": (f"{LINE}.shared_kv=false",),
        "no L2 hits": (f"{ATTENTION}.warm_l2=false",),
        "no launch": tuple(f"{kernel}.launch=0 us" for kernel in DECODE),
        "no split over the context": (f"{ATTENTION}.split=false",),
        "no thread block latency": tuple(f"{kernel}.cta_latency=0 us" for kernel in DECODE),
        "no CTA feed limit": tuple(f"{kernel}.bytes_per_cycle=1e9" for kernel in DECODE),
        "no miss latency": tuple(f"{kernel}.miss_latency=0 us" for kernel in DECODE),
        "peak bandwidth": (f"{ATTENTION}.decode_efficiency=1",),
        "ideal dealing": (f"{ATTENTION}.dealing=ideal",),
    },
}


def rows_of(suite: str, gpu: str, every: int, folder: Path) -> Path:
    """A table of one GPU's 16-bit rows, one in so many."""
    text = (HERE / "tables" / load_suite(suite).table).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    at = lines[0].split(",").index(DTYPE[suite])
    rows = [x for x in lines[1:] if x.startswith(gpu) and x.split(",")[at] == "bfloat16"]
    path = folder / f"{suite}-{gpu}.csv"
    path.write_text("\n".join([lines[0], *rows[::every]]) + "\n", encoding="utf-8")
    return path


def ablation(
    suites: Sequence[str], gpus: Sequence[str], every: int = 1, workers: int = 1
) -> dict[tuple[str, str, str], float]:
    """Mean absolute error in percent by suite, effect switched off, and GPU."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for suite in suites:
            for gpu in gpus:
                table = rows_of(suite, gpu, every, Path(folder))
                for effect, overrides in EFFECTS[suite].items():
                    result = validate(suite, table, workers=workers, set_=overrides)
                    found[suite, effect, gpu] = result.metrics()["latency_us"]["mape_pct"]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suites", nargs="+", default=list(EFFECTS), choices=list(EFFECTS))
    parser.add_argument("--gpus", nargs="+", default=["A100", "H100"])
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(arguments)
    found = ablation(given.suites, given.gpus, given.every, given.workers)
    for suite in given.suites:
        print(f"\n{suite}: mean error in %, 16-bit rows, nothing refitted")
        print(f"{'':28}" + "".join(f"{gpu:>8}" for gpu in given.gpus))
        for effect in EFFECTS[suite]:
            print(f"{effect:28}" + "".join(f"{found[suite, effect, g]:8.1f}" for g in given.gpus))


if __name__ == "__main__":
    main()
