"""What the suites of measured GPU kernels share: machines, datasheet peaks, rows by size class.

The peaks serve the rooflines that a simulation is compared with and the borders between classes;
what is simulated is the shipped machine, run as anybody runs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan

from archsim.core.errors import Unsupported, nearest
from archsim.validation.base import Beside, Row

LAUNCH_US = 10.0  # kernels whose plain roofline is shorter show what a launch costs
KV_SMALL_BYTES = 5_000_000  # caches below it take no time beside a launch


@dataclass(frozen=True)
class Sheet:
    """Datasheet peaks of one GPU; FLOP/s are dense bf16."""

    config: str
    sms: int
    flops: float
    bytes_per_s: float
    l2_bytes: int


# NVIDIA datasheets of the SXM modules; the B200's L2 is assumed (two dies, 126 MB reported)
SHEETS = {
    "A100": Sheet("a100", 108, 312e12, 2.039e12, 40 << 20),
    "H100": Sheet("h100", 132, 989e12, 3.35e12, 50 << 20),
    "H200": Sheet("h200", 132, 989e12, 4.8e12, 50 << 20),
    "B200": Sheet("b200", 148, 2250e12, 8e12, 126 << 20),
}

# element types by the name that measurement tables use
DTYPES = {"bfloat16": "bf16", "float16": "fp16", "fp8": "fp8", "fp8_block": "fp8"}


def family(gpu: str) -> str:
    """`A100` of `A100-SXM4-80GB`, in any case.

    Raises:
        Unsupported: for a GPU without a shipped machine.
    """
    name = gpu.strip().upper().partition("-")[0].partition(" ")[0].partition("_")[0]
    if name not in SHEETS:
        close = nearest(name, SHEETS)
        raise Unsupported(
            f'no shipped machine is a "{gpu}": there are {", ".join(SHEETS)}',
            help=f"did you mean {close}?" if close else None,
        )
    return name


def sheet(gpu: str) -> Sheet:
    """Datasheet of a `gpu` column."""
    return SHEETS[family(gpu)]


def machine(gpu: str) -> str:
    """Shipped configuration of a `gpu` column."""
    return sheet(gpu).config


def dtype(text: str) -> str:
    """Element type of a `dtype` column.

    Raises:
        Unsupported: for a name that no table has used.
    """
    if text not in DTYPES:
        raise Unsupported(f'element type "{text}" is not one of {", ".join(DTYPES)}')
    return DTYPES[text]


def rate(text: str) -> float:
    """Peak MMA rate of an element type over that of bf16: eight bits run twice as fast."""
    return 2.0 if dtype(text) == "fp8" else 1.0


def count(row: Row, column: str, least: int = 1) -> int:
    """A whole number of a column.

    Raises:
        Unsupported: for anything else.
    """
    try:
        value = float(row[column])
    except ValueError:
        value = nan
    if not least <= value < inf or not value.is_integer():
        what = "a whole number above 0" if least else "a whole number, 0 or more"
        raise Unsupported(f'column {column} expects {what}, got "{row[column]}"')
    return int(value)


def beside(gpu: str, label: str, size: str, compute_us: float, memory_us: float) -> Beside:
    """Where a row stands: by GPU and class, with what its datasheet alone says.

    Args:
        gpu: the row's `gpu` column.
        label: element type as the table names it; rows of others than bf16 stand apart.
        size: class of the row.
        compute_us: operations at the peak.
        memory_us: compulsory bytes at the peak.
    """
    group = family(gpu)
    if label != "bfloat16":
        group = f"{group}-{label}"
    return Beside((group, f"{group}.{size}"), group, compute_us, memory_us)


def gemm_beside(row: Row) -> Beside:
    """A row of the GEMM table: launch, memory, wave or compute."""
    m, n, k = (count(row, x) for x in "MNK")
    facts, label = sheet(row["gpu"]), row["dtype"]
    size = 1 if dtype(label) == "fp8" else 2
    compute_us = 2e6 * m * n * k / (facts.flops * rate(label))
    memory_us = 1e6 * ((m * k + n * k) * size + m * n * 2) / facts.bytes_per_s
    if max(compute_us, memory_us) < LAUNCH_US:
        name = "launch"
    elif memory_us > compute_us:
        name = "memory"
    else:  # large tiles: 128 x 256
        name = "wave" if -(-m // 128) * -(-n // 256) <= 4 * facts.sms else "compute"
    return beside(row["gpu"], label, name, compute_us, memory_us)


def prefill_beside(row: Row) -> Beside:
    """A row of the prefill table: launch, wave or compute."""
    batch, queries, before = count(row, "batch"), count(row, "seq"), count(row, "step", 0)
    heads, kv_heads, dim = (count(row, x) for x in ("q_heads", "kv_heads", "head_dim"))
    facts, cache = sheet(row["gpu"]), row["kv_dtype"]
    size = 1 if dtype(cache) == "fp8" else 2
    pairs = batch * heads * (queries * before + queries * (queries + 1) // 2)
    compute_us = 4e6 * dim * pairs / (facts.flops * rate(cache))
    moved = batch * dim * (2 * heads * queries * 2 + 2 * kv_heads * (queries + before) * size)
    memory_us = 1e6 * moved / facts.bytes_per_s
    if max(compute_us, memory_us) < LAUNCH_US:
        name = "launch"
    else:  # thread blocks of 64 queries
        name = "wave" if batch * heads * -(-queries // 64) <= 16 * facts.sms else "compute"
    return beside(row["gpu"], _pair(row), name, compute_us, memory_us)


def decode_beside(row: Row) -> Beside:
    """A row of the decode table, by its KV bytes: under 5 MB, to L2, to four L2, above."""
    batch, context = count(row, "batch"), count(row, "context")
    heads, kv_heads, dim = (count(row, x) for x in ("q_heads", "kv_heads", "head_dim"))
    facts, cache = sheet(row["gpu"]), row["kv_dtype"]
    kv_bytes = 2 * batch * kv_heads * dim * context * (1 if dtype(cache) == "fp8" else 2)
    compute_us = 4e6 * batch * heads * dim * context / (facts.flops * rate(cache))
    borders = ((KV_SMALL_BYTES, "under_5MB"), (facts.l2_bytes, "to_L2"),
               (4 * facts.l2_bytes, "to_4L2"), (inf, "above_4L2"))  # fmt: skip
    name = next(name for border, name in borders if kv_bytes < border)
    return beside(row["gpu"], _pair(row), name, compute_us, 1e6 * kv_bytes / facts.bytes_per_s)


def _pair(row: Row) -> str:
    """Element types of attention and of its cache as one label."""
    pair = (row["attn_dtype"], row["kv_dtype"])
    return pair[0] if pair[0] == pair[1] else f"{pair[1]}-cache"


def attention_line(row: Row) -> dict[str, object]:
    """The part of an attention line that prefill and decode share."""
    return {
        "kind": "attention",
        "name": "attn",
        "batch": count(row, "batch"),
        "heads": count(row, "q_heads"),
        "kv_heads": count(row, "kv_heads"),
        "head_dim": count(row, "head_dim"),
    }


def attention_workload(row: Row, line: dict[str, object]) -> dict[str, object]:
    """A workload of one attention: activations of 16 bit, the cache of the row's type.

    Where the cache has eight bits so have the queries; that a framework calls attention by either
    type makes no difference to the kernel.
    """
    dtype(row["attn_dtype"])
    own, cache = "bf16", dtype(row["kv_dtype"])
    return {
        "schema": "archsim.workload/1",
        "name": "attention",
        "model": {"config": {"architecture": "graph", "ops": [line]}},
        "dtypes": {"weights": own, "activations": own, "kv_cache": cache, "accumulators": "fp32"},
    }


def attention_label(row: Row, size: str) -> str:
    """Name of a row of an attention table."""
    types = f"{row['attn_dtype']}/{row['kv_dtype']}"
    return f"{row['gpu']} {types} {size} heads {row['q_heads']}/{row['kv_heads']}"
