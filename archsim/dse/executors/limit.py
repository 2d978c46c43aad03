"""One design within its time: what runs in every worker, whoever starts it.

In the main thread of a process a signal ends what takes too long; in another thread an exception
is planted there. Both wait for native code to return, so that a pool that can kill a worker does
so a moment later.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from archsim.core.signals import alarm
from archsim.dse.evaluate import evaluate
from archsim.dse.point import OVERTIME, Outcome, Task


class OutOfTime(BaseException):
    """The time of a design is over; no error of its own, so that nothing inside catches it."""


def answered(task: Task) -> Outcome:
    """The outcome of a design, also when it takes longer than it may or meets a fault of ours."""
    began = time.perf_counter()
    found: Outcome | None = None
    try:
        with within(task.timeout_s):
            found = evaluate(task)
    except OutOfTime:  # also as the block ends: an answer that is there by then stands
        return found or out_of_time(task, time.perf_counter() - began)
    except Exception as error:
        said = _said(
            "",
            f"internal fault: {type(error).__name__}: {error}",
            "archsim is wrong here, not the design",
        )
        return Outcome(task.key, "failed", {}, (), said, time.perf_counter() - began)
    return found


def out_of_time(task: Task, wall_s: float = 0.0) -> Outcome:
    """The outcome of a design that took longer than it may, and was ended after so long."""
    said = _said(
        OVERTIME,
        f"not finished after {task.timeout_s:g} s",
        "raise execution.timeout_per_point, or lower the fidelity",
    )
    return Outcome(task.key, "failed", {}, (), said, wall_s)


def quarantined(task: Task, deaths: int) -> Outcome:
    """The outcome of a design that ended its worker again and again."""
    times = "once" if deaths == 1 else f"{deaths} times"
    said = _said(
        "E502", f"it ended its worker {times}", "often memory: fewer workers, or a smaller design"
    )
    return Outcome(task.key, "quarantined", {}, (), said)


def stands(task: Task, before: Outcome) -> bool:
    """Whether an outcome that an earlier run of a study left is one for good.

    Not where it says more of that run than of the design, unless it ran into the limit of now.
    """
    if (before.error or {}).get("code") == OVERTIME and task.timeout_s is not None:
        return before.error == out_of_time(task).error
    return not before.of_its_run


def _said(code: str, message: str, help: str) -> dict[str, str]:
    return {"code": code, "message": message, "help": help}


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """While the block runs, OutOfTime is raised once the time is over; None is no limit."""
    if seconds is None:
        yield
    elif seconds <= 0:
        raise OutOfTime
    elif threading.current_thread() is threading.main_thread():
        with alarm(seconds, _over):
            yield
    else:
        with _by_planting(seconds):
            yield


def _over() -> None:
    raise OutOfTime


@contextmanager
def _by_planting(seconds: float) -> Iterator[None]:
    ident, lock = threading.get_ident(), threading.Lock()
    ended = False

    def over() -> None:
        with lock:
            if not ended:
                _plant(ident)

    timer = threading.Timer(seconds, over)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            ended = True
        timer.cancel()


def _plant(ident: int) -> None:
    raise_in: Callable[..., int] = ctypes.pythonapi.PyThreadState_SetAsyncExc
    raise_in(ctypes.c_ulong(ident), ctypes.py_object(OutOfTime))
