"""Stages that are not simulated, estimated from those that are, and how far off that is.

Time, energy and busy seconds of a stage are fitted by least squares to what it is made of: tokens
attended by those that decode, and number, tokens and squared tokens of its prompts. Stages without
prompts, with one, and with more are fitted apart. Every fifth simulated stage is held out of the
fit and says its error; what is simulated is used as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archsim.serving.closed_loop import Sums, spread
from archsim.serving.stages import Taken

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HELD_OUT = 5  # every so-manieth simulated stage of a kind checks the fit
LEAST = 10  # simulated stages of a kind, where there are as many


@dataclass(frozen=True)
class HeldOut:
    """Error of a fit on stages that it has not seen, as shares of what they took.

    Attributes:
        stages: they were.
        time, energy: mean and largest size of the error.
    """

    stages: int
    time: tuple[float, float]
    energy: tuple[float, float]

    def data(self) -> dict[str, Any]:
        """As JSON holds it."""
        words = ("mean", "max")
        return {
            "stages": self.stages,
            "time_error": dict(zip(words, self.time, strict=True)),
            "energy_error": dict(zip(words, self.energy, strict=True)),
        }


def kinds(stages: Sequence[Sums]) -> list[list[int]]:
    """Places of the stages of each kind that there is, in order."""
    found: dict[int, list[int]] = {}
    for at, stage in enumerate(stages):
        found.setdefault(stage.kind, []).append(at)
    return [places for _, places in sorted(found.items())]


def to_simulate(stages: Sequence[Sums], some: int) -> list[int]:
    """Places of the stages to fit to: so many in all, at equal distances among those of a kind.

    A kind has as many as its share, or ten where it is rare; the total may be that much larger.
    """
    found: list[int] = []
    for places in kinds(stages):
        share = max(LEAST, round(some * len(places) / len(stages)))
        found += [places[i] for i in spread(len(places), share)]
    return sorted(found)


def fitted(
    stages: Sequence[Sums], known: Mapping[int, Taken]
) -> tuple[dict[int, Taken], HeldOut | None]:
    """What every stage takes, and the error where stages were held out; empty kinds stay out.

    Args:
        stages: all.
        known: what some of them took, by place.
    """
    found, errors = dict(known), []
    names = sorted({name for taken in known.values() for name in taken.busy_s})
    parts = sorted({name for taken in known.values() for name in taken.parts_j})
    for places in kinds(stages):
        there = [at for at in places if at in known]
        missing = [at for at in places if at not in known]
        if not missing or not there:
            continue
        held = there[HELD_OUT // 2 :: HELD_OUT] if len(there) >= HELD_OUT else []
        learnt = [at for at in there if at not in held]
        out = _predicted(stages, known, learnt, [*held, *missing], (names, parts))
        errors += [
            (abs(row[0] / known[at].ps - 1), abs(row[1] / known[at].energy_j - 1))
            for at, row in zip(held, out[: len(held)], strict=True)
        ]
        for at, row in zip(missing, out[len(held) :], strict=True):
            ps, energy, *more = map(float, row)
            busy = dict(zip(names, more, strict=False))
            found[at] = Taken(ps, energy, busy, dict(zip(parts, more[len(names) :], strict=True)))
    if not errors:
        return found, None
    times, energies = zip(*errors, strict=True)
    return found, HeldOut(len(errors), _size(times), _size(energies))


def _size(errors: Sequence[float]) -> tuple[float, float]:
    return sum(errors) / len(errors), max(errors)


def _predicted(
    stages: Sequence[Sums],
    known: Mapping[int, Taken],
    learnt: Sequence[int],
    wanted: Sequence[int],
    named: tuple[Sequence[str], Sequence[str]],
) -> Floats:
    """Time, energy, busy seconds and energy by component, shape (wanted, 2 + names of both)."""
    import numpy as np

    seen = np.array([_made_of(stages[at]) for at in learnt])
    took = np.array([
        [known[at].ps, known[at].energy_j, *(known[at].busy_s.get(n, 0.0) for n in named[0]),
         *(known[at].parts_j.get(n, 0.0) for n in named[1])]
        for at in learnt
    ])  # fmt: skip
    scale = np.maximum(seen.max(axis=0), 1.0)
    factors, *_ = np.linalg.lstsq(seen / scale, took, rcond=1e-9)
    asked = np.array([_made_of(stages[at]) for at in wanted])
    # beyond what it has seen a fit may cross zero; half of the least seen is assumed to be a bound
    least = took.min(axis=0) / 2
    return np.asarray(np.maximum(asked / scale @ factors, least))


def _made_of(stage: Sums) -> list[float]:
    prompts = stage.prompts
    return [1.0, stage.attended, len(prompts), sum(prompts), sum(n * n for n in prompts)]
