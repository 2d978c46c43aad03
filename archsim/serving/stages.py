"""What stages take on a machine: each distinct one is a run of `api.run`, and is run once.

A stage is a decode step, or a mixed one whose prompts are read whole. Stages of equal content are
one, and the workload of each is written out when its turn comes. Where nothing decodes, prompts of
one length are read together and those of several lengths one length after the other. Which stages
there are is decided in `closed_loop`.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import sha256
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from archsim.api import load_hardware, run
from archsim.core.errors import ArchsimError
from archsim.core.units import PS_PER_S
from archsim.core.yamlio import canonical_json
from archsim.serving.closed_loop import Stage
from archsim.serving.stages_experts import Experts
from archsim.sim.kernels import compiled

Work = tuple[dict[str, Any], ...]  # workloads, one after the other
Progress = Callable[[int, int], None]
"""Called with stages that are known and stages that are wanted."""

PAYS_RUNS = 16  # to load machine code takes as long as it spares in a dozen runs (measured)
AHEAD = 16  # stages that each process is given at once


@dataclass(frozen=True)
class Taken:
    """What a stage takes.

    Attributes:
        ps: picoseconds.
        energy_j: of the machine, leakage included: it is always on.
        busy_s: seconds in which each resource was at work; of a memory, its bytes over its peak.
        parts_j: energy by component of the machine, where it is known.
    """

    ps: float
    energy_j: float
    busy_s: Mapping[str, float]
    parts_j: Mapping[str, float] = field(default_factory=dict)

    @property
    def time_s(self) -> float:
        """Seconds."""
        return self.ps / PS_PER_S


@dataclass(frozen=True)
class Where:
    """What stages run on, and how.

    Attributes:
        hardware: a shipped name, a path, or the description as data.
        set_: overrides of it, or of every stage where they begin with `workload.`.
        fidelity: analytic | tile | cycle.
    """

    hardware: str | Path | dict[str, Any]
    set_: tuple[str, ...] = ()
    fidelity: str = "cycle"

    @property
    def workload_sets(self) -> tuple[str, ...]:
        """Those of the overrides that are of stages."""
        return tuple(s for s in self.set_ if s.startswith("workload."))

    @property
    def own_sets(self) -> tuple[str, ...]:
        """Those that are of the machine."""
        return tuple(s for s in self.set_ if not s.startswith("workload."))

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The machine written out: read once, and the same to a run."""
        data: dict[str, Any] = load_hardware(self.hardware, set_=self.own_sets).to_data()
        return data

    def taken(self, work: Work) -> Taken:
        """What some workloads take, one after the other."""
        try:
            return self._taken(self.resolved, self.workload_sets, work)
        except ArchsimError:  # the file that people wrote says where the mistake is
            return self._taken(self.hardware, self.set_, work)

    def _taken(self, hardware: Any, set_: tuple[str, ...], work: Work) -> Taken:
        ps, energy, busy, parts = 0, 0.0, Counter[str](), Counter[str]()
        for one in work:
            result = run(hardware, one, set_=set_, fidelity=self.fidelity, advice=False).result
            metrics = result["metrics"]
            ps += int(result["time_ps"])
            energy += metrics["energy_j"]["total"]
            for name, share in metrics["utilization"]["by_resource"].items():
                busy[name] += share * metrics["time_s"]
            for name, joules in metrics["energy_j"]["by_component"].items():
                parts[name] += joules
        return Taken(ps, energy, dict(busy), dict(parts))


@dataclass
class Stages:
    """Stages on a machine, by content.

    Attributes:
        where: they run.
        workload: of each but for its phase and experts.
        experts: that its tokens go to; None for a model without.
        workers: processes.
        known: what stages took, by digest of their content.
    """

    where: Where
    workload: dict[str, Any]
    experts: Experts | None
    workers: int = 1
    known: dict[str, Taken] = field(default_factory=dict)

    def work(self, stage: Stage) -> Work:
        """What is run for a stage."""
        phases = _phases(stage)
        several = len(phases) > 1
        data = [{**self.workload, "phase": phase} for phase in phases]
        if self.experts is None:
            return tuple(data)
        begin, found = 0, []
        for one, phase in zip(data, phases, strict=True):
            tokens = phase["batch"] * phase["tokens"] if several else stage.tokens
            found.append({**one, "routing": self.experts.routing(stage.number, begin, tokens)})
            begin += tokens
        return tuple(found)

    def key(self, stage: Stage) -> str:
        """The content of a stage, as a digest: contexts are many."""
        content = [{k: w[k] for k in ("phase", "routing") if k in w} for w in self.work(stage)]
        return sha256(canonical_json(content).encode()).hexdigest()

    def simulate(self, stages: Sequence[Stage], progress: Progress | None = None) -> None:
        """Run those that are not known, in this order; an interruption keeps what is known."""
        wanted: dict[str, int] = {}
        for at, stage in enumerate(stages):
            wanted.setdefault(self.key(stage), at)
        keys = [key for key in wanted if key not in self.known]
        works = (self.work(stages[wanted[key]]) for key in keys)
        many = self.where.fidelity != "analytic" and len(keys) >= PAYS_RUNS * self.workers
        for n, (key, taken) in enumerate(zip(keys, self._run(works, many), strict=True), 1):
            self.known[key] = taken
            if progress:
                progress(n, len(keys))

    def taken(self, stage: Stage) -> Taken | None:
        """What a stage took, if it is known."""
        return self.known.get(self.key(stage))

    def _run(self, works: Iterator[Work], many: bool) -> Iterator[Taken]:
        if self.workers == 1:
            _ready(many)
            yield from map(self.where.taken, works)
            return
        pool = ProcessPoolExecutor(
            self.workers,
            mp_context=get_context("forkserver"),
            initializer=_undisturbed,
            initargs=(many,),
        )
        some = AHEAD * self.workers  # so few are on their way that an interruption is short
        with pool:
            while batch := list(islice(works, some)):
                yield from pool.map(partial(Where.taken, self.where), batch)


def _ready(many: bool) -> None:
    """Load machine code where there are runs enough to pay for it; answers are the same."""
    if many:
        compiled("advance")


def _undisturbed(many: bool) -> None:
    """A worker leaves an interruption to the process that gave it work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _ready(many)


def _phases(stage: Stage) -> list[dict[str, Any]]:
    """The phase of each run of a stage: one, unless prompts of several lengths are alone."""
    prompts = sorted(Counter(stage.prompts).items())
    chunks = [{"batch": n, "tokens": tokens} for tokens, n in prompts]
    if not stage.contexts:
        return [{"kind": "prefill", **chunk} for chunk in chunks]
    contexts = {"context": list(stage.contexts)}
    if not chunks:
        return [{"kind": "decode", **contexts}]
    return [{"kind": "mixed", "decode": contexts, "prefill": chunks}]
