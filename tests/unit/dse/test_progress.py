"""Does a study say how far it is, and does the second Ctrl-C end what the first did not?"""

from __future__ import annotations

import os
import signal
import threading

import pytest

from archsim.cli import _progress
from archsim.dse.interrupt import interruptible
from archsim.dse.point import Outcome
from archsim.dse.progress import Progress

OK = Outcome("k", "ok", {}, wall_s=2.0)
FAILED = Outcome("k", "failed", {}, wall_s=2.0)


def test_pace_counts_what_was_simulated_and_the_rest_is_judged_by_it() -> None:
    now = [100.0]
    lines: list[str] = []
    progress = Progress(clock=lambda: now[0], show=lambda p: lines.append(p.line()))
    progress.begin("tile", 1000)
    for _ in range(10):
        progress.count(OK, cached=True)
    now[0] = 102.0  # the first took two seconds
    progress.count(OK)
    now[0] = 104.0
    progress.best = "time_s 1.2 ms"
    progress.count(FAILED)
    assert [lines[i] for i in (0, 10, 11, 12)] == [
        "tile 0/1000",
        "tile 10/1000  10 cached",
        "tile 11/1000  10 cached  0.5 points/s  ETA 32:58",
        "tile 12/1000  10 cached  1 failed  0.5 points/s  ETA 32:56  best time_s 1.2 ms",
    ]
    progress.begin("cycle", None)
    progress.count(FAILED)
    assert lines[-1] == "cycle 1  1 failed  0.5 points/s"


def test_pace_follows_a_change_of_it() -> None:
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    progress.begin("tile", 40_000)
    for step_s in (1.0, 0.01):
        for _ in range(250):
            now[0] += step_s
            progress.count(OK)
    assert progress.per_s == pytest.approx(100)
    assert progress.line().endswith("ETA 06:35")


def test_outside_a_terminal_a_line_comes_now_and_then_and_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with _progress.shown() as progress:
        progress.begin("tile", 50)
        for _ in range(50):
            progress.count(OK, cached=True)
    assert capsys.readouterr().err == "tile 0/50\ntile 50/50  50 cached\n"
    with _progress.shown(quiet=True) as progress:
        progress.begin("tile", 50)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_stops_and_the_second_ends(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    heard: list[str] = []
    with interruptible(lambda: heard.append("stop"), heard.append, grace_s=10.0) as asked:
        os.kill(os.getpid(), number)
        assert asked.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert heard == [
        "stop", "finishing the points that run, for 10 s at most; Ctrl-C again stops at once",
    ]  # fmt: skip
    assert signal.getsignal(number) is before


def test_in_another_thread_signals_stay_as_they_are() -> None:
    found: list[bool] = []

    def inside() -> None:
        before = signal.getsignal(signal.SIGINT)
        with interruptible(lambda: None) as asked:
            found.append(signal.getsignal(signal.SIGINT) is before and not asked.is_set())

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert found == [True]
