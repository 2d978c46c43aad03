"""Is a sweep by a Dask cluster the same sweep, also when workers are killed, and what does it cost?

    python -m benchmarks dask_proof [--study NAME] [--seed N] [--out FOLDER] [--no-overhead]

A scheduler and two workers on loopback, started by the `dask` command line as a user does. A study
of 500 designs runs by processes of this machine; by the cluster, left alone; by the cluster while
one of its workers is ended by SIGKILL at a drawn moment and a new one joins later; and by the
cluster while the study itself is ended, and goes on. Exports and files of runs must be the same
bytes. Then `sweep_overhead`: what each executor costs, for empty designs and for real ones.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import sweep_overhead
from benchmarks import sweep_proof as proof
from benchmarks.tables import write_csv

JOIN_S = 2.0  # after which a new worker joins


class Cluster:
    """A scheduler and workers on loopback, each a process of its own without a nanny.

    Attributes:
        address: of the scheduler.
        workers: that were started, the oldest first.
    """

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._file = stack, folder / "scheduler.json"
        self.workers: list[subprocess.Popen[bytes]] = []
        self._start("scheduler", "--port", "0")
        while not (self._file.exists() and self._file.read_text().strip()):
            time.sleep(proof.LOOK_S)
        self.address = str(json.loads(self._file.read_text())["address"])

    def join(self) -> None:
        """One more worker."""
        self.workers.append(self._start("worker", "--nthreads", "1", "--no-nanny"))

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        local = ("--host", "127.0.0.1", "--scheduler-file", str(self._file), "--no-dashboard")
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words, *local],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        return process

    def lose(self) -> None:
        """End the oldest worker by SIGKILL; another joins later."""
        os.kill(self.workers.pop(0).pid, signal.SIGKILL)
        threading.Timer(JOIN_S, self.join).start()


def main(argv: list[str] | None = None) -> bool:
    """Print all; whether every study is the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default=proof.STUDY)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--no-overhead", dest="overhead", action="store_false")
    said = parser.parse_args(argv)
    print(proof.FORM.format(*proof.COLUMNS))
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        names = ("processes", "cluster", "worker", "study")
        processes, alone, worker, study = (root / name for name in names)
        rows = [proof.run("processes", proof.sweep(said.study, processes, "-j", "2"), processes)]
        cluster = Cluster(stack, root)
        cluster.join()
        cluster.join()
        how = ("--executor", "dask", "--scheduler", cluster.address)
        rows.append(proof.run("cluster", proof.sweep(said.study, alone, *how), alone))
        first, second = proof.moments(rows[0]["ran"], 2, said.seed)
        rows.append(
            proof.run(
                f"worker killed at {first}", proof.sweep(said.study, worker, *how), worker, first,
                lambda _: cluster.lose(),
            )
        )  # fmt: skip
        well = not any(row["status"] for row in rows)
        command = proof.sweep(said.study, study, *how)
        row, whole = proof.killed(f"study killed at {second}", command, study, second)
        rows += [row, proof.run("gone on to the end", command, study)]
        alike = proof.same([processes, alone, worker, study])
    print(f"answers lost: {'none' if whole else 'SOME'}")
    if said.out:
        write_csv(said.out / "dask_proof.csv", rows)
    if said.overhead:
        alike &= sweep_overhead.main(["--out", str(said.out)] if said.out else [])
    return alike and whole and well


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
