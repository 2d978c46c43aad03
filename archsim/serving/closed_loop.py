"""The clock that counts stages: who is at work in each, and on what.

Each stage gives every request at work one token. A request's first stage reads its prompt whole;
in its p-th stage after that it attends to prompt + p tokens. When its last token is there, the next
request takes its place in the stage behind. No time passes here: what a stage takes is in `stages`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload
from zlib import crc32

from archsim.serving.batching_lengths import AnyLengths, Length, arrivals, under_way

if TYPE_CHECKING:
    from numpy.random import Generator

EXPERTS, LENGTHS, PLACES = b"experts", b"lengths", b"places"  # streams of one seed


@dataclass(frozen=True)
class Sums:
    """How much there is to do in one pass of the model.

    Attributes:
        number: from 0, over all stages.
        decoding: requests that decode.
        attended: tokens that these attend to in all, the newest included.
        prompts: tokens of each prompt that is read, ascending.
    """

    number: int
    decoding: int
    attended: int
    prompts: tuple[int, ...]

    @property
    def requests(self) -> int:
        """Requests at work: each gets a token."""
        return self.decoding + len(self.prompts)

    @property
    def tokens(self) -> int:
        """Tokens that the model reads."""
        return self.decoding + sum(self.prompts)

    @property
    def kind(self) -> int:
        """Which stages it is like: 0 without a prompt, 1 with one, 2 with more."""
        return min(len(self.prompts), 2)


@dataclass(frozen=True, init=False)
class Stage(Sums):
    """One pass of the model, request by request.

    Attributes:
        contexts: tokens that each decoding request attends to, ascending.
    """

    contexts: tuple[int, ...]

    def __init__(self, number: int, contexts: tuple[int, ...], prompts: tuple[int, ...]) -> None:
        super().__init__(number, len(contexts), sum(contexts), prompts)
        object.__setattr__(self, "contexts", contexts)


@dataclass(frozen=True, slots=True)
class Request:
    """One request in its place.

    Attributes:
        length: its tokens.
        before: stages that it had behind it when the clock began.
        first: stage of its first token here.
        tokens: that it gets here.
    """

    length: Length
    before: int
    first: int
    tokens: int

    @property
    def stages(self) -> int:
        """Stages behind it in the end, those before the clock began included."""
        return self.before + self.tokens

    @property
    def done(self) -> bool:
        """True when it has all its tokens in the end."""
        return self.stages == self.length.output


@dataclass
class Loop:
    """A batch that is kept full, stage by stage.

    Attributes:
        lengths: of requests.
        batch: requests at work.
        seed: of their draws.
        start: drawn | even | together.
        requests: all so far, in the order in which they came.
    """

    lengths: AnyLengths
    batch: int
    seed: int = 0
    start: str = "drawn"
    requests: list[Request] = field(default_factory=list)

    def sums(self, count: int) -> Iterator[Sums]:
        """What there is to do in the next stages from the beginning, so many.

        Only requests are kept: `stage` says of those at work which is where.
        """
        coming = arrivals(self.lengths, stream(self.seed, LENGTHS))
        self.requests = []
        ending: dict[int, list[tuple[int, Request]]] = {}  # by stage of the last token, with places
        begun = [
            self._begun(place, length, before, 0, count, ending)
            for place, (length, before) in enumerate(self._first())
        ]
        decoding = attended = 0
        for number in range(count):
            prompts = sorted(r.length.prompt for r in begun if not r.before)
            old = [r for r in begun if r.before]  # found under way
            decoding += len(old)
            attended += sum(r.length.prompt + r.before for r in old)
            yield Sums(number, decoding, attended, tuple(prompts))
            decoding += len(prompts)  # who read decodes next, and all attend to one token more
            attended += sum(prompts) + decoding
            done = sorted(ending.pop(number, ()), key=lambda one: one[0])
            for _, r in done:
                decoding -= 1
                attended -= r.length.full
            begun = [
                self._begun(place, next(coming), 0, number + 1, count, ending)
                for place, _ in done
                if number + 1 < count
            ]

    def stages(self, count: int) -> Iterator[Stage]:
        """The same stages, request by request."""
        return (self.stage(sums.number) for sums in self.sums(count))

    def stage(self, number: int) -> Stage:
        """A stage that `sums` has come to, from the requests that are at work in it."""
        came = bisect_right(self.requests, number, key=lambda r: r.first)
        oldest = number - self.lengths.longest_output
        gone = bisect_right(self.requests, oldest, key=lambda r: r.first)
        here = [r for r in self.requests[gone:came] if number < r.first + r.tokens]
        behind = [(r.before + number - r.first, r.length.prompt) for r in here]
        contexts = sorted(prompt + stages for stages, prompt in behind if stages)
        prompts = sorted(prompt for stages, prompt in behind if not stages)
        return Stage(number, tuple(contexts), tuple(prompts))

    def _begun(
        self, place: int, length: Length, before: int, number: int, count: int,
        ending: dict[int, list[tuple[int, Request]]],
    ) -> Request:  # fmt: skip
        """A request that takes a place at a stage."""
        tokens = min(length.output - before, count - number)
        request = Request(length, before, number, tokens)
        self.requests.append(request)
        ending.setdefault(number + length.output - before - 1, []).append((place, request))
        return request

    def _first(self) -> Iterator[tuple[Length, int]]:
        """Requests that places hold at first, and stages behind them."""
        for i, (length, drawn) in zip(range(self.batch), self.held(), strict=False):
            even = i * length.output // self.batch
            yield length, {"drawn": drawn, "even": even, "together": 0}[self.start]

    def held(self) -> Iterator[tuple[Length, int]]:
        """Requests that a drawn start finds, and stages behind them; of more places, more."""
        return under_way(self.lengths, stream(self.seed, PLACES))


@dataclass(frozen=True)
class Chosen(Sequence[Stage]):
    """Some stages of a loop, each worked out when it is asked for.

    Attributes:
        loop: that has come to them.
        numbers: of the stages.
    """

    loop: Loop
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, at: int) -> Stage: ...
    @overload
    def __getitem__(self, at: slice) -> Chosen: ...
    def __getitem__(self, at: int | slice) -> Stage | Chosen:
        if isinstance(at, slice):
            return Chosen(self.loop, self.numbers[at])
        return self.loop.stage(self.numbers[at])


def stream(seed: int, name: bytes, number: int = 0) -> Generator:
    """The generator of one of the streams of a seed."""
    from numpy.random import SeedSequence, default_rng

    return default_rng(SeedSequence(seed, spawn_key=(crc32(name), number)))


def expert_seed(seed: int, stage: int) -> int:
    """Seed of the experts of a stage."""
    return int(stream(seed, EXPERTS, stage).integers(1 << 31))


def spread(count: int, some: int) -> tuple[int, ...]:
    """So many numbers below `count`, at equal distances; all of them where there are fewer."""
    some = min(some, count)
    return tuple((2 * i + 1) * count // (2 * some) for i in range(some))


def scattered(numbers: Sequence[int]) -> list[int]:
    """The same numbers in an order of which every beginning lies evenly over them."""
    bits = max(1, (len(numbers) - 1).bit_length())
    return [numbers[at] for at in sorted(range(len(numbers)), key=lambda i: f"{i:0{bits}b}"[::-1])]
