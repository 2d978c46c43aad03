"""What every executor promises: each task is answered once, in any order, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from archsim.core.registry import Registry
from archsim.dse.point import Outcome, Task

Done = Callable[[Task, Outcome], None]
"""Told of each outcome as it comes, in the process and the thread that called `run`."""

GRACE_S = 10.0  # assumed; what running designs get to end in, once they are asked to


@dataclass(frozen=True)
class How:
    """What the user says of the running.

    Attributes:
        workers: processes, where the executor starts them itself; None for one a core that this
            process may use, as the system counts them.
        retries: times that a design runs again after it ended its worker; on a cluster, after its
            scheduler gave up on it.
        scheduler: address of a cluster's scheduler, such as `tcp://host:8786`.
    """

    workers: int | None = None
    retries: int = 1
    scheduler: str | None = None


class Executor:
    """Runs designs.

    Attributes:
        kind: what users call it.
        grace_s: that designs get to end in after `stop`; None for as long as they take.
    """

    kind: ClassVar[str]
    grace_s: ClassVar[float | None] = GRACE_S

    def __init__(self, how: How | None = None) -> None:
        self.how = how or How()

    def run(self, tasks: Iterable[Task], done: Done) -> None:
        """Answer all tasks; `done` has been called for each when this returns.

        Tasks are drawn as there is room for them. A design that ends its worker more than
        `retries` times is answered as `quarantined`. After `stop`, tasks that have not begun stay
        unanswered, and so do those that run longer than `grace_s` from then.
        """
        raise NotImplementedError

    def stop(self) -> None:
        """Begin no more tasks; those that run get `grace_s`. Safe in a signal handler."""
        raise NotImplementedError

    def close(self) -> None:
        """Let workers go at once."""
        raise NotImplementedError


executors: Registry[Executor] = Registry("archsim.dse.executors", Executor)
