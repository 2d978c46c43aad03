"""Measured prefill attention of GPUs: rotation and append, then the attention kernel."""

from __future__ import annotations

from archsim.api import run
from archsim.validation.adapters import _gpu
from archsim.validation.base import Adapter, Beside, Row


class GpuPrefill(Adapter):
    """Latency of both kernels of a row, as one attention with `append` on the shipped machine."""

    kind = "gpu-prefill"
    NEEDS = ("gpu", "attn_dtype", "kv_dtype", "batch", "q_heads", "kv_heads", "head_dim", "seq",
             "step")  # fmt: skip

    def run(self, row: Row) -> dict[str, float]:
        """One prefill through the same call that users make.

        Activations pass through memory: the kernels are measured by themselves, so none finds what
        another has left on chip.
        """
        report = run(
            _gpu.machine(row["gpu"]),
            self._workload(row),
            set_=("placement.activations=[hbm]", *self.set_),
            fidelity="tile",
            advice=False,
        )
        return {"latency_us": report.result["time_ps"] / 1e6}

    def label(self, row: Row) -> str:
        """GPU, element types, sequences x tokens, heads."""
        return _gpu.attention_label(row, f"{row['batch']}x{row['seq']}+{row['step']}")

    def gates(self, metric: str, row: Row) -> bool:
        """Rows of eight bits are reported: how they are scaled is the framework's choice."""
        return row["attn_dtype"] == row["kv_dtype"] == "bfloat16"

    def beside(self, row: Row) -> Beside:
        """By GPU and size, with both rooflines."""
        return _gpu.prefill_beside(row)

    def _workload(self, row: Row) -> dict[str, object]:
        tokens, before = _gpu.count(row, "seq"), _gpu.count(row, "step", 0)
        line = _gpu.attention_line(row) | {
            "queries": tokens,
            "context": tokens + before,
            "append": True,
        }
        return _gpu.attention_workload(row, line)
