"""Measured decode attention of GPUs: one kernel, replayed on one cache."""

from __future__ import annotations

from archsim.api import run
from archsim.validation.adapters import _gpu
from archsim.validation.base import Adapter, Beside, Row

# the cache of these rows was allocated for keys only, and values read it too
ALIASED = ("A100",)


class GpuDecode(Adapter):
    """Latency of the attention kernel of a row on the shipped machine.

    The table's kernels run on one cache again and again, so that what fits is found in L2; a
    model's layers do not do that. So the cache is given as plain data, and `warm_l2` is on.
    """

    kind = "gpu-decode"
    NEEDS = ("gpu", "attn_dtype", "kv_dtype", "batch", "q_heads", "kv_heads", "head_dim", "context")

    def run(self, row: Row) -> dict[str, float]:
        """One decode step's attention through the same call that users make."""
        line = _gpu.attention_line(row) | {
            "queries": 1,
            "context": _gpu.count(row, "context"),
            "kv": "given",
            "shared_kv": _gpu.family(row["gpu"]) in ALIASED,
        }
        report = run(
            _gpu.machine(row["gpu"]),
            _gpu.attention_workload(row, line),
            set_=("engines.tensor.attention.warm_l2=true", *self.set_),
            fidelity="tile",
            advice=False,
        )
        return {"latency_us": report.result["time_ps"] / 1e6}

    def label(self, row: Row) -> str:
        """GPU, element types, sequences x context, heads."""
        return _gpu.attention_label(row, f"{row['batch']}x{row['context']}")

    def gates(self, metric: str, row: Row) -> bool:
        """Rows with a cache of eight bits are reported."""
        return row["attn_dtype"] == row["kv_dtype"] == "bfloat16"

    def beside(self, row: Row) -> Beside:
        """By GPU and KV bytes, with both rooflines."""
        return _gpu.decode_beside(row)
