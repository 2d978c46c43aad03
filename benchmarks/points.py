"""How many designs a second does one worker simulate? Variations of a machine, against cold runs.

A cold run lowers the workload, searches every mapping and steps through time in plain Python; a
design of a study takes the graph, the tiles of arrays that it has seen, and compiled kernels. CPU
seconds of a process of its own, the best of some passes: on a shared machine wall time says less.
Bar: 30 designs a second of the machine in `BAR`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import fmean
from typing import Any

from archsim import api
from archsim.dataflows import _grid, _search
from archsim.dse.evaluate import FEW, evaluate
from archsim.dse.point import Task
from archsim.energy import sram
from archsim.lowering import lower, model
from archsim.lowering.spec import load_workload
from archsim.sim import kernels
from archsim.system.spec import load_hardware

LEAST_POINTS_PER_S = 30.0
BAR = "npu"
PASSES = 3
SHAPES = [(rows, cols) for rows in (32, 64, 128, 256) for cols in (64, 128)]
CASES: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {
    ("npu", "llama-3-8b-decode"): {
        "bandwidth": [{"memory.hbm.bandwidth": f"{700 + 100 * i} GB/s"} for i in range(8)],
        "array": [{"engines.array.rows": r, "engines.array.cols": c} for r, c in SHAPES],
        "clock": [{"clocks.core": f"{800 + 70 * i} MHz"} for i in range(8)],
        "sram": [{"memory.sram.capacity": f"{size} MiB"} for size in (12, 16, 24, 48, 64, 96)],
        "lanes": [{"engines.vector.lanes": lanes} for lanes in (32, 64, 96, 192, 256)],
    },
    ("h100", "llama-3-8b-decode"): {
        "clock": [{"clocks.core": f"{1400 + 70 * i} MHz"} for i in range(8)],
    },
    ("duplex-4", "mixtral-8x7b-decode"): {
        "clock": [{"clocks.core": f"{1400 + 70 * i} MHz"} for i in range(4)],
    },
}


@dataclass(frozen=True)
class Line:
    """One way to vary one machine: CPU milliseconds of a design, cold and in a study."""

    hardware: str
    workload: str
    varied: str
    points: int
    cold_ms: float
    study_ms: float

    def __str__(self) -> str:
        return (
            f"{self.hardware:<10}{self.workload:<22}{self.varied:<11}{self.points:>6}"
            f"{self.cold_ms:>9.1f}{self.study_ms:>9.1f}{1e3 / self.study_ms:>10.1f}"
            f"{self.cold_ms / self.study_ms:>8.1f} x"
        )


def measured(hardware: str, workload: str) -> list[Line]:
    """All lines of a case; in a process that has not simulated anything before."""
    machine, work = load_hardware(hardware)[0].to_data(), load_workload(workload)[0].to_data()
    varied = CASES[hardware, workload]

    def run(settings: Mapping[str, Any]) -> float:
        task = Task(machine, (work,), settings, "tile", 0, (1.0,), "")
        began = time.process_time()
        found = evaluate(task)
        took = time.process_time() - began
        assert found.status == "ok", found.error
        return took

    cold = {name: [_cold(machine, work, one) for one in some] for name, some in varied.items()}
    for one in range(FEW + 2):  # a study has settled after these
        run({} if one % 2 else next(iter(varied.values()))[0])
    passes = [{n: [run(one) for one in some] for n, some in varied.items()} for _ in _fresh()]
    return [
        Line(
            hardware, workload, name, len(some), 1e3 * fmean(cold[name]),
            1e3 * fmean(min(one[name][i] for one in passes) for i in range(len(some))),
        )
        for name, some in varied.items()
    ]  # fmt: skip


def _cold(machine: dict[str, Any], work: dict[str, Any], settings: Mapping[str, Any]) -> float:
    """CPU seconds of a run by itself."""
    for kept in (lower._kept, model._read, _grid._kept, _search._kept, sram.macro):
        kept.cache_clear()
    assert "numba" not in sys.modules
    overrides = Task(machine, (work,), settings, "tile", 0, (1.0,), "").overrides
    began = time.process_time()
    api.run(machine, work, set_=overrides, fidelity="tile", advice=False)
    return time.process_time() - began


def _fresh() -> Iterator[int]:
    """Passes over all designs, none of which finds the tiles of the one before."""
    for one in range(PASSES):
        _grid._kept.cache_clear()
        _search._kept.cache_clear()
        yield one


def main() -> bool:
    """Print the table; True when the bar is met."""
    print(f"{'machine':<10}{'workload':<22}{'varied':<11}{'points':>6}{'cold':>9}{'study':>9}"
          f"{'a second':>10}{'gain':>10}   CPU ms a design, one core")  # fmt: skip
    kernels.load()  # compiled once, kept on disk
    rates = {}
    for case in CASES:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as worker:
            lines = worker.submit(measured, *case).result()
        for line in lines:
            print(line)
        points = sum(line.points for line in lines)
        mean_ms = sum(line.points * line.study_ms for line in lines) / points
        rates[case[0]] = 1e3 / mean_ms
        print(f"{case[0]:<10}{'all':<33}{points:>6}{'':>9}{mean_ms:>9.1f}{1e3 / mean_ms:>10.1f}")
    met = rates[BAR] >= LEAST_POINTS_PER_S
    print(f"{'met' if met else 'NOT met'}: {rates[BAR]:.1f} designs/s of {LEAST_POINTS_PER_S:.0f}")
    return met


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
