"""What does an executor cost, over the designs that it runs?

    python -m benchmarks.sweep_overhead [--out FOLDER] [--real N] [--empty N]

Empty designs have no workload, so that nothing runs and only the way there and back is measured;
real ones are variations of one machine on a decode step of Llama-3-8B at `tile`. Two workers each;
the cluster is a `dask scheduler` and two `dask worker` on this machine, as a user starts them. All
in one run, because a machine differs more from hour to hour than executors do. Overhead of a design
is the time of all workers less the time inside designs. Answers are kept in a store as they come,
as in a study, and have to be the same for all executors; the store alone has a row too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from archsim import api
from archsim.core.yamlio import sha256_of
from archsim.dse.executors.base import Executor, How, executors
from archsim.dse.export import csv_lines
from archsim.dse.point import Outcome, Task
from archsim.dse.store import Store
from archsim.lowering.spec import load_workload
from benchmarks.tables import write_csv

MACHINE, WORKLOAD = "npu", "llama-3-8b-decode"
WORKERS = 2
SERIAL = "serial"  # has one worker, this process


@dataclass(frozen=True)
class Row:
    """One executor on one sort of design; milliseconds of workers, a design."""

    executor: str
    designs: str
    count: int
    points_per_s: float
    inside_ms: float
    overhead_ms: float


def tasks(count: int, *, empty: bool) -> list[Task]:
    """Variations of one machine."""
    hardware = api.load_hardware(MACHINE).to_data()
    workloads = () if empty else (load_workload(WORKLOAD)[0].to_data(),)
    base = sha256_of([hardware, list(workloads)])
    return [
        Task(hardware, workloads, {"memory.hbm.bandwidth": f"{1000 + n} GB/s"}, "tile", 0, (1.0,),
             base)
        for n in range(count)
    ]  # fmt: skip


def measured(kind: str, executor: Executor, count: int, *, empty: bool) -> tuple[Row, str]:
    """A row, and the table that was written; workers are warm."""
    work = tasks(count + 2 * WORKERS, empty=empty)
    warm, work = work[count:], work[:count]
    executor.run(warm, lambda task, outcome: None)
    inside_s = 0.0
    with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:

        def done(task: Task, outcome: Outcome) -> None:
            nonlocal inside_s
            inside_s += outcome.wall_s
            store.put(task, outcome, 0)

        began = time.perf_counter()
        executor.run(work, done)
        took_s = time.perf_counter() - began
        table = "".join(csv_lines(store))
    workers = 1 if kind == SERIAL else WORKERS
    overhead_s = workers * took_s - inside_s
    designs = "empty" if empty else "real"
    row = Row(
        kind, designs, count, count / took_s, 1e3 * inside_s / count, 1e3 * overhead_s / count
    )
    return row, table


def store_alone(count: int) -> Row:
    """What keeping an answer costs."""
    from archsim.dse.executors.limit import answered

    outcome = answered(tasks(1, empty=False)[0])
    work = tasks(count, empty=False)
    with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        began = time.perf_counter()
        for number, task in enumerate(work):
            store.put(task, replace(outcome, key=task.key), number)
        took_s = time.perf_counter() - began
    return Row("none, store", "real", count, count / took_s, 0.0, 1e3 * took_s / count)


@contextmanager
def cluster() -> Iterator[str]:
    """The address of a scheduler with workers, started by the `dask` command line."""
    with ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory()), "scheduler.json")
        local = ("--host", "127.0.0.1", "--scheduler-file", str(file), "--no-dashboard")
        for arguments in (
            ("scheduler", "--port", "0"),
            ("worker", "--nworkers", str(WORKERS), "--nthreads", "1"),
        ):
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments, *local],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.terminate)
            while not (file.exists() and file.read_text().strip()):
                time.sleep(0.05)
        yield str(json.loads(file.read_text())["address"])


def show(rows: list[Row]) -> None:
    """The table."""
    print(
        f"{'executor':12} {'designs':8} {'count':>6} {'points/s':>9} {'inside':>9} {'over':>9}  ms"
    )
    for r in rows:
        print(
            f"{r.executor:12} {r.designs:8} {r.count:6d} {r.points_per_s:9.1f} "
            f"{r.inside_ms:9.3f} {r.overhead_ms:9.3f}"
        )


def main(argv: list[str] | None = None) -> bool:
    """Run, print, write where asked; True when all executors gave the same table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--real", type=int, default=100)
    parser.add_argument("--empty", type=int, default=1000)
    given = parser.parse_args(argv)
    rows, tables = [store_alone(given.empty)], set()
    with cluster() as address:
        for kind, make in executors.items():
            executor = make(How(workers=WORKERS, scheduler=address))
            for empty, count in ((True, given.empty), (False, given.real)):
                row, table = measured(kind, executor, count, empty=empty)
                rows.append(row)
                tables.add((empty, table))
            executor.close()
    show(rows)
    if given.out:
        write_csv(given.out / "sweep_overhead.csv", [vars(row) for row in rows])
    return len(tables) == 2


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
