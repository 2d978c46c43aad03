"""What a composition's run says: latency, throughput, energy, and what more memory would change.

Everything is derived here from turns and their times; nothing is simulated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from archsim.core.units import PS_PER_S
from archsim.serving.requests import Visit
from archsim.serving.residency import Room, Turn
from archsim.serving.simulate import Span
from archsim.serving.times import Taken

SCHEMA = "archsim.composed/1"
PARTS = ("router", "switching", "prefill", "decode")


@dataclass(frozen=True)
class Served:
    """One run of the second clock.

    Attributes:
        visits, turns, spans: in order, one a turn.
        router: by number of prompts, what it takes to read them.
        prompt, answer: by expert and requests.
        switch: by expert.
        leakage_w: of the machine.
        output_tokens: of each request.
    """

    visits: Sequence[Visit]
    turns: Sequence[Turn]
    spans: Sequence[Span]
    router: Mapping[int, Taken]
    prompt: Mapping[tuple[int, int], Taken]
    answer: Mapping[tuple[int, int], Taken]
    switch: Mapping[int, Taken]
    leakage_w: float
    output_tokens: int

    @property
    def time_ps(self) -> int:
        """When the last answer was there."""
        return self.spans[-1].ended_ps

    @property
    def requests(self) -> int:
        """Requests that were answered."""
        return sum(visit.requests for visit in self.visits)

    @property
    def misses(self) -> int:
        """Turns whose expert was copied first."""
        return sum(not turn.hit for turn in self.turns)

    @property
    def hit_rate(self) -> float:
        """Share of the turns that found their expert."""
        return 1 - self.misses / len(self.turns)

    def parts_ps(self) -> dict[str, int]:
        """Time by what the machine did; `switching` is what was waited for. Adds up to all."""
        return {
            "router": sum(self.spans[i].named_ps - self.spans[i].asked_ps for i in self._firsts()),
            "switching": sum(span.began_ps - span.ready_ps for span in self.spans),
            "prefill": sum(span.first_ps - span.began_ps for span in self.spans),
            "decode": sum(span.ended_ps - span.first_ps for span in self.spans),
        }

    def copying_ps(self) -> int:
        """Time in which copies ran, waited for or not."""
        return sum(span.copy_ps[1] - span.copy_ps[0] for span in self.spans if span.copy_ps)

    def energy_j(self) -> dict[str, float]:
        """Energy by part, and of leakage while the machine was on."""
        keys = [(visit.expert, visit.requests) for visit in self.visits]
        return {
            "router": sum(self.router[n].energy_j for n in self._batches()),
            "switching": sum(
                self.switch[visit.expert].energy_j
                for visit, turn in zip(self.visits, self.turns, strict=True) if not turn.hit
            ),
            "prefill": sum(self.prompt[key].energy_j for key in keys),
            "decode": sum(self.answer[key].energy_j for key in keys),
            "leakage": self.leakage_w * self.time_ps / PS_PER_S,
        }  # fmt: skip

    def latency(self) -> dict[str, dict[str, float]]:
        """Seconds from a batch's arrival to a request's first token and to its last."""
        first, last = [], []
        for visit, span in zip(self.visits, self.spans, strict=True):
            first += [span.first_ps - span.asked_ps] * visit.requests
            last += [span.ended_ps - span.asked_ps] * visit.requests
        return {"ttft_s": _spread(first), "e2el_s": _spread(last)}

    def _firsts(self) -> list[int]:
        """Places of the first turn of each batch."""
        batches = [visit.batch for visit in self.visits]
        return [i for i, batch in enumerate(batches) if i == 0 or batches[i - 1] != batch]

    def _batches(self) -> list[int]:
        """Requests of each batch."""
        found: dict[int, int] = {}
        for visit in self.visits:
            found[visit.batch] = found.get(visit.batch, 0) + visit.requests
        return list(found.values())


def _spread(values: Sequence[int]) -> dict[str, float]:
    """Mean, median and 99th percentile (nearest rank) of picoseconds, in seconds."""
    ordered = sorted(values)

    def rank(share: float) -> float:
        return ordered[max(0, ceil(share * len(ordered)) - 1)] / PS_PER_S

    return {"mean": sum(ordered) / len(ordered) / PS_PER_S, "p50": rank(0.5), "p99": rank(0.99)}


def machines(sizes: Sequence[int], capacity_bytes: int) -> int | None:
    """Machines that hold all experts whole, the largest placed first; None where one fits none."""
    if not sizes or max(sizes) > capacity_bytes:
        return None
    if len(set(sizes)) == 1:
        return -(-len(sizes) // (capacity_bytes // sizes[0]))
    rooms: list[int] = []
    for size in sorted(sizes, reverse=True):
        at = next((i for i, room in enumerate(rooms) if room >= size), None)
        if at is None:
            rooms.append(capacity_bytes - size)
        else:
            rooms[at] -= size
    return len(rooms)


def served_data(served: Served) -> dict[str, Any]:
    """The measured part of a result."""
    seconds = served.time_ps / PS_PER_S
    parts, energy = served.parts_ps(), served.energy_j()
    tokens = served.requests * served.output_tokens
    return {
        "time_s": seconds,
        "turns": len(served.turns),
        "hits": len(served.turns) - served.misses,
        "misses": served.misses,
        "evictions": sum(len(turn.victims) for turn in served.turns),
        "hit_rate": served.hit_rate,
        "shares": {name: ps / served.time_ps for name, ps in parts.items()},
        "parts_s": {name: ps / PS_PER_S for name, ps in parts.items()},
        "copying_s": served.copying_ps() / PS_PER_S,
        "latency": served.latency(),
        "throughput": {
            "request_per_s": served.requests / seconds,
            "output_tok_per_s": tokens / seconds,
        },
        "energy_j": {
            "total": sum(energy.values()),
            "by_part": energy,
            "per_output_tok": sum(energy.values()) / tokens,
        },
    }


def capacity_data(room: Room, devices: int) -> dict[str, Any]:
    """Where experts are, by memory of a device, and the machines that hold all of them."""
    near = room.capacity_bytes - room.router_bytes - room.work_bytes
    return {
        "devices": devices,
        "nearest": room.nearest,
        "nearest_bytes": room.capacity_bytes,
        "router_bytes": room.router_bytes,
        "work_bytes": room.work_bytes,
        "landing_bytes": room.landing_bytes,
        "experts_room_bytes": room.experts_bytes,
        "experts_bytes": room.all_bytes,
        "behind": room.behind,
        "behind_bytes": room.behind_bytes if room.behind else None,
        "machines": {
            "nearest_only": machines(room.expert_bytes, near),
            "with_behind": machines(room.expert_bytes, room.behind_bytes) if room.behind else None,
        },
    }
