"""Does a cluster answer as one process does, also when it loses a worker?"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from archsim import api
from archsim.core.yamlio import sha256_of
from archsim.dse.executors import dask as cluster
from archsim.dse.executors.base import How, executors
from archsim.dse.point import Outcome, Task
from archsim.lowering.spec import load_workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HARDWARE = api.load_hardware("npu").to_data()
WORKLOAD = load_workload("gpt2-small-prefill")[0].to_data()
BASE = sha256_of([HARDWARE, WORKLOAD])
COUNT = 8


def designs() -> list[Task]:
    settings = ({"engines.array.count": n} for n in range(1, COUNT + 1))
    return [Task(HARDWARE, (WORKLOAD,), s, "analytic", 0, (1.0,), BASE) for s in settings]


def dask(stack: ExitStack, *arguments: str) -> subprocess.Popen[bytes]:
    """The `dask` command line, ended with the test."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments, "--no-dashboard"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def address_in(file: Path) -> str:
    import json

    for _ in range(2000):
        if file.exists() and file.read_text().strip():
            return str(json.loads(file.read_text())["address"])
        time.sleep(0.01)
    raise AssertionError("no scheduler")


def test_a_cluster_that_loses_a_worker_loses_no_design(tmp_path: Path) -> None:
    found: dict[str, Outcome] = {}
    with ExitStack() as stack:
        file = tmp_path / "scheduler.json"
        local = ("--host", "127.0.0.1")
        dask(stack, "scheduler", "--port", "0", *local, "--scheduler-file", str(file))
        join = ("worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-nanny", *local)
        victim, _ = dask(stack, *join), dask(stack, *join)
        executor = executors.get("dask")(How(scheduler=address_in(file)))
        stack.callback(executor.close)

        def done(task: Task, outcome: Outcome) -> None:
            assert task.key not in found
            found[task.key] = replace(outcome, wall_s=0.0)
            if len(found) == 2:
                victim.kill()

        executor.run(iter(designs()), done)
    alone: dict[str, Outcome] = {}
    executors.get("serial")().run(
        designs(), lambda task, outcome: alone.update({task.key: replace(outcome, wall_s=0.0)})
    )
    assert found == alone
    assert {outcome.status for outcome in found.values()} == {"ok"}


class GivesUp:
    """A scheduler that gave up on a design, because workers died with it.

    Or with its answer: then that is told by who gathers answers.
    """

    def __init__(self, status: str) -> None:
        self.sent: list[str] = []
        self.status = status

    def nthreads(self) -> dict[str, int]:
        return {"worker": 1}

    def submit(self, act: Any, *arguments: Any, key: str, pure: bool = True) -> GaveUp:
        self.sent.append(key)
        return GaveUp(self.status)

    def gather(self, futures: list[GaveUp]) -> list[Any]:
        for future in futures:
            future.status = "error"
            raise future.exception()
        return []


class GaveUp:
    def __init__(self, status: str) -> None:
        self.status = status

    def add_done_callback(self, tell: Callable[[Any], None]) -> None:
        tell(self)

    def exception(self) -> Exception:
        from distributed import KilledWorker

        return KilledWorker("design", None, 3)


@pytest.mark.parametrize("status", ["error", "finished"])
@pytest.mark.parametrize("retries", [0, 1])
def test_a_design_that_the_cluster_gave_up_on_gets_as_many_more_turns_as_the_user_says(
    retries: int, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = GivesUp(status)
    monkeypatch.setattr(cluster, "_connected", lambda scheduler: client)
    design, found = designs()[0], []
    executor = executors.get("dask")(How(retries=retries))
    executor.run([design], lambda task, outcome: found.append(outcome))
    turns = [f"archsim-{design.key}-{n}" for n in range(retries + 1)]
    assert client.sent == [f"archsim-base-{BASE}", *turns]
    assert [(o.status, o.error["message"]) for o in found] == [
        ("quarantined", f"it ended its worker {4 * (retries + 1)} times")
    ]
