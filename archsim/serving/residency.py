"""Which experts are in the nearest memory, turn by turn, and what room they have there.

The room is what the router, the passes at work and a landing area leave. Weights are only read:
who gives way is forgotten, and nothing is written back. The policies are those of
`memory.replacement`; when copies happen is decided by `serving.simulate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archsim.core.errors import Infeasible
from archsim.core.units import format_bytes
from archsim.memory.replacement import Policy, replay
from archsim.serving.composition import CompositionSpec
from archsim.serving.requests import Visit
from archsim.serving.times import Times


@dataclass(frozen=True)
class Room:
    """Bytes of one device's memories, and what wants to be in them.

    Attributes:
        nearest: name of the memory that models run from.
        capacity_bytes: of it.
        router_bytes: weights of the router, which stay.
        work_bytes: caches and activations of the largest pass.
        landing_bytes: where an expert lies that does not stay; 0 where each stays.
        behind: name of the memory that holds all experts; None where there is none.
        behind_bytes: capacity of it.
        expert_bytes: weights, by expert.
    """

    nearest: str
    capacity_bytes: int
    router_bytes: int
    work_bytes: int
    landing_bytes: int
    behind: str | None
    behind_bytes: int
    expert_bytes: tuple[int, ...]

    @property
    def experts_bytes(self) -> int:
        """What is left for experts that stay."""
        return self.capacity_bytes - self.router_bytes - self.work_bytes - self.landing_bytes

    @property
    def all_bytes(self) -> int:
        """What all experts together take."""
        return sum(self.expert_bytes)

    @property
    def holds_all(self) -> bool:
        """True where no expert ever gives way."""
        return self.all_bytes <= self.experts_bytes + self.landing_bytes

    @property
    def no_miss_bytes(self) -> int:
        """Capacity of the nearest memory at which all experts stay."""
        return self.router_bytes + self.work_bytes + self.all_bytes


@dataclass(frozen=True)
class Turn:
    """What a turn of an expert found.

    Attributes:
        hit: the expert was there.
        stays: it is there afterwards.
        victims: experts that gave way to it.
    """

    hit: bool
    stays: bool
    victims: tuple[int, ...]


def room_of(spec: CompositionSpec, times: Times) -> Room:
    """The room of a composition on a machine whose passes have been run.

    Raises:
        Infeasible: E401 where one expert does not fit, or all do not and nothing lies behind.
    """
    of = {model: times.weights_bytes(model) for model in dict.fromkeys(spec.models)}
    sizes = tuple(of[model] for model in spec.models)
    behind = times.behind
    room = Room(
        nearest=times.nearest,
        capacity_bytes=times.capacity_bytes(times.nearest),
        router_bytes=times.weights_bytes(spec.router.model) if spec.router else 0,
        work_bytes=times.work_bytes,
        landing_bytes=max(sizes) if spec.residency.policy in ("pinned", "belady") else 0,
        behind=behind,
        behind_bytes=times.capacity_bytes(behind) if behind else 0,
        expert_bytes=sizes,
    )
    _check(room, spec, times.devices)
    return room


def _check(room: Room, spec: CompositionSpec, devices: int) -> None:
    each = f"each of {devices} devices" if devices > 1 else "the device"
    free = room.experts_bytes + room.landing_bytes
    largest = max(room.expert_bytes)
    if largest > free:
        who = spec.names[room.expert_bytes.index(largest)]
        raise Infeasible(
            f"expert {who} takes {format_bytes(largest)} of {each}, where {room.nearest} has "
            f"{format_bytes(max(0, free))} left of {format_bytes(room.capacity_bytes)}",
            code="E401",
            help=f"the router takes {format_bytes(room.router_bytes)}, passes at work "
            f"{format_bytes(room.work_bytes)}; more devices or smaller weights leave more",
        )
    if room.holds_all:
        return
    if room.behind is None:
        raise Infeasible(
            f"{len(room.expert_bytes)} experts take {format_bytes(room.all_bytes)} of {each}, "
            f"{room.nearest} has {format_bytes(free)} for them, and no memory lies behind it",
            code="E401",
            help=f"add a memory with a dma from it to {room.nearest}, or more devices",
        )
    if room.all_bytes > room.behind_bytes:
        raise Infeasible(
            f"{len(room.expert_bytes)} experts take {format_bytes(room.all_bytes)} of {each}, "
            f"and {room.behind} holds {format_bytes(room.behind_bytes)}",
            code="E401",
            help=f"--set memory.{room.behind}.capacity=..., or more devices",
        )


def turns(visits: Sequence[Visit], room: Room, policy: Policy, start: str) -> tuple[Turn, ...]:
    """What each turn finds, under a policy.

    Where all experts fit, all are there and nobody ever gives way.
    """
    if room.holds_all:
        return tuple(Turn(True, True, ()) for _ in visits)
    steps = [(visit.expert,) for visit in visits]
    sizes = dict(enumerate(room.expert_bytes))
    free = max(0, room.experts_bytes)
    first = () if start == "cold" else None
    found = replay(steps, free, policy, sizes=sizes, start=first)
    return tuple(
        Turn(bool(hits), visit.expert in held, gone)
        for visit, hits, held, gone in zip(
            visits, found.hits, found.held, found.evictions, strict=True
        )
    )
