"""Designs on a cluster: workers of a Dask scheduler, which gives lost designs to others.

    dask scheduler --port 8786
    dask worker tcp://HOST:8786 --nworkers 16 --nthreads 1

The descriptions of a study travel once to each worker; they are a task of the cluster themselves,
so that they too are made again where a worker is lost.
"""

from __future__ import annotations

import pickle
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from archsim.core.errors import InputError, MissingExtra
from archsim.dse.executors.base import GRACE_S, Done, Executor, How
from archsim.dse.executors.limit import quarantined
from archsim.dse.executors.parcel import Packer, bare, run_bare
from archsim.dse.point import Outcome, Task

AHEAD = 3  # designs sent for each thread of the cluster: none idles while an answer travels
SHORT_S, MANY = 0.2, 16  # assumed: of designs that take less, more travel together
CONNECT_S = 10.0  # until a scheduler counts as absent
WORKERS_S = 60.0  # until a scheduler without workers counts as such
COUNT_S = 2.0  # between counts of the cluster's threads
TICK_S = 0.2  # between looks at requests to stop

BEGIN = "dask scheduler --port 8786, and dask worker tcp://HOST:8786 --nthreads 1"
SAME = "install the same version of archsim everywhere"


class Dask(Executor):
    """A client of a scheduler. Designs that were sent to the cluster count as begun."""

    kind = "dask"
    grace_s = GRACE_S

    def __init__(self, how: How | None = None) -> None:
        super().__init__(how)
        self._client = _connected(self.how.scheduler)
        self._packer = Packer()
        self._lumps: dict[str, Any] = {}
        self._sent: dict[Any, Task] = {}
        self._ready: SimpleQueue[Any] = SimpleQueue()
        self._again: deque[Task] = deque()
        self._given_up: Counter[str] = Counter()
        self._stopped_s: float | None = None
        self._answered, self._took_s = 0, 0.0
        self._threads, self._counted_s = 0, float("-inf")

    def run(self, tasks: Iterable[Task], done: Done) -> None:
        """See `Executor.run`."""
        source = iter(tasks)
        while True:
            if self._stopped_s is None:
                with self._reached():
                    self._send(source)
            elif time.monotonic() > self._stopped_s + self.grace_s:
                return
            if not self._sent:
                return
            for task, outcome in self._collected():
                self._answered += 1
                self._took_s += outcome.wall_s
                done(task, outcome)

    def _send(self, source: Iterator[Task]) -> None:
        """Designs to the cluster, as far as there is room."""
        for _ in range(self._room() - len(self._sent)):
            task = self._again.popleft() if self._again else next(source, None)
            if task is None:
                return
            future = self._client.submit(
                _run, self._lump(task), pickle.dumps(bare(task)),
                key=f"archsim-{task.key}-{self._given_up[task.key]}", pure=False,
            )  # fmt: skip
            self._sent[future] = task
            future.add_done_callback(self._ready.put)

    def _room(self) -> int:
        """Designs that may be with the cluster; workers may come and go."""
        if time.monotonic() > self._counted_s + COUNT_S:  # asking takes as long as a short design
            self._threads = sum(self._client.nthreads().values())
            self._counted_s = time.monotonic()
        short = 0 < self._took_s < SHORT_S * self._answered
        return (MANY if short else AHEAD) * max(1, self._threads)

    def _lump(self, task: Task) -> Any:
        """The descriptions of a task, on the cluster."""
        base = task.base_sha256
        if base not in self._lumps:
            lump = self._packer.lump(task)
            self._lumps[base] = self._client.submit(bytes, lump, key=f"archsim-base-{base}")
        return self._lumps[base]

    def _collected(self) -> Iterator[tuple[Task, Outcome]]:
        """Designs that are through, with their outcomes; others are sent again."""
        through = []
        for future in self._ended():
            task = self._sent[future]
            if future.status == "finished":
                through.append(future)
                continue
            del self._sent[future]
            error = future.exception() if future.status == "error" else None
            if error is not None and not _killed(error):
                raise _refused(f"a worker of the cluster cannot run designs: {error!r}", SAME)
            self._given_up[task.key] += 1
            turns = self._given_up[task.key]
            # a neighbour may be to blame: it gets more turns, each as long as the cluster allows
            if error is not None and turns > self.how.retries:
                yield task, quarantined(task, turns * (error.allowed_failures + 1))
            else:
                self._again.append(task)
        for future, outcome in zip(through, self._gathered(through), strict=False):
            task = self._sent.pop(future)
            if outcome.key != task.key:
                raise _refused("workers of the cluster have another version of archsim", SAME)
            yield task, outcome

    def _gathered(self, through: list[Any]) -> list[Outcome]:
        """The answers of designs that are through; none where one was lost, and is looked at."""
        try:
            with self._reached():
                return list(self._client.gather(through))
        except Exception as error:
            if not _killed(error):
                raise
        for future in through:  # an answer was lost with its worker, and so were those who ran it
            self._ready.put(future)  # again: the status of its future says so by now
        return []

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """While the block talks to the scheduler, an end of that is an error of the input."""
        try:
            yield
        except (OSError, CancelledError) as error:
            raise _refused(
                f"the Dask scheduler at {self.how.scheduler} is gone; nothing answered is lost",
                "the same command goes on when there is one again",
            ) from error

    def _ended(self) -> list[Any]:
        """What has ended since the last look; waits a moment where nothing has."""
        found = []
        try:
            found.append(self._ready.get(timeout=TICK_S))
            while True:
                found.append(self._ready.get_nowait())
        except Empty:
            return found

    def stop(self) -> None:
        """See `Executor.stop`."""
        self._stopped_s = time.monotonic()

    def close(self) -> None:
        """See `Executor.close`."""
        self._client.cancel(list(self._sent))
        self._sent.clear()
        self._lumps.clear()
        self._client.close()


def _run(lump: bytes, rest: bytes) -> Outcome:
    """Run a task of two halves; in a worker."""
    return run_bare(lump, pickle.loads(rest))


def _killed(error: BaseException) -> bool:
    from distributed import KilledWorker

    return isinstance(error, KilledWorker)


def _refused(message: str, help: str) -> InputError:
    return InputError(message, code="E706", help=help)


def _connected(scheduler: str | None) -> Any:
    """A client of a scheduler that has workers.

    Raises:
        InputError: E706 when no scheduler is named, none answers, or it has no worker.
        MissingExtra: when distributed is not installed.
    """
    if scheduler is None:
        text = f"--scheduler tcp://HOST:8786; to start a cluster: {BEGIN}"
        raise _refused("the executor dask needs the address of a scheduler", text)
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtra("clusters come from Dask", extra="cluster") from None
    connect: Any = Client  # its constructor is not typed
    try:
        client = connect(scheduler, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise _refused(f"no Dask scheduler answers at {scheduler}", BEGIN) from error
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except TimeoutError:
        client.close()
        raise _refused(f"the Dask scheduler at {scheduler} has no worker", BEGIN) from None
    return client
