"""Which experts tokens go to: a seeded draw of tokens per expert, or a trace.

Expert parallelism and combine traffic see only the counts; which token goes where does not matter
to time. Counts are sorted, largest first: experts are alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from archsim.core.errors import InputError
from archsim.core.spec import Spec, problem

Ints = NDArray[np.int64]
CHUNK = 1 << 22  # random numbers drawn at once


class Routing(Spec):
    """How tokens choose experts."""

    kind: Literal["uniform", "zipf", "trace"] = "uniform"
    """Every expert alike, popularity by rank to a power, or counts from a file."""

    exponent: Annotated[float, Field(ge=0, le=8)] = 1.0
    """Of zipf: the r-th expert is drawn with a weight of 1 / r to this power."""

    file: str | None = Field(default=None, examples=["routing.csv"])
    """Of trace: CSV, one row a layer, one column an expert: tokens that it gets."""

    seed: int = Field(default=0, ge=0)
    """Of the draw."""

    per_layer: bool = False
    """Draw each layer anew: honest and slow, as layers no longer repeat. A trace always is."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.kind == "trace") != (self.file is not None):
            raise problem("E202", f"routing {self.kind} and file {self.file} disagree",
                          "a trace has a file, the other kinds have none")  # fmt: skip
        return self

    @property
    def layered(self) -> bool:
        """True when layers differ."""
        return self.per_layer or self.kind == "trace"


def tokens_per_expert(
    routing: Routing, experts: int, top_k: int, tokens: int, layer: int = 0
) -> Ints:
    """Tokens of each expert in one layer, largest first; they sum to tokens x top_k.

    Args:
        routing: the kind of draw.
        experts: there are.
        top_k: distinct ones that a token goes to.
        tokens: that are routed.
        layer: which layer, where layers differ.

    Raises:
        InputError: for a trace that does not fit the model.
    """
    if routing.file is not None:
        return _traced(Path(routing.file), experts, top_k * tokens, layer)
    stream = crc32(b"routing"), layer if routing.per_layer else 0
    rng = np.random.default_rng(np.random.SeedSequence(routing.seed, spawn_key=stream))
    exponent = routing.exponent if routing.kind == "zipf" else 0.0
    log_weight = -exponent * np.log(np.arange(1, experts + 1))
    counts = np.zeros(experts, dtype=np.int64)
    rows = max(1, CHUNK // experts)
    for begin in range(0, tokens, rows):
        # Gumbel's trick: the top k of log weight + noise are k draws without replacement
        noise = rng.gumbel(size=(min(rows, tokens - begin), experts)) + log_weight
        chosen = np.argpartition(noise, experts - top_k, axis=1)[:, experts - top_k :]
        counts += np.bincount(chosen.ravel(), minlength=experts)
    return np.sort(counts)[::-1]


def expected_distinct(experts: int, top_k: int, tokens: int) -> float:
    """Experts that at least one of so many tokens goes to, expected under uniform routing."""
    return experts * (1 - (1 - top_k / experts) ** tokens)


def _traced(path: Path, experts: int, wanted: int, layer: int) -> Ints:
    """The counts of one layer of a trace."""
    if not path.is_file():
        raise InputError(f'routing.file names "{path}", which does not exist', code="E201")
    lines = [line for line in path.read_text("utf-8").splitlines() if line[:1] not in ("#", "")]
    at = layer % len(lines) if lines else 0
    row = [cell.strip() for cell in lines[at].split(",")] if lines else []
    if len(row) != experts or not all(cell.isdigit() for cell in row):
        raise InputError(
            f"{path}: row {at + 1} has {len(row)} columns, the model has {experts} experts",
            code="E202",
            help="one row a layer, one whole number of tokens for each expert",
        )
    counts = np.array([int(cell) for cell in row], dtype=np.int64)
    if int(counts.sum()) != wanted:
        raise InputError(
            f"{path}: row {at + 1} routes {int(counts.sum())} tokens, the phase has {wanted}",
            code="E202",
            help="tokens x experts a token",
        )
    return np.sort(counts)[::-1]
