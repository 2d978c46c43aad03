"""How a long study shows itself on stderr: a bar on a terminal, a line now and then elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from archsim.dse.progress import Progress

EVERY_S = 5.0  # between lines, where there is no terminal
REDRAW_S = 0.1


@contextmanager
def shown(*, quiet: bool = False) -> Iterator["Progress"]:
    """The progress of a study, shown while the block runs."""
    from archsim.dse.progress import Progress

    if quiet:
        yield Progress()
    elif sys.stderr.isatty():
        with _bar() as show:
            yield Progress(show=show)
    else:
        yield Progress(show=_lines())


@contextmanager
def _bar() -> Iterator[Callable[["Progress"], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    columns = BarColumn(bar_width=24), TextColumn("{task.description}", markup=False)
    console = Console(stderr=True, highlight=False)
    with Bars(*columns, console=console, transient=True, auto_refresh=False) as bars:
        task = bars.add_task("")
        yield _at_most_every(REDRAW_S, lambda p: _draw(bars, task, p))


def _draw(bars: Any, task: Any, progress: "Progress") -> None:
    bars.update(task, total=progress.total, completed=progress.done, description=progress.line())
    bars.refresh()


def _lines() -> Callable[["Progress"], None]:
    return _at_most_every(EVERY_S, lambda progress: typer.echo(progress.line(), err=True))


def _at_most_every(
    seconds: float, show: Callable[["Progress"], None]
) -> Callable[["Progress"], None]:
    """The same, leaving out what would come too soon; the end of a stage is always shown."""
    last = [float("-inf")]

    def sometimes(progress: "Progress") -> None:
        now = time.monotonic()
        if now >= last[0] + seconds or progress.done == progress.total:
            last[0] = now
            show(progress)

    return sometimes


def at_once(text: str) -> None:
    """A note on stderr from a signal handler: no buffer is touched that may be half written."""
    os.write(2, f"\narchsim: {text}\n".encode())
