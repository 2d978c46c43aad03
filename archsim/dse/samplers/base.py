"""What every sampler promises: the same designs for the same seed, however often it is resumed."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from archsim.core.errors import InputError
from archsim.core.registry import Registry
from archsim.dse.space import Space


@dataclass(frozen=True, slots=True)
class Told:
    """How a design did, as a sampler hears of it.

    Attributes:
        values: of the objectives, in their order, all to be minimised; None without an answer.
        violations: of the constraints, in their order; above zero where one is not kept.
    """

    values: tuple[float, ...] | None
    violations: tuple[float, ...] = ()


LARGE = 16_384  # designs of a batch, where nothing is learned from it


@dataclass(frozen=True, slots=True)
class Search:
    """What a sampler is made from, beside its space.

    Attributes:
        objectives: how many there are.
        evaluations: designs that may be asked for; None: as many as there are.
        batch: designs asked together; None: what suits the sampler.
        seed: of every draw.
        points: designs written out, for the sampler that takes them as they are.
    """

    objectives: int = 2
    evaluations: int | None = None
    batch: int | None = None
    seed: int = 0
    points: tuple[Mapping[str, Any], ...] = ()

    def seed_of(self, number: int) -> int:
        """Seed of one design, of 32 bits: a hash, so that designs need no common stream."""
        text = f"{self.seed}/{number}".encode()
        return int.from_bytes(hashlib.sha256(text).digest()[:4], "big")


class Sampler(ABC):
    """Chooses designs.

    A study is resumed by asking from the first design again: answers are in the store, so that
    telling them costs no run. What is asked may depend on the seed, on the number of the design and
    on what was told, never on time or on the number of workers.

    Attributes:
        kind: its word in a description.
        adaptive: that it learns from what it is told; such a study cannot be cut into shards.
        batch: designs asked together, before any of them is told; of the study, not of the workers.
        total: designs that will be asked for.
    """

    kind: ClassVar[str]
    adaptive: ClassVar[bool] = False
    batch: int
    total: int

    def __init__(self, space: Space, search: Search) -> None:
        self.space, self.search = space, search
        self.batch = search.batch or LARGE
        if search.evaluations is None:
            raise InputError(
                f"sampler {self.kind} draws without end",
                code="E102",
                help="say how often: `evaluations: 64`",
                details={"path": "search"},
            )
        self.total = search.evaluations

    @abstractmethod
    def ask(self, number: int) -> Mapping[str, Any]:
        """Settings of a design: path and value."""

    def tell(self, numbers: Sequence[int], told: Sequence[Told]) -> None:  # noqa: B027
        """How a whole batch did; without effect where nothing is learned."""


samplers: Registry[Sampler] = Registry("archsim.dse.samplers", Sampler)  # type: ignore[type-abstract]
