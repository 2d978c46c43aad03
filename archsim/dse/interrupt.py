"""The first Ctrl-C gives what runs some time to end; the second ends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from archsim.core.errors import EXIT_INTERRUPTED, ArchsimError
from archsim.core.signals import handled
from archsim.dse.progress import nobody

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # the second is what batch systems send before they kill


class Interrupted(ArchsimError):
    """The user stopped a study; the help is the command that goes on with it."""

    exit_code = EXIT_INTERRUPTED


@contextmanager
def interruptible(
    stop: Callable[[], None],
    tell: Callable[[str], None] = nobody,
    *,
    grace_s: float | None = None,
) -> Iterator[threading.Event]:
    """While the block runs, the first Ctrl-C or SIGTERM calls `stop` and sets the event.

    Outside the main thread signals stay as they are.

    Args:
        stop: lets nothing begin any more; called in a signal handler, as `tell` is.
        tell: hears of it; it must write by itself, not through a buffer that others use.
        grace_s: that `stop` leaves to what runs; None for as long as that takes.

    Raises:
        KeyboardInterrupt: at the second, wherever the block is then.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    room = "" if grace_s is None else f", for {grace_s:g} s at most"

    def handle(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        stop()
        tell(f"finishing the points that run{room}; Ctrl-C again stops at once")

    with ExitStack() as stack:
        for number in SIGNALS:
            stack.enter_context(handled(number, handle))
        yield asked
