"""How fast is time? Both engines against a twin on stock SimPy, and against layers and steps.

Ratios are taken within one process on the same program; seconds alone say little on a shared
machine. Bars: at most 2.5 events a step, SimPy engine at least 4 x the twin, executor 50 x.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from archsim.sim.code import flatten
from archsim.sim.program import Channel, Leaf, Loop, Program, Row, Unit
from archsim.sim.result import RunResult
from archsim.sim.simulate import run_compiled, simulate
from archsim.testing.transformer_program import transformer
from benchmarks.stock_twin import Outcome, run_stock

MOST_EVENTS, LEAST_SIMPY, LEAST_COMPILED = 2.5, 4.0, 50.0
REPEATS = 3
T = TypeVar("T")


def best(run: Callable[[], T], repeats: int = REPEATS) -> tuple[float, T]:
    """Shortest wall seconds of some runs, and the last outcome."""
    seconds = []
    for _ in range(repeats):
        gc.collect()
        start = time.perf_counter()
        outcome = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), outcome


def pipeline(tiles: int) -> Program:
    """Load, compute, store on two double buffers, each unit on its own timeline."""
    units = (Unit("load"), Unit("compute"), Unit("store"))
    channels = (Channel("in", 0, 1, 2), Channel("out", 1, 2, 2))
    rows = (
        Row(0, 90, reserve=(0,), put=(0,)),
        Row(1, 100, take=(0,), reserve=(1,), put=(1,), free=(0,)),
        Row(2, 40, take=(1,), free=(1,)),
    )
    return Program(units, channels, rows, (Loop(tiles, (Leaf((0, 1, 2)),), "tiles"),))


@dataclass(frozen=True)
class Line:
    """One program on the three engines, exact."""

    name: str
    steps: int
    stock: Outcome
    stock_s: float
    simpy: RunResult
    simpy_s: float
    compiled_s: float

    @property
    def meets(self) -> bool:
        """Whether all three bars are met."""
        return (
            self.simpy.events / self.steps <= MOST_EVENTS
            and self.stock_s / self.simpy_s >= LEAST_SIMPY
            and self.stock_s / self.compiled_s >= LEAST_COMPILED
        )

    def __str__(self) -> str:
        same = "same" if self.stock.makespan_ps == self.simpy.makespan_ps else "ties differ"
        return (
            f"{self.name:<26}{self.steps:>9,}"
            f"{self.stock.events / self.steps:>9.2f}{self.simpy.events / self.steps:>8.2f}"
            f"{self.steps / self.stock_s:>12,.0f}{self.steps / self.simpy_s:>12,.0f}"
            f"{self.steps / self.compiled_s:>13,.0f}"
            f"{self.stock_s / self.simpy_s:>8.1f} x{self.stock_s / self.compiled_s:>8.0f} x"
            f"  {same}"
        )


def compare(name: str, program: Program) -> Line:
    """Run a program on the twin and on both engines, without folding and without logging."""
    program.check()
    stock_s, stock = best(lambda: run_stock(program))
    simpy_s, simpy = best(
        lambda: simulate(program, engine="simpy", exact=True, critical_path=False)
    )
    compiled_s, compiled = best(lambda: simulate(program, exact=True, critical_path=False))
    if compiled.makespan_ps != simpy.makespan_ps:
        raise AssertionError(f"{name}: the engines differ")
    return Line(name, program.steps(), stock, stock_s, simpy, simpy_s, compiled_s)


def milliseconds(run: Callable[[], RunResult]) -> str:
    """Best wall time, for a table."""
    return f"{best(run)[0] * 1e3:>12.2f}"


def scaling() -> None:
    """Wall time against layers (folded: flat) and against steps (exact: linear)."""
    print(
        "\nmilliseconds, Llama-3-8B shapes, decode of 16 sequences; 'path' adds the critical path"
    )
    print(
        f"{'layers':>7}{'steps':>12}{'folded':>12}{'+ path':>12}{'exact':>12}{'+ path':>12}"
        f"{'SimPy folded':>14}{'check':>9}{'no numba':>12}"
    )
    for layers in (4, 8, 16, 32, 64, 128):
        program = transformer(layers)
        plain = partial(run_compiled, flatten(program), exact=False, critical=True, plain=True)
        check_s, _ = best(program.check)
        print(
            f"{layers:>7}{program.steps():>12,}"
            f"{milliseconds(lambda p=program: simulate(p, critical_path=False))}"
            f"{milliseconds(lambda p=program: simulate(p))}"
            f"{milliseconds(lambda p=program: simulate(p, exact=True, critical_path=False))}"
            f"{milliseconds(lambda p=program: simulate(p, exact=True))}"
            f"{milliseconds(lambda p=program: simulate(p, engine='simpy')):>14}"
            f"{check_s * 1e3:>9.2f}"
            f"{milliseconds(plain)}"
        )


def main() -> bool:
    """Print the tables; whether every bar is met."""
    code = flatten(transformer(1))
    first = partial(run_compiled, code, exact=True, critical=True, plain=False)
    first_s, _ = best(first, repeats=1)  # from here on every run is compiled
    print(
        f"first run of the process (numba loaded, kernels compiled or from their cache): "
        f"{first_s:.2f} s"
    )
    print(
        f"\n{'exact runs':<26}{'steps':>9}{'events a step':>17}{'steps/s':>12}{'':>12}{'':>13}"
        f"{'against the twin':>20}"
    )
    print(
        f"{'':<26}{'':>9}{'twin':>9}{'SimPy':>8}{'twin':>12}{'SimPy':>12}{'executor':>13}"
        f"{'SimPy':>10}{'executor':>10}"
    )
    lines = [
        compare("pipeline of three stages", pipeline(20_000)),
        compare("Llama-3-8B decode", transformer(4)),
        compare("Llama-3-8B prefill", transformer(2, tokens=2048, batch=1)),
    ]
    for line in lines:
        print(line)
    scaling()
    met = all(line.meets for line in lines)
    print(
        f"\nbars (events <= {MOST_EVENTS}, SimPy >= {LEAST_SIMPY:.0f} x, executor >= "
        f"{LEAST_COMPILED:.0f} x): {'met' if met else 'MISSED'}"
    )
    return met


if __name__ == "__main__":
    main()
