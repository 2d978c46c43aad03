"""How long requests are: prompt and answer of each, given, drawn, or from a file.

The forms of a description, and the draws. In which order requests come into a batch is in
`closed_loop`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Self

from pydantic import Discriminator, Field, Tag, model_validator

from archsim.core.document import Document
from archsim.core.errors import Diagnostic, InputError
from archsim.core.spec import Spec, problem

if TYPE_CHECKING:
    from numpy.random import Generator

Tokens = Annotated[int, Field(gt=0, le=10_000_000)]
"""Tokens of a prompt or an answer."""

SPREAD = 256  # tokens that a normal draw varies by at most, unless a length is shorter
COLUMNS = ["prompt_tokens", "output_tokens"]


class Length(NamedTuple):
    """Tokens of one request."""

    prompt: int
    output: int

    @property
    def full(self) -> int:
        """Tokens when it is done."""
        return self.prompt + self.output


class Fixed(Spec):
    """All requests alike."""

    kind: Literal["fixed"]
    """Which lengths these are."""

    prompt_tokens: Tokens = Field(examples=[1024])
    """Of each prompt."""

    output_tokens: Tokens = Field(examples=[256])
    """Of each answer; the first comes from the stage that reads the prompt."""

    @property
    def longest_output(self) -> int:
        """Bound of the tokens of an answer."""
        return self.output_tokens

    @property
    def mean_output(self) -> float:
        """Tokens of an answer, in the mean."""
        return self.output_tokens

    def draw(self, rng: Generator, n: int) -> Length:
        """Lengths of the n-th request."""
        return Length(self.prompt_tokens, self.output_tokens)


class Normal(Spec):
    """Both lengths vary as L + min(256, Lin, Lout) x, with x normal and cut off.

    That is how the authors of Duplex (MICRO 2024) draw requests.
    """

    kind: Literal["normal"]
    """Which lengths these are."""

    prompt_tokens: Tokens = Field(examples=[1024])
    """Mean of a prompt."""

    output_tokens: Tokens = Field(examples=[256])
    """Mean of an answer."""

    sigma: Annotated[float, Field(gt=0, le=10)] = 0.4
    """Deviation of x."""

    cut: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Largest size of x: what falls outside is drawn again."""

    @property
    def longest_output(self) -> int:
        """Bound of the tokens of an answer."""
        return round(self.output_tokens + self.cut * self._spread)

    @property
    def mean_output(self) -> float:
        """Tokens of an answer, in the mean."""
        return self.output_tokens

    @property
    def _spread(self) -> int:
        return min(SPREAD, self.prompt_tokens, self.output_tokens)

    def draw(self, rng: Generator, n: int) -> Length:
        """Lengths of the n-th request."""
        return Length(self._one(rng, self.prompt_tokens), self._one(rng, self.output_tokens))

    def _one(self, rng: Generator, mean: int) -> int:
        while abs(x := float(rng.normal(0.0, self.sigma))) > self.cut:
            pass
        return max(1, round(mean + self._spread * x))


