"""A limit on wall-clock time: the run ends with an error instead of going on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from archsim.core.errors import SimulationStopped
from archsim.core.signals import alarm


@contextmanager
def at_most(text: str | None) -> Iterator[None]:
    """While the block runs, SimulationStopped is raised once the time is over.

    Args:
        text: A duration such as `60 s`; None is no limit.

    Raises:
        InputError: when the text is not a duration.
        SimulationStopped: when the time is over.
    """
    if text is None:
        yield
        return
    seconds = seconds_of(text)

    def stop() -> None:
        raise SimulationStopped(
            f"not finished after {text}",
            help="give it more time with --timeout, or less to do: --fidelity analytic",
        )

    if threading.current_thread() is not threading.main_thread():
        raise SimulationStopped("--timeout works in the main thread only")
    with alarm(seconds, stop):
        yield


def seconds_of(text: str) -> float:
    """A duration in seconds; a mistake in it points at the flag."""
    from archsim.core.errors import Diagnostic, InputError
    from archsim.core.units import parse_quantity

    try:
        return float(parse_quantity(text, "seconds"))
    except InputError as error:
        where = Diagnostic("", "", f"--timeout {text}")
        help_text = "example `--timeout '60 s'`"
        raise InputError(error.message, code=error.code, help=help_text, where=where) from None
