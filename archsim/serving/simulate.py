"""The second clock: batches of requests, one after the other, over passes whose times are known.

A batch is there when the one before it has been answered. The router reads all its prompts, then
experts take their turns in order, one at a time; an expert that is away is copied first. Copies
follow each other in the order of turns, and one begins when the router has named its expert, when
its turn is near enough, and when those that give way to it have had their last turn. Copies and
passes do not slow each other down: what a copy takes of the nearest memory's bandwidth is left
out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from archsim.serving.requests import Visit
from archsim.serving.residency import Turn


@dataclass(frozen=True)
class Passes:
    """Picoseconds of what a clock puts in order.

    Attributes:
        router_ps: by number of prompts that are read at once.
        prompt_ps, answer_ps: by expert and requests.
        switch_ps: by expert.
    """

    router_ps: Mapping[int, int]
    prompt_ps: Mapping[tuple[int, int], int]
    answer_ps: Mapping[tuple[int, int], int]
    switch_ps: Mapping[int, int]


@dataclass(frozen=True)
class Span:
    """When a turn happened, in picoseconds from the start.

    Attributes:
        asked_ps: its batch was there.
        named_ps: the router had read the batch.
        ready_ps: the turn before it, or the router, had ended.
        copy_ps: begin and end of the copy of its expert; None where it was there.
        began_ps: its prompt began.
        first_ps: its first tokens were there.
        ended_ps: its answers were.
    """

    asked_ps: int
    named_ps: int
    ready_ps: int
    copy_ps: tuple[int, int] | None
    began_ps: int
    first_ps: int
    ended_ps: int


def clocked(
    visits: Sequence[Visit], turns: Sequence[Turn], passes: Passes, prefetch: int = 0
) -> tuple[Span, ...]:
    """The time of every turn.

    Args:
        visits: turns in order, batch by batch.
        turns: what each of them finds.
        passes: what things take.
        prefetch: turns that a copy may begin ahead of its own.
    """
    spans: list[Span] = []
    last: dict[int, int] = {}  # end of the last turn of each expert
    now = copier = landing = 0
    for _, batch in groupby(zip(visits, turns, strict=True), lambda one: one[0].batch):
        rows = list(batch)
        asked = now
        now += passes.router_ps[sum(visit.requests for visit, _ in rows)]
        named = now
        for visit, turn in rows:
            ready, copy = now, None
            if not turn.hit:
                near = ready if not prefetch else _began(spans, prefetch)
                free = max([0, *(last.get(victim, 0) for victim in turn.victims)])
                begin = max(named, near, copier, free, 0 if turn.stays else landing)
                copier = begin + passes.switch_ps[visit.expert]
                copy = begin, copier
            began = max(ready, copier) if copy else ready
            key = visit.expert, visit.requests
            first = began + passes.prompt_ps[key]
            now = first + passes.answer_ps[key]
            last[visit.expert] = now
            if not turn.stays:
                landing = now
            spans.append(Span(asked, named, ready, copy, began, first, now))
    return tuple(spans)


def _began(spans: Sequence[Span], ahead: int) -> int:
    """When the turn so many places before the next one began; 0 where there was none."""
    return spans[-ahead].began_ps if len(spans) >= ahead else 0
