"""The straight line of continuous batching: description, stages, runs, answer.

`serve` is what `archsim serve` calls. What is steady: requests begin as far as a batch that has run
for long would hold them, each drawn in proportion to its stages and found at any of them alike, so
that no stage has to be cut at the start and about B / Lout requests end in each. A start with all
requests at their prompt has no such state for a while, or ever when all are alike: `warm_up` cuts
stages then. Draws follow from one seed: lengths, first places, and the experts of each stage by its
number, so that neither the number of stages nor a sample of them changes what any stage is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Any

from archsim.core.errors import Diagnostic, Infeasible, InputError
from archsim.serving.batching import LARGEST, ServingSpec, load_serving
from archsim.serving.batching_room import Room
from archsim.serving.closed_loop import Chosen, Loop, Stage, Sums, scattered
from archsim.serving.closed_loop_metrics import (
    Pair,
    metrics,
    standard_errors,
    unseen,
    weights_of,
)
from archsim.serving.stages import Progress, Stages, Taken, Where
from archsim.serving.stages_experts import experts_of
from archsim.serving.stages_fit import HeldOut, fitted, to_simulate
from archsim.system.spec import HardwareBase

OWN = "serving."
SCHEMA = "archsim.served/1"
MOST_REQUESTS = 2_000_000  # followed at once: about half a gigabyte (measured)
NOT_MODELLED = (
    "requests that wait for a place: each comes when one is free",
    "time between stages: scheduling, sampling and copies on the host",
    "prompts cut into chunks: each is read whole",
)


@dataclass(frozen=True)
class ServedLoop:
    """A batch served on a machine.

    Attributes:
        spec: the description.
        pairs: stages that count, and what they took; a sample of them where one was asked for.
        simulated: how many of them were simulated, and not estimated.
        data: the answer, as JSON holds it.
    """

    spec: ServingSpec
    pairs: tuple[Pair, ...]
    simulated: frozenset[int]
    data: dict[str, Any]

    @property
    def complete(self) -> bool:
        """False when it was interrupted."""
        return bool(self.data["status"] == "complete")


def serve(
    hardware: str | Path | dict[str, Any],
    serving: str | Path | dict[str, Any],
    *,
    set_: Sequence[str] = (),
    fidelity: str = "cycle",
    sample: int | None = None,
    fit: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> ServedLoop:
    """Keep a batch of requests at work on a machine and say what it does in the steady state.

    An interruption by the keyboard ends it early, with an answer from the stages that are known,
    which lie evenly over all.

    Args:
        hardware: a shipped name, a path, or the description as data.
        serving: likewise.
        set_: overrides of the machine; of every stage where they begin with `workload.`, of the
            description where they begin with `serving.`.
        fidelity: of the stages: analytic | tile | cycle.
        sample: simulate so many stages only, and say the standard error of every metric.
        fit: simulate so many stages only, estimate the others, and say the error of that.
        workers: processes that simulate.
        progress: told how many stages are known.

    Raises:
        InputError: for a description with mistakes.
        Infeasible: E401 where the batch does not fit the machine.
    """
    if sample is not None and fit is not None:
        raise InputError("sample and fit exclude each other", code="E202")
    _refuse_bare(set_)
    spec, document = load_serving(serving, tuple(s for s in set_ if s.startswith(OWN)))
    where = Where(hardware, tuple(s for s in set_ if not s.startswith(OWN)), fidelity)
    spec, capacity = fitted_batch(spec, where)
    loop, stages = began(spec)
    experts = experts_of(spec, document, stages, where.workload_sets)
    runs = Stages(where, spec.workload(), experts, workers)
    counted = stages[spec.warm_up :]
    chosen = [counted[at].number for at in _simulated(counted, sample or fit)]
    complete = _complete(runs, Chosen(loop, chosen), progress)
    known = {n: took for n in chosen if (took := runs.taken(loop.stage(n))) is not None}
    pairs, held = _pairs(counted, known, estimate=fit is not None)
    data = {
        "schema": SCHEMA,
        "status": "complete" if complete else "interrupted",
        "inputs": _inputs(spec, where),
        "stages": {
            **_stages(counted, spec),
            "simulated": len(known),
            "runs": len(runs.known),
            "unseen": unseen(pairs, counted),
        },
        "requests": {"finished": sum(r.done for r in loop.requests), "at_work": spec.batch},
        **_answer(pairs, counted, spec),
        "capacity": capacity,
        "held_out": held.data() if held else None,
        "not_modelled": list(NOT_MODELLED),
    }
    return ServedLoop(spec, pairs, frozenset(known), data)


def _refuse_bare(set_: Sequence[str]) -> None:
    """Refuse an override of the description that lacks its first word.

    Raises:
        InputError: E601.
    """
    keys = ServingSpec.model_fields.keys() - HardwareBase.model_fields.keys()
    for setting in set_:
        key = setting.partition("=")[0].partition(".")[0].strip()
        if key in keys:
            help_text = f"did you mean `{OWN}{setting.partition('=')[0].strip()}`?"
            wrong = Diagnostic("E601", "no such setting", f"--set {setting}", help=help_text)
            raise InputError.of([wrong])


def began(spec: ServingSpec) -> tuple[Loop, tuple[Sums, ...]]:
    """The loop of a description whose batch is known, at its end, and what its stages hold.

    Raises:
        InputError: E202 where it would see too many requests.
    """
    assert isinstance(spec.batch, int)
    count = spec.warm_up + spec.counted
    seen = round(spec.batch * (1 + count / spec.lengths.mean_output))
    if seen > MOST_REQUESTS:
        raise InputError(
            f"a batch of {spec.batch} sees about {seen:,} requests in {count:,} stages, "
            f"at most {MOST_REQUESTS:,} can be followed",
            code="E202", help="set fewer stages, or a smaller batch",
        )  # fmt: skip
    loop = Loop(spec.lengths, spec.batch, spec.seed, spec.start)
    return loop, tuple(loop.sums(count))


def fitted_batch(spec: ServingSpec, where: Where) -> tuple[ServingSpec, dict[str, Any]]:
    """The description with its number of requests, and what the machine has room for.

    Raises:
        Infeasible: E401 where they do not fit.
    """
    room = Room(where, spec)
    largest = room.largest()
    if spec.batch == LARGEST:
        largest = room.running(largest, lambda batch: _fullest(spec, batch))
    batch = largest if spec.batch == LARGEST else spec.batch
    assert isinstance(batch, int)
    if batch > largest and not room.fits(batch):
        raise Infeasible(
            f"a batch of {batch} does not fit: the machine holds {largest} requests at full length",
            help=f"--set serving.batch={largest}, narrower types, or more devices",
            details={"largest_batch": largest},
        )
    return spec.model_copy(update={"batch": batch}), room.data(batch, largest)


def _fullest(spec: ServingSpec, batch: int) -> list[Stage]:
    """Stages of a batch that ask for the most room: of prompts, and of all that is attended to."""
    loop, stages = began(spec.model_copy(update={"batch": batch}))
    by = (
        lambda sums: (sum(sums.prompts), sums.attended),
        lambda sums: (sums.attended + sum(sums.prompts), sum(sums.prompts)),
        lambda sums: (not sums.prompts, sums.attended),
    )
    return [loop.stage(n) for n in sorted({max(stages, key=key).number for key in by})]


def _complete(runs: Stages, stages: Sequence[Stage], progress: Progress | None) -> bool:
    """Simulate some stages; False where that was interrupted with something known."""
    try:
        runs.simulate(stages, progress)
    except KeyboardInterrupt:
        if not runs.known:
            raise
        return False
    return True


def _simulated(stages: Sequence[Sums], some: int | None) -> list[int]:
    """Places of the stages to simulate, in an order whose every beginning lies evenly over them."""
    return scattered(range(len(stages)) if some is None else to_simulate(stages, some))


def _pairs(
    stages: Sequence[Sums], known: Mapping[int, Taken], *, estimate: bool
) -> tuple[tuple[Pair, ...], HeldOut | None]:
    """Stages with what they take, in order, and the error of those that are estimated.

    Args:
        stages: that count.
        known: what some of them took, by number.
        estimate: the others from these.
    """
    found = {at: known[stage.number] for at, stage in enumerate(stages) if stage.number in known}
    found, held = fitted(stages, found) if estimate else (found, None)
    return tuple((stages[at], found[at]) for at in sorted(found)), held


def _answer(pairs: Sequence[Pair], stages: Sequence[Sums], spec: ServingSpec) -> dict[str, Any]:
    """What the stages mean, and how certain that is where they are not all."""
    errors = standard_errors(pairs, stages, spec.seed) if len(pairs) < len(stages) else None
    return {**metrics(pairs, weights_of(pairs, stages)), "standard_error": errors}


def _inputs(spec: ServingSpec, where: Where) -> dict[str, Any]:
    return {
        "hardware": where.resolved["name"],
        "serving": spec.name,
        "model": spec.model,
        "batch": spec.batch,
        "lengths": spec.lengths.kind,
        "fidelity": where.fidelity,
        "seed": spec.seed,
    }


def _stages(stages: Sequence[Sums], spec: ServingSpec) -> dict[str, Any]:
    """How many stages of which kind.

    Where B places are refilled at any time, B / Lout are in a stage, and the chance of one or more
    is 1 - exp(-B / Lout).
    """
    assert isinstance(spec.batch, int)
    mixed = sum(bool(stage.prompts) for stage in stages)
    prompts = sum(len(stage.prompts) for stage in stages)
    tokens = sum(stage.requests for stage in stages)
    return {
        "count": len(stages),
        "mixed": mixed,
        "mixed_share": mixed / len(stages),
        "mixed_share_expected": 1 - exp(-spec.batch / spec.lengths.mean_output),
        "refills_per_stage": prompts / len(stages),
        "output_tokens": tokens,
    }