class Uniform(Spec):
    """Every length between two ends is as likely as the others."""

    kind: Literal["uniform"]
    """Which lengths these are."""

    prompt_tokens: tuple[Tokens, Tokens] = Field(examples=[[128, 2048]])
    """Least and most of a prompt."""

    output_tokens: tuple[Tokens, Tokens] = Field(examples=[[16, 512]])
    """Least and most of an answer."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        for key in COLUMNS:
            low, high = getattr(self, key)
            if low > high:
                raise problem("E202", f"{key}: the least, {low}, is more than the most, {high}")
        return self

    @property
    def longest_output(self) -> int:
        """Bound of the tokens of an answer."""
        return self.output_tokens[1]

    @property
    def mean_output(self) -> float:
        """Tokens of an answer, in the mean."""
        return sum(self.output_tokens) / 2

    def draw(self, rng: Generator, n: int) -> Length:
        """Lengths of the n-th request."""
        ends = (self.prompt_tokens, self.output_tokens)
        prompt, output = (int(rng.integers(low, high + 1)) for low, high in ends)
        return Length(prompt, output)


class Traced(Spec):
    """Requests in the order of a file, over and over."""

    kind: Literal["trace"]
    """Which lengths these are."""

    file: str | None = Field(default=None, examples=["requests.csv"])
    """CSV with columns `prompt_tokens` and `output_tokens`, relative to this file."""

    requests: tuple[tuple[Tokens, Tokens], ...] | None = None
    """The same written out; what a file is read to."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.file is None) == (self.requests is None) or self.requests == ():
            raise problem(
                "E202", "a trace of lengths is either a file or requests", "file: requests.csv"
            )
        return self

    @property
    def longest_output(self) -> int:
        """Bound of the tokens of an answer."""
        assert self.requests is not None
        return max(output for _, output in self.requests)

    @property
    def mean_output(self) -> float:
        """Tokens of an answer, in the mean."""
        assert self.requests is not None
        return sum(output for _, output in self.requests) / len(self.requests)

    def draw(self, rng: Generator, n: int) -> Length:
        """Lengths of the n-th request."""
        assert self.requests is not None
        return Length(*self.requests[n % len(self.requests)])


Lengths = Annotated[
    Annotated[Fixed, Tag("fixed")]
    | Annotated[Normal, Tag("normal")]
    | Annotated[Uniform, Tag("uniform")]
    | Annotated[Traced, Tag("trace")],
    Discriminator("kind"),
]
AnyLengths = Fixed | Normal | Uniform | Traced


def arrivals(lengths: AnyLengths, rng: Generator) -> Iterator[Length]:
    """Requests one after the other, without end."""
    return (lengths.draw(rng, n) for n in count())


def under_way(lengths: AnyLengths, rng: Generator) -> Iterator[tuple[Length, int]]:
    """Requests that a place of a long-running batch holds at some stage, and stages behind them.

    A place holds long answers for longer: such a request is found in proportion to its stages, and
    at each of them alike. A batch that begins so is in its steady state from the first stage on.
    """
    for length in _of_any(lengths, rng):
        if rng.random() * lengths.longest_output < length.output:
            yield length, int(rng.integers(length.output))


def _of_any(lengths: AnyLengths, rng: Generator) -> Iterator[Length]:
    """Draws as of arrivals; those of a trace in any order."""
    while True:
        n = int(rng.integers(1 << 30)) if isinstance(lengths, Traced) else 0
        yield lengths.draw(rng, n)


def written_out(lengths: AnyLengths, document: Document) -> AnyLengths:
    """Lengths that need no file.

    Raises:
        InputError: E003 for a file that cannot be read, E102 where it has no column of a name or
            no request, E105 for what is no number of tokens, at its line.
    """
    if not isinstance(lengths, Traced) or lengths.file is None:
        return lengths
    path = (document.file.parent if document.file else Path()) / lengths.file
    place = ("lengths", "file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        message = f'trace "{lengths.file}" cannot be read: {reason}'
        raise document.error(place, "E003", message) from None
    rows = csv.DictReader(lines)
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        message = f'trace "{lengths.file}" has no column {missing[0]}'
        raise document.error(place, "E102", message, help=f"columns {', '.join(COLUMNS)}")
    found = []
    for row in rows:
        cells = [(row[name] or "").strip() for name in COLUMNS]
        if not all(cell.isdigit() and int(cell) > 0 for cell in cells):
            n = rows.line_num
            where = Diagnostic("E105", "", str(path), n, 1, source_line=lines[n - 1])
            raise InputError(
                f"a request has tokens, 1 or more, got {' and '.join(map(repr, cells))}",
                code="E105", where=where,
            )  # fmt: skip
        found.append((int(cells[0]), int(cells[1])))
    if not found:
        raise document.error(place, "E102", f'trace "{lengths.file}" holds no request')
    return Traced(kind="trace", requests=tuple(found))
