"""Measured matrix products of GPUs, weights cold; those of eight bits after quantisation."""

from __future__ import annotations

from archsim.api import run
from archsim.validation.adapters import _gpu
from archsim.validation.base import Adapter, Beside, Row

# DeepSeek-V3 (2024), section 3.3: blocks of 128 x 128 weights share a scale of 32 bits
BLOCKS = {"bits": 8, "group": 128 * 128, "scale_bytes": 4, "computes_as": "fp8"}


class GpuGemm(Adapter):
    """Latency of a row as one product on the shipped machine.

    Rows of eight bits hold the kernels that scale the activations: one that finds the largest,
    where the whole tensor shares a scale, and one that writes them.
    """

    kind = "gpu-gemm"
    NEEDS = ("gpu", "dtype", "M", "N", "K")

    def run(self, row: Row) -> dict[str, float]:
        """One product through the same call that users make."""
        report = run(
            _gpu.machine(row["gpu"]),
            self._workload(row),
            set_=self.set_,
            fidelity="tile",
            advice=False,
        )
        return {"latency_us": report.result["time_ps"] / 1e6}

    def label(self, row: Row) -> str:
        """GPU, element type, M x N x K."""
        return f"{row['gpu']} {row['dtype']} {row['M']}x{row['N']}x{row['K']}"

    def gates(self, metric: str, row: Row) -> bool:
        """Rows of eight bits are reported: how they are scaled is the framework's choice."""
        return row["dtype"] == "bfloat16"

    def beside(self, row: Row) -> Beside:
        """By GPU and size, with both rooflines."""
        return _gpu.gemm_beside(row)

    def _workload(self, row: Row) -> dict[str, object]:
        m, n, k = (_gpu.count(row, x) for x in "MNK")
        weights: object = _gpu.dtype(row["dtype"])
        product: dict[str, object] = {"kind": "gemm", "name": "gemm", "m": m, "n": n, "k": k}
        ops = [product]
        if weights == "fp8":
            size = {"kind": "vector", "rows": m, "cols": k}
            largest = size | {"name": "largest", "primitives": {"max": 1}, "result": "rows"}
            cleared = size | {"name": "cleared", "rows": 1, "cols": 1, "primitives": {"mul": 1}}
            scale = size | {"name": "scale", "primitives": {"mul": 1}, "dtype": "fp8"}
            ops = [scale, product | {"after": "scale"}]
            if row["dtype"] == "fp8":
                ops = [cleared, largest, *ops]
            else:  # one kernel looks for the largest of each block and scales it
                weights, ops = BLOCKS, [largest | {"op_class": "block_scale"}, *ops]
        return {
            "schema": "archsim.workload/1",
            "name": "gemm",
            "model": {"config": {"architecture": "graph", "ops": ops}},
            "dtypes": {"weights": weights, "activations": "bf16", "accumulators": "fp32"},
        }
