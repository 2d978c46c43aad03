"""Signals for a while: a handler that is put back afterwards, and an alarm.

Both are for the main thread, where alone Python handles signals.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


@contextmanager
def handled(number: int, handler: Handler) -> Iterator[None]:
    """While the block runs, a signal is handled so; what handled it before does so again after."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        # None: set by other than Python, which cannot set it again
        signal.signal(number, signal.SIG_DFL if before is None else before)


@contextmanager
def alarm(seconds: float, over: Callable[[], object]) -> Iterator[None]:
    """Call `over`, which may raise, when the block still runs after so many seconds; 0 is at once.

    One that rings while the block ends is raised from there, and leaves nothing behind.
    """
    if seconds <= 0:
        over()
    ended = False

    def ring(number: int, frame: FrameType | None) -> None:
        if not ended:
            over()

    with handled(signal.SIGALRM, ring):
        try:
            signal.setitimer(signal.ITIMER_REAL, max(0.0, seconds))
            yield
        finally:
            ended = True
            signal.setitimer(signal.ITIMER_REAL, 0)
