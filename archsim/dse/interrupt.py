"""The first Ctrl-C lets what runs end; the second ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from archsim.core.errors import EXIT_INTERRUPTED, ArchsimError

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # the second is what batch systems send before they kill


class Interrupted(ArchsimError):
    """The user stopped a study; the help is the command that goes on with it."""

    exit_code = EXIT_INTERRUPTED


def _nobody(text: str) -> None:
    """Tell no one."""


@contextmanager
def interruptible(
    stop: Callable[[], None], tell: Callable[[str], None] = _nobody
) -> Iterator[threading.Event]:
    """While the block runs, the first Ctrl-C or SIGTERM calls `stop` and sets the event.

    Both are called in a signal handler: `tell` must write by itself, not through a buffer that
    others use. Outside the main thread signals stay as they are.

    Raises:
        KeyboardInterrupt: at the second, wherever the block is then.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        stop()
        tell("finishing the points that run; Ctrl-C again stops at once")

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
