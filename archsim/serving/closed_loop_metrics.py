"""What a sequence of stages means for those who wait: throughput, times between tokens, energy.

Everything is derived here from stages and what they take; nothing is simulated. The time between
two tokens of a request is that of the stage that gives the second; the time to its first token is
that of the stage that reads its prompt, as a place is taken at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from statistics import stdev
from typing import Any

from archsim.serving.closed_loop import Sums, stream
from archsim.serving.stages import Taken

Pair = tuple[Sums, Taken]
DRAWS = 200  # resamples behind a standard error
RESAMPLE = b"resample"
EXACT = 1e-12  # of a rank, against rounding of weights
RANKS = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def metrics(pairs: Sequence[Pair], weights: Sequence[float]) -> dict[str, Any]:
    """Rates, waiting times, energy and busy shares of some stages.

    Args:
        pairs: stages and what they take.
        weights: stages that each of them stands for.
    """
    rows = [(stage, taken, n) for (stage, taken), n in zip(pairs, weights, strict=True)]
    seconds = sum(taken.time_s * n for _, taken, n in rows)
    energy = sum(taken.energy_j * n for _, taken, n in rows)
    tokens = sum(stage.requests * n for stage, _, n in rows)
    names = sorted({name for _, taken, _ in rows for name in taken.busy_s})
    parts = sorted({name for _, taken, _ in rows for name in taken.parts_j})
    return {
        "throughput": {
            "output_tok_per_s": tokens / seconds,
            "prompt_tok_per_s": sum(sum(stage.prompts) * n for stage, _, n in rows) / seconds,
            "request_per_s": sum(len(stage.prompts) * n for stage, _, n in rows) / seconds,
        },
        "stage_s": _waits([(taken.time_s, n) for _, taken, n in rows]),
        "tbt_s": _waits([(taken.time_s, n * stage.decoding) for stage, taken, n in rows]),
        "ttft_s": _waits([(taken.time_s, n * len(stage.prompts)) for stage, taken, n in rows]),
        "energy_j": {
            "per_output_tok": energy / tokens,
            "per_output_tok_by_component": {
                name: sum(taken.parts_j.get(name, 0.0) * n for _, taken, n in rows) / tokens
                for name in parts
            },
        },
        "power_w": {"mean": energy / seconds},
        "busy": {
            name: sum(taken.busy_s.get(name, 0.0) * n for _, taken, n in rows) / seconds
            for name in names
        },
    }  # fmt: skip


def weights_of(pairs: Sequence[Pair], stages: Sequence[Sums]) -> list[float]:
    """Stages that each of a sample stands for: those of its kind.

    A kind of which none is in the sample is stood for by nobody: see `unseen`.
    """
    there = Counter(stage.kind for stage, _ in pairs)
    of = Counter(stage.kind for stage in stages)
    return [of[stage.kind] / there[stage.kind] for stage, _ in pairs]


def unseen(pairs: Sequence[Pair], stages: Sequence[Sums]) -> int:
    """Stages of kinds of which none is in the sample."""
    there = {stage.kind for stage, _ in pairs}
    return sum(stage.kind not in there for stage in stages)


def standard_errors(pairs: Sequence[Pair], stages: Sequence[Sums], seed: int) -> dict[str, Any]:
    """Standard error of every metric of a sample; empty where a kind has too few to tell.

    Too few is none, or one that stands for several.

    The bootstrap of a finite population, for each kind of stages apart: the sample is
    drawn again with replacement, the stages outside of it are drawn from that, and the metrics then
    vary by their error.

    Args:
        pairs: the sample.
        stages: that it stands for.
        seed: of the draws.
    """
    import numpy as np

    rng = stream(seed, RESAMPLE)
    kinds = [
        ([i for i, (stage, _) in enumerate(pairs) if stage.kind == kind], of)
        for kind, of in sorted(Counter(stage.kind for stage in stages).items())
    ]
    if any(len(places) < min(of, 2) for places, of in kinds):
        return {}
    drawn = []
    for _ in range(DRAWS):
        weights = np.ones(len(pairs))
        for places, of in kinds:
            n = len(places)
            if n < of:
                again = np.bincount(rng.integers(n, size=n), minlength=n)
                weights[places] += rng.multinomial(of - n, again / n)
        drawn.append(metrics(pairs, weights.tolist()))
    return _deviation(drawn)


def _deviation(drawn: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Standard deviation of each number of alike results; None where they have none."""
    found: dict[str, Any] = {}
    for key, value in drawn[0].items():
        values = [one[key] for one in drawn]
        if value is None:
            found[key] = None
        elif isinstance(value, dict):
            found[key] = _deviation(values)
        else:
            found[key] = stdev(values)
    return found


def _waits(rows: Sequence[tuple[float, float]]) -> dict[str, float] | None:
    """Mean and percentiles (nearest rank) of seconds that so many wait; None where nobody does."""
    ordered = sorted(row for row in rows if row[1])
    if not ordered:
        return None
    passed = list(accumulate(n for _, n in ordered))
    mean = sum(seconds * n for seconds, n in ordered) / passed[-1]
    ranks = {
        name: ordered[min(bisect_left(passed, share * passed[-1] * (1 - EXACT)), len(ordered) - 1)]
        for name, share in RANKS.items()
    }
    return {"mean": mean, **{name: row[0] for name, row in ranks.items()}}
