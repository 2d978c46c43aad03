"""HBM-PIM's published result: a matrix times a vector in the banks, over the GPU that reads it."""

from __future__ import annotations

import re

from archsim.core.errors import Unsupported
from archsim.validation.adapters import _pim_systems
from archsim.validation.base import Row

MACHINES = {"gpu_hbm_pim": "hbm-pim", "gpu_hbm2": "hbm-pim-hbm2"}
LARGE = 8192, 8192  # outputs and inputs, where a row gives none
METRICS = ("throughput_ratio", "energy_ratio")


class HbmPim(_pim_systems.PimSystem):
    """The baseline's time or energy over the system's."""

    kind = "hbm_pim"

    def run(self, row: Row) -> dict[str, float]:
        """One ratio.

        Raises:
            Unsupported: for a machine or a metric that is not published.
        """
        if row["metric"] not in METRICS:
            raise Unsupported(f'metric "{row["metric"]}" is not published')
        ours, theirs = (self._taken(row, key) for key in ("system", "baseline"))
        figure = METRICS.index(row["metric"])
        return {_pim_systems.WANT: theirs[figure] / ours[figure]}

    def _taken(self, row: Row, key: str) -> tuple[float, float]:
        """Seconds and joules of one product."""
        if row[key] not in MACHINES:
            raise Unsupported(f'"{row[key]}" is not one of {", ".join(MACHINES)}')
        sizes = re.search(r"(\d+) ?x ?(\d+)", row["model"])
        outputs, inputs = map(int, sizes.groups()) if sizes else LARGE
        product = {
            "kind": "gemm", "name": "gemv", "n": outputs, "k": inputs,
            "m": _pim_systems.number(row["workload"], "batch"),
        }  # fmt: skip
        workload = {
            "schema": "archsim.workload/1",
            "name": "gemv",
            "model": {"config": {"architecture": "graph", "ops": [product]}},
            "dtypes": {"weights": "fp16", "activations": "fp16", "accumulators": "fp32"},
        }
        found = _pim_systems.step(MACHINES[row[key]], workload, self.set_)
        return found.seconds, found.joules
