"""Does every executor answer every design, whatever designs do to the process they run in?"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from archsim import api
from archsim.core.yamlio import sha256_of
from archsim.dse.executors import limit, worker
from archsim.dse.executors.base import Executor, How, executors
from archsim.dse.point import Outcome, Task
from archsim.lowering.spec import load_workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HARDWARE = api.load_hardware("npu").to_data()
WORKLOAD = load_workload("gpt2-small-prefill")[0].to_data()
BASE = sha256_of([HARDWARE, WORKLOAD])


def design(bandwidth: int, **changes: Any) -> Task:
    settings = {"memory.hbm.bandwidth": f"{bandwidth} GB/s"}
    task = Task(HARDWARE, (WORKLOAD,), settings, "bound", 0, (1.0,), BASE)
    return replace(task, **changes)


class Does:
    """A description that does something to the process that unpacks it."""

    def __init__(self, act: Callable[..., Any], *arguments: Any) -> None:
        self.act, self.arguments = act, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.act, self.arguments


def culprit(act: Callable[..., Any], *arguments: Any, **changes: Any) -> Task:
    """A design that does something to its worker."""
    hardware: Any = Does(act, *arguments)
    return design(1, hardware=hardware, base_sha256=act.__name__, **changes)


def answers(executor: Executor, *tasks: Task) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}

    def done(task: Task, outcome: Outcome) -> None:
        assert task.key not in found
        found[task.key] = outcome

    executor.run(tasks, done)
    return found


@pytest.fixture
def local() -> Iterator[Executor]:
    executor = executors.get("local")(How(workers=2, retries=1))
    yield executor
    executor.close()


def bare(outcome: Outcome) -> Outcome:
    return replace(outcome, wall_s=0.0)


def test_processes_answer_as_this_one_does_and_a_design_that_kills_them_costs_only_itself(
    local: Executor,
) -> None:
    good = [design(100 * n) for n in range(1, 7)] + [design(1, settings={"no.such": 1})]
    poison = culprit(os._exit, 1)
    found = answers(local, good[0], poison, *good[1:])
    alone = answers(executors.get("serial")(), *good)
    assert found.pop(poison.key) == Outcome(
        poison.key, "quarantined", {}, error={
            "code": "E502", "message": "it ended its worker 2 times",
            "help": "often memory: fewer workers, or a smaller design",
        },
    )  # fmt: skip
    assert {k: bare(o) for k, o in found.items()} == {k: bare(o) for k, o in alone.items()}
    assert [o.status for o in alone.values()] == ["ok"] * 6 + ["failed"]


def test_a_design_stuck_in_native_code_is_ended_and_its_worker_goes_on(
    local: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SLACK_S", 0.1)
    stuck = culprit(time.sleep, 30.0, timeout_s=0.1)
    found = answers(local, stuck, design(100), design(200), design(300))
    ended = found.pop(stuck.key)
    assert 0.2 < ended.wall_s < 30, "the time that it took, not the one that it had"
    assert ended.error == {
        "code": "E501", "message": "not finished after 0.1 s",
        "help": "raise execution.timeout_per_point, or lower the fidelity",
    }  # fmt: skip
    assert [o.status for o in found.values()] == ["ok"] * 3


@pytest.mark.parametrize("threaded", [False, True])
def test_a_design_may_take_its_time_and_no_more(
    threaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(task: Task) -> Outcome:
        while True:
            time.sleep(0.01)

    monkeypatch.setattr(limit, "evaluate", endless)
    task = design(1, timeout_s=0.05)
    if threaded:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as thread:
            outcome = thread.submit(limit.answered, task).result()
    else:
        outcome = limit.answered(task)
    assert (outcome.status, outcome.error and outcome.error["code"]) == ("failed", "E501")


def test_no_time_is_no_run_and_a_limit_that_was_lifted_is_none_to_stop_at() -> None:
    late = limit.answered(design(1, timeout_s=0.0))
    assert (late.status, late.error and late.error["code"]) == ("failed", "E501")
    assert limit.stands(design(1, timeout_s=0.0), late)
    assert not limit.stands(design(1, timeout_s=9.0), late)
    assert not limit.stands(design(1), late)


def test_a_fault_of_ours_is_an_outcome_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "evaluate", lambda task: 1 // 0)
    outcome = limit.answered(design(1))
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert outcome.error["message"].startswith("internal fault: ZeroDivisionError")


@pytest.mark.parametrize("kind", ["serial", "local"])
def test_after_a_stop_no_design_begins(kind: str) -> None:
    executor = executors.get(kind)(How(workers=1))
    drawn: list[int] = []
    answered: list[Task] = []

    def tasks() -> Iterator[Task]:
        for n in range(1, 100):
            drawn.append(n)
            yield design(n)

    def done(task: Task, outcome: Outcome) -> None:
        answered.append(task)
        if len(answered) == 3:
            executor.stop()

    executor.run(tasks(), done)
    executor.close()
    assert 3 <= len(answered) <= 4
    assert len(drawn) <= 6
