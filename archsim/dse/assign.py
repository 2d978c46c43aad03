"""Which engine runs which stage, where a machine has several that could.

Every stage is priced on every engine by closed forms, one run an engine. An assignment is judged by
list scheduling: stages of a network follow each other, an engine does one at a time. A search by
single moves finds a good one; the constraint program of `dse.assign_exact` proves the best. Both
give dispatch rules, and the answer that counts is the simulation of those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import inf
from typing import Any

from archsim import api
from archsim.core.errors import ArchsimError, Infeasible, InputError
from archsim.core.units import PS_PER_S

OBJECTIVES = ("latency", "energy", "edp")
ROUNDS = 50  # of moves over all stages; a walk ends when none helps, so few are used
WALKS = 4  # from the best places to begin
MOST_STARTS = 256  # that are judged


@dataclass(frozen=True)
class Job:
    """A stage of one network: where it could run, and what it takes there.

    Attributes:
        path: `block/op`, as dispatch rules name it.
        network: whose stages follow each other.
        repeats: times that it runs.
        time_ps, energy_j: of all repeats together, by engine; engines that cannot run it are not
            there.
    """

    path: str
    network: str
    repeats: int
    time_ps: Mapping[str, int]
    energy_j: Mapping[str, float]


@dataclass(frozen=True)
class Assignment:
    """An engine for every job, and what the closed forms say of it.

    Attributes:
        engines: by path.
        latency_s, energy_j: of the list schedule; energy with leakage.
        how: moves | cp-sat.
        proven: that no assignment is better by the closed forms.
    """

    engines: Mapping[str, str]
    latency_s: float
    energy_j: float
    how: str
    proven: bool = False

    def value(self, objective: str) -> float:
        """What is minimised."""
        both = {"latency": self.latency_s, "energy": self.energy_j}
        return both.get(objective, self.latency_s * self.energy_j)

    def rules(self) -> list[dict[str, Any]]:
        """Dispatch rules, one an engine: they go before those of the machine."""
        by: dict[str, list[str]] = {}
        for path, engine in self.engines.items():
            by.setdefault(engine, []).append(path)
        return [{"ops": paths, "run_on": engine} for engine, paths in sorted(by.items())]


@dataclass(frozen=True)
class Priced:
    """What there is to assign.

    Attributes:
        jobs: stages in order, with what they take on each engine.
        leakage_w: static power of the machine.
        left_out: engines that cannot run everything alone, with the reason.
    """

    jobs: list[Job]
    leakage_w: float
    left_out: Mapping[str, str]


def priced(hardware: Any, workload: Any, **options: Any) -> Priced:
    """Every stage on every engine, by one run of closed forms an engine; arguments as `api.run`.

    Raises:
        InputError: E202 for a machine with one engine that multiplies and accumulates.
    """
    spec = api.load_hardware(
        hardware, set_=options.get("set_", ()), set_files=options.get("set_files", ())
    )
    data = spec.to_data()
    engines = _mac_engines(data)
    if len(engines) < 2:
        raise InputError(
            f"{spec.name} has one engine for products ({', '.join(engines)}): nothing to assign",
            code="E202",
            help="add engines under `engines:`",
        )
    rest = {key: value for key, value in options.items() if key not in ("set_", "set_files")}
    own = [s for s in options.get("set_", ()) if s.startswith("workload.")]
    found: dict[str, Job] = {}
    leakage_w, refused = 0.0, dict[str, ArchsimError]()
    for engine in engines:
        forced = {**data, "dispatch": [{"ops": "*", "run_on": engine}]}
        try:
            report = api.run(forced, workload, fidelity="analytic", set_=own, advice=False, **rest)
        except ArchsimError as error:
            refused[engine] = error
            continue
        leakage_j = report.metrics["energy_j"]["by_component"]["leakage"]
        leakage_w = leakage_j / report.metrics["time_s"]
        _price(found, report, engine, engines)
    if not found:
        raise next(iter(refused.values()))
    left_out = {engine: error.message for engine, error in refused.items()}
    return Priced(list(found.values()), leakage_w, left_out)


def _mac_engines(data: Mapping[str, Any]) -> list[str]:
    from archsim.components.base import MacEngine, engines

    return sorted(
        name for name, e in data["engines"].items() if issubclass(engines.get(e["kind"]), MacEngine)
    )


def _price(found: dict[str, Job], report: Any, engine: str, engines: Sequence[str]) -> None:
    """Add what one engine takes for each stage that it runs."""
    many = report.resolved["workload"]["model"].get("config", {}).get("architecture") == "several"
    for row in report.ops:
        if row["engine"] not in engines:
            continue
        network = row["op"].partition(".")[0] if many else ""
        job = found.setdefault(row["op"], Job(row["op"], network, row["repeats"], {}, {}))
        assert isinstance(job.time_ps, dict)
        assert isinstance(job.energy_j, dict)
        job.time_ps[row["engine"]] = row["time_ps"]
        job.energy_j[row["engine"]] = row["energy_j"]


def judge(work: Sequence[Job], engines: Mapping[str, str], leakage_w: float) -> tuple[int, float]:
    """Makespan in ps and energy in J of an assignment, by list scheduling."""
    free: dict[str, int] = {}
    ready: dict[str, int] = {}
    chains: dict[str, list[Job]] = {}
    for job in work:
        chains.setdefault(job.network, []).append(job)
    at = dict.fromkeys(chains, 0)
    left = {n: sum(j.time_ps[engines[j.path]] for j in own) for n, own in chains.items()}
    waiting = set(chains)
    while waiting:
        # the stage that can start first; of several, that of the network with most left to do
        def start(n: str) -> int:
            return max(ready.get(n, 0), free.get(engines[chains[n][at[n]].path], 0))

        n = min(waiting, key=lambda n: (start(n), -left[n], n))
        job = chains[n][at[n]]
        engine = engines[job.path]
        ready[n] = free[engine] = start(n) + job.time_ps[engine]
        left[n] -= job.time_ps[engine]
        at[n] += 1
        if at[n] == len(chains[n]):
            waiting.remove(n)
    makespan = max(ready.values(), default=0)
    active = sum(job.energy_j[engines[job.path]] for job in work)
    return makespan, active + leakage_w * makespan / PS_PER_S


def assign(
    work: Sequence[Job],
    leakage_w: float,
    objective: str = "latency",
    limits: Mapping[str, float] | None = None,
) -> Assignment:
    """A good assignment: single moves as long as one helps, from the best places to begin.

    Args:
        work: what runs.
        leakage_w: static power.
        objective: latency | energy | edp.
        limits: latency_s and energy_j that must be kept; what breaks them counts first.

    Raises:
        Infeasible: when a limit is below what any assignment can reach.
    """
    limits = limits or {}
    refuse_hopeless(work, limits)

    def score(engines: Mapping[str, str]) -> tuple[float, float]:
        makespan, energy_j = judge(work, engines, leakage_w)
        found = Assignment(engines, makespan / PS_PER_S, energy_j, "moves")
        return over(found, limits), found.value(objective)

    best, chosen = (inf, inf), {}
    for start in sorted(_starts(work), key=score)[:WALKS]:
        found, engines = _moved(work, start, score)
        if found < best:
            best, chosen = found, engines
    makespan, energy_j = judge(work, chosen, leakage_w)
    return Assignment(chosen, makespan / PS_PER_S, energy_j, "moves")


def _starts(work: Sequence[Job]) -> list[dict[str, str]]:
    """Where walks may begin: the best engine of each stage, and whole networks on one engine."""
    fast = {j.path: min(sorted(j.time_ps), key=j.time_ps.__getitem__) for j in work}
    frugal = {j.path: min(sorted(j.energy_j), key=j.energy_j.__getitem__) for j in work}
    networks = sorted({job.network for job in work})
    engines = sorted({engine for job in work for engine in job.time_ps})
    starts = [fast, frugal]
    for whole in islice(product(engines, repeat=len(networks)), MOST_STARTS):
        on = dict(zip(networks, whole, strict=True))
        starts.append(
            {j.path: on[j.network] if on[j.network] in j.time_ps else fast[j.path] for j in work}
        )
    return starts


def _moved(
    work: Sequence[Job], engines: dict[str, str], score: Any
) -> tuple[tuple[float, float], dict[str, str]]:
    """The end of a walk of single moves, each the best for its stage."""
    best = score(engines)
    for _ in range(ROUNDS):
        before = best
        for job in work:
            for engine in sorted(job.time_ps):
                was = engines[job.path]
                engines[job.path] = engine
                if (now := score(engines)) < best:
                    best = now
                else:
                    engines[job.path] = was
        if best == before:
            break
    return best, engines


def over(found: Assignment, limits: Mapping[str, float]) -> float:
    """By how much, relative to them, limits are broken; 0 where all are kept."""
    took = {"latency_s": found.latency_s, "energy_j": found.energy_j}
    return sum(max(0.0, took[m] / limit - 1) for m, limit in limits.items() if m in took)


def refuse_hopeless(work: Sequence[Job], limits: Mapping[str, float]) -> None:
    """Limits that no assignment keeps, by bounds that hold for all of them.

    Raises:
        Infeasible: E401 with the bound.
    """
    chains: dict[str, int] = {}
    for job in work:
        chains[job.network] = chains.get(job.network, 0) + min(job.time_ps.values())
    least = {
        "latency_s": max(chains.values(), default=0) / PS_PER_S,
        "energy_j": sum(min(job.energy_j.values()) for job in work),
    }
    for metric, limit in sorted(limits.items()):
        if metric in least and least[metric] > limit:
            name, unit = {"latency_s": ("latency", "s"), "energy_j": ("energy", "J")}[metric]
            raise Infeasible(
                f"no assignment keeps {name} within {limit:.3g} {unit}: "
                f"the best engine for every stage takes {least[metric]:.3g}",
                code="E401",
                help="a wider budget, or faster engines",
            )
