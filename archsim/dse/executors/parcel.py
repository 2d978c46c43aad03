"""How a task travels to a worker: its machine and workloads as one lump, opened once a worker.

Every task of a study carries the same descriptions. They are pickled once, and a worker that has
opened a lump knows it again by its bytes, so that the objects inside, and whatever is cached about
them, stay the same from design to design.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from archsim.dse.executors.limit import answered
from archsim.dse.point import Outcome, Task

OPEN = 8  # lumps that a worker keeps; a study has one for each choice of whole descriptions


@dataclass(frozen=True)
class Parcel:
    """A task without its descriptions, and these as a lump."""

    lump: bytes
    rest: Task


class Packer:
    """Makes parcels; pickles the descriptions of each base once."""

    def __init__(self) -> None:
        self._lumps: dict[str, bytes] = {}

    def lump(self, task: Task) -> bytes:
        """The descriptions of a task, pickled."""
        base = task.base_sha256
        if base not in self._lumps:
            self._lumps[base] = pickle.dumps((task.hardware, task.workloads))
        return self._lumps[base]

    def pack(self, task: Task) -> Parcel:
        """A task to be sent."""
        return Parcel(self.lump(task), bare(task))


def bare(task: Task) -> Task:
    """A task without its descriptions."""
    return replace(task, hardware={}, workloads=())


def run_parcel(parcel: Parcel) -> Outcome:
    """Open a parcel and run what is in it; in a worker."""
    return run_bare(parcel.lump, parcel.rest)


def run_bare(lump: bytes, rest: Task) -> Outcome:
    """Run a task whose descriptions travelled apart; in a worker."""
    hardware, workloads = _opened(lump)
    return answered(replace(rest, hardware=hardware, workloads=workloads))


@lru_cache(maxsize=OPEN)
def _opened(lump: bytes) -> Any:
    return pickle.loads(lump)
