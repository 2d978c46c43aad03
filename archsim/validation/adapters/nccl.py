"""Measured collectives of GPUs inside one node, by NCCL."""

from __future__ import annotations

from archsim.api import run
from archsim.core.errors import Unsupported
from archsim.validation.adapters import _gpu
from archsim.validation.base import Adapter, Beside, Row

PATTERNS = {
    "all_reduce": "all_reduce", "all_gather": "all_gather", "reduce_scatter": "reduce_scatter",
    "alltoall": "all_to_all", "all_to_all": "all_to_all",
}  # fmt: skip
ELEMENT_BYTES = 2  # the table is of fp16

# NVIDIA datasheets: NVLink of a GPU, bytes a second each way
NODES = {
    "A100": ("a100x8", 300e9),
    "H100": ("h100x8", 450e9),
    "H200": ("h200x8", 450e9),
    "B200": ("b200x8", 900e9),
}


class Nccl(Adapter):
    """Latency of a row as one collective among so many GPUs of the shipped node."""

    kind = "nccl"
    NEEDS = ("gpu", "collective", "num_gpus", "message_elements")

    def run(self, row: Row) -> dict[str, float]:
        """One collective through the same call that users make."""
        config, _ = _node(row)
        devices = _gpu.count(row, "num_gpus", 2)
        report = run(
            config,
            self._workload(row, devices),
            set_=(f"interconnect.node.devices={devices}", *self.set_),
            fidelity="tile",
            advice=False,
        )
        return {"latency_us": report.result["time_ps"] / 1e6}

    def label(self, row: Row) -> str:
        """GPU, pattern, devices, elements."""
        return f"{row['gpu']} {row['collective']} x{row['num_gpus']} {row['message_elements']}"

    def beside(self, row: Row) -> Beside:
        """By GPU, by pattern, and by what bounds the row, with its bytes at the link's peak.

        A size class is that of the time of the least bytes at the peak: launch below 1 us, latency
        below 30 us, else bandwidth.
        """
        pattern, (_, bytes_per_s) = _pattern(row), _node(row)
        n, size = (
            _gpu.count(row, "num_gpus", 2),
            ELEMENT_BYTES * _gpu.count(row, "message_elements"),
        )
        moved = (2 if pattern == "all_reduce" else 1) * (n - 1) / n * size
        moved_us = 1e6 * moved / bytes_per_s
        name = "launch" if moved_us < 1 else "latency" if moved_us < 30 else "bandwidth"
        gpu = _gpu.family(row["gpu"])
        groups = (gpu, f"{gpu}.{pattern}", f"{gpu}.{name}", f"{gpu}.{pattern}.{name}")
        return Beside(groups, f"{gpu}.{pattern}", 0.0, moved_us)

    def _workload(self, row: Row, devices: int) -> dict[str, object]:
        line = {
            "kind": "collective", "name": "exchange", "pattern": _pattern(row),
            "devices": devices, "elements": _gpu.count(row, "message_elements"),
        }  # fmt: skip
        return {
            "schema": "archsim.workload/1",
            "name": "nccl",
            "model": {"config": {"architecture": "graph", "ops": [line]}},
            "dtypes": {"weights": "fp16", "activations": "fp16"},
            "parallel": {"tensor": devices},
        }


def _pattern(row: Row) -> str:
    """Pattern of a `collective` column.

    Raises:
        Unsupported: for one that NCCL's tables do not have.
    """
    if row["collective"] not in PATTERNS:
        raise Unsupported(f'collective "{row["collective"]}" is not one of {", ".join(PATTERNS)}')
    return PATTERNS[row["collective"]]


def _node(row: Row) -> tuple[str, float]:
    """Shipped node of a GPU, and the bandwidth of its links.

    Raises:
        Unsupported: for a GPU whose node is not shipped.
    """
    family = _gpu.family(row["gpu"])
    if family not in NODES:
        raise Unsupported(f"no shipped node is of {family}: there are {', '.join(NODES)}")
    return NODES[family]
