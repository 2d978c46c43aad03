"""Which experts tokens go to: tokens per expert, from a seeded draw or from a trace.

Time depends on the counts alone, not on which token goes where; which expert has how many matters
where some of them lie nearer than others. Closed forms of how many distinct experts a draw reaches
stand beside it; files of traces are read in `routing_trace`.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, Self
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from archsim.core.spec import Spec, problem

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
CHUNK = 1 << 22  # random numbers drawn at once


class Routed(NamedTuple):
    """What a model routes in a phase."""

    experts: int
    top_k: int  # distinct experts that a token goes to
    tokens: int  # in each layer
    layers: int  # that have experts
    steps: int = 1


class Routing(Spec):
    """How tokens choose experts."""

    kind: Literal["uniform", "zipf", "trace"] = "uniform"
    """Every expert alike, popularity by rank to a power, or counts from a file."""

    exponent: Annotated[float, Field(ge=0, le=8)] | None = None
    """Of zipf: the r-th expert is drawn with a weight of 1 / r to this power. Default: 1."""

    file: str | None = Field(default=None, examples=["routing.csv"])
    """Of a trace: CSV or NPY, relative to this file. Rows as wide as the model has experts hold
    tokens of each expert, one row for all layers or one a layer; rows as wide as a token has
    experts hold those of one token, counted from 0, all tokens once or once a layer. Where a phase
    has several steps, those of all layers may be given for each of them, step by step."""

    counts: tuple[tuple[Annotated[int, Field(ge=0)], ...], ...] | None = None
    """A trace written out: tokens of each expert, one row for all layers, one a layer, or one a
    layer for each step, step by step."""

    seed: int | None = Field(default=None, ge=0)
    """Of the draw. Default: that of the run."""

    per_layer: bool = False
    """Draw each layer anew: honest and slow, as layers no longer repeat."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        given = [key for key in ("file", "counts") if getattr(self, key) is not None]
        if self.kind == "trace" and len(given) != 1:
            raise problem(
                "E202" if given else "E102",
                f"a routing trace needs a file or counts, got {' and '.join(given) or 'none'}",
                "example `routing: {kind: trace, file: routing.csv}`",
            )
        if self.kind != "trace" and given:
            message = f"{given[0]} is of a routing trace, and the kind is {self.kind}"
            raise problem("E202", message, "kind: trace")
        if self.kind != "zipf" and self.exponent is not None:
            message = f"exponent is of zipf routing, and the kind is {self.kind}"
            raise problem("E202", message, "kind: zipf")
        return self

    @property
    def layered(self) -> bool:
        """True when layers differ."""
        return self.per_layer or (self.counts is not None and len(self.counts) > 1)

    def weights(self, experts: int) -> Floats:
        """Relative popularity of each expert, the most popular first."""
        power = (1.0 if self.exponent is None else self.exponent) if self.kind == "zipf" else 0.0
        return np.asarray(np.arange(1, experts + 1) ** -power, dtype=np.float64)


def tokens_of_experts(
    routing: Routing,
    experts: int,
    top_k: int,
    tokens: int,
    layer: int = 0,
    step: int = 1,
    layers: int = 1,
) -> Ints:
    """Tokens of each expert in one layer, by its number; they sum to tokens x top_k.

    Args:
        routing: the kind of draw, or a trace whose file has been read.
        experts: there are.
        top_k: distinct ones that a token goes to.
        tokens: that are routed.
        layer: which of the layers with experts, from 0; alike unless layers differ.
        step: which of several steps, from 1: each is a draw of its own; a trace without rows of
            each step is of all.
        layers: with experts.
    """
    if routing.counts is not None:
        row = routing.counts[((step - 1) * layers + layer) % len(routing.counts)]
        return np.array(row, dtype=np.int64)
    stream = [crc32(b"routing"), layer if routing.per_layer else 0]
    stream += [step] if step > 1 else []
    rng = np.random.default_rng(np.random.SeedSequence(routing.seed or 0, spawn_key=stream))
    log_weight = np.log(routing.weights(experts))
    counts = np.zeros(experts, dtype=np.int64)
    rows = max(1, CHUNK // experts)
    for begin in range(0, tokens, rows):
        # Gumbel's trick: the top k of log weight + noise are k draws without replacement
        noise = rng.gumbel(size=(min(rows, tokens - begin), experts)) + log_weight
        chosen = np.argpartition(noise, experts - top_k, axis=1)[:, experts - top_k :]
        counts += np.bincount(chosen.ravel(), minlength=experts)
    return counts


def tokens_per_expert(
    routing: Routing, experts: int, top_k: int, tokens: int, layer: int = 0, step: int = 1
) -> Ints:
    """`tokens_of_experts`, the largest first: where experts are alike."""
    return np.sort(tokens_of_experts(routing, experts, top_k, tokens, layer, step))[::-1]


def expected_distinct(
    experts: int, top_k: int, tokens: int, routing: Routing | None = None
) -> float:
    """Experts that at least one of so many tokens goes to, expected over seeds.

    Uniform: E (1 - (1 - k/E)^T). Otherwise the sum over experts of 1 - (1 - share)^T, where a share
    is the chance that one token goes to the expert.

    Args:
        experts: E.
        top_k: k.
        tokens: T.
        routing: of kind uniform (default) or zipf.
    """
    shares = chosen_shares((routing or Routing()).weights(experts), top_k)
    return float(np.sum(-np.expm1(tokens * np.log1p(-np.minimum(shares, 1 - 1e-16)))))


def chosen_shares(weights: Floats, top_k: int) -> Floats:
    """Chance of each of E weighted items to be among `top_k` draws without replacement, shape (E,).

    Items arrive after exponential times of their weight as rate; the first `top_k` are drawn
    (Efraimidis and Spirakis, 2006). An item at time t is among them when fewer than `top_k` others
    are there, a Poisson-binomial count; the integral over log t is a trapezoid sum, which converges
    faster than any power because both ends decay. Equal weights are top_k / E at once.
    """
    if top_k == len(weights) or np.ptp(weights) == 0:
        return np.full(len(weights), top_k / len(weights))
    rates = weights / weights.sum()
    step = 0.05
    log_t = np.arange(np.log(1e-9), np.log(60 / rates.min()), step)
    hazard = np.exp(log_t)[:, None] * rates  # (time, item)
    there = -np.expm1(-hazard)
    # chance of so many arrivals among all items but one: (time, item left out, arrivals)
    count = np.zeros((*there.shape, top_k))
    count[:, :, 0] = 1.0
    for j in range(len(weights)):
        p = np.repeat(there[:, j, None], len(weights), axis=1)
        p[:, j] = 0.0
        moved = count * p[:, :, None]
        count -= moved
        count[:, :, 1:] += moved[:, :, :-1]
    density = hazard * np.exp(-hazard) * count.sum(axis=2)
    return np.asarray(density.sum(axis=0) * step)
