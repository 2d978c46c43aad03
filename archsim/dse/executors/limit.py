"""One design within its time: what runs in every worker, whoever starts it.

In the main thread of a process a signal ends what takes too long; in another thread an exception
is planted there. Both wait for native code to return, so that a pool that can kill a worker does
so a moment later.
"""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from archsim.dse.evaluate import evaluate
from archsim.dse.point import Outcome, Task


class OutOfTime(BaseException):
    """The time of a design is over; no error of its own, so that nothing inside catches it."""


def answered(task: Task) -> Outcome:
    """The outcome of a design, also when it takes longer than it may or meets a fault of ours."""
    began = time.perf_counter()
    try:
        with within(task.timeout_s):
            return evaluate(task)
    except OutOfTime:
        return out_of_time(task)
    except Exception as error:
        said = _said(
            "",
            f"internal fault: {type(error).__name__}: {error}",
            "archsim is wrong here, not the design",
        )
        return Outcome(task.key, "failed", {}, (), said, time.perf_counter() - began)


def out_of_time(task: Task) -> Outcome:
    """The outcome of a design that took longer than it may."""
    said = _said(
        "E501",
        f"not finished after {task.timeout_s:g} s",
        "raise execution.timeout_per_point, or lower the fidelity",
    )
    return Outcome(task.key, "failed", {}, (), said, task.timeout_s or 0.0)


def quarantined(task: Task, deaths: int) -> Outcome:
    """The outcome of a design that ended its worker again and again."""
    times = "once" if deaths == 1 else f"{deaths} times"
    said = _said(
        "E502", f"it ended its worker {times}", "often memory: fewer workers, or a smaller design"
    )
    return Outcome(task.key, "quarantined", {}, (), said)


def _said(code: str, message: str, help: str) -> dict[str, str]:
    return {"code": code, "message": message, "help": help}


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """While the block runs, OutOfTime is raised once the time is over; None is no limit."""
    if seconds is None:
        yield
    elif threading.current_thread() is threading.main_thread():
        with _by_signal(seconds):
            yield
    else:
        with _by_planting(seconds):
            yield


@contextmanager
def _by_signal(seconds: float) -> Iterator[None]:
    def over(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


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
