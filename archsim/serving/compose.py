"""The straight line of a composition: description, passes, residency, second clock, answer.

`compose` is what `archsim compose` calls. Passes are run once; a sweep over the capacity of the
nearest memory only turns the second clock again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archsim.core.units import PS_PER_S
from archsim.serving.composition import CompositionSpec, load_composition
from archsim.serving.requests import Visit, chosen, visits
from archsim.serving.residency import Room, room_of, turns
from archsim.serving.result import SCHEMA, Served, capacity_data, served_data
from archsim.serving.simulate import Passes, clocked
from archsim.serving.times import NOTHING, Taken, Times

OWN = "composition."
POINTS = 8  # capacities of a sweep, from the machine's own to that without misses
NOT_MODELLED = (
    "requests that arrive while others are answered",
    "slowing of passes by copies that run beside them, and of copies by passes",
    "writing back: weights are only read",
)


@dataclass(frozen=True)
class Composed:
    """A composition on a machine.

    Attributes:
        spec: the composition.
        served: what happened.
        data: the answer, as JSON holds it.
    """

    spec: CompositionSpec
    served: Served
    data: dict[str, Any]


def compose(
    hardware: str | Path | dict[str, Any],
    composition: str | Path | dict[str, Any],
    *,
    set_: Sequence[str] = (),
    fidelity: str = "tile",
    sweep: bool = True,
) -> Composed:
    """Serve a composition's requests on a machine.

    Args:
        hardware: a shipped name, a path, or the description as data.
        composition: likewise.
        set_: overrides of the machine; of every model where they begin with `workload.`, of the
            composition where they begin with `composition.`.
        fidelity: of the passes: analytic | tile | cycle.
        sweep: try larger nearest memories too.

    Raises:
        InputError: for a description with mistakes, or a trace that names nobody.
        Infeasible: E401 where an expert does not fit the nearest memory, or all do not and no
            memory that holds them lies behind.
    """
    own = tuple(s for s in set_ if s.startswith(OWN))
    spec, document = load_composition(composition, own)
    choices = chosen(spec, document)
    order = visits(choices, spec.requests.batch, spec.requests.order)
    rest = tuple(s for s in set_ if not s.startswith(OWN))
    times = Times(hardware, spec.parallel, rest, fidelity)
    served = _passes(spec, times, order)
    room = room_of(spec, times)
    if not room.holds_all:
        served = replace(served, switch=_switches(spec, times, order))
    served = _served(served, spec, room)
    data = {
        "schema": SCHEMA,
        "inputs": {
            "hardware": times.machine.spec.name,
            "composition": spec.name,
            "experts": len(spec.names),
            "fidelity": fidelity,
            "seed": spec.requests.seed,
        },
        "models": _models(spec, times, room),
        **served_data(served),
        "capacity": capacity_data(room, times.devices),
        "more_memory": _more(served, spec, room) if sweep and not room.holds_all else [],
        "no_miss": _no_miss(served, spec, room),
        "passes": times.runs,
        "not_modelled": list(NOT_MODELLED),
    }
    return Composed(spec, served, data)


def _passes(spec: CompositionSpec, times: Times, order: Sequence[Visit]) -> Served:
    """All passes of some turns but copies; nothing has happened yet."""
    asked = spec.requests
    batches: dict[int, int] = {}
    for visit in order:
        batches[visit.batch] = batches.get(visit.batch, 0) + visit.requests
    router = {
        n: times.prompt(spec.router.model, n, asked.prompt_tokens) if spec.router else NOTHING
        for n in sorted({*batches.values()})
    }
    prompt: dict[tuple[int, int], Taken] = {}
    answer: dict[tuple[int, int], Taken] = {}
    models = spec.models
    for key in sorted({(visit.expert, visit.requests) for visit in order}):
        model, n = models[key[0]], key[1]
        prompt[key] = times.prompt(model, n, asked.prompt_tokens)
        answer[key] = times.answer(model, n, asked.prompt_tokens, asked.output_tokens)
    return Served(
        order, (), (), router, prompt, answer, {}, times.leakage_w, asked.output_tokens
    )  # fmt: skip


def _switches(spec: CompositionSpec, times: Times, order: Sequence[Visit]) -> dict[int, Taken]:
    models = spec.models
    return {expert: times.switch(models[expert]) for expert in {v.expert for v in order}}


def _served(served: Served, spec: CompositionSpec, room: Room) -> Served:
    """The same passes, put in order on a machine with such a room."""
    rule = spec.residency
    found = turns(served.visits, room, rule.policy, rule.start)
    passes = Passes(
        {n: taken.ps for n, taken in served.router.items()},
        {key: taken.ps for key, taken in served.prompt.items()},
        {key: taken.ps for key, taken in served.answer.items()},
        {expert: taken.ps for expert, taken in served.switch.items()},
    )
    spans = clocked(served.visits, found, passes, rule.prefetch)
    return replace(served, turns=found, spans=spans)


def _models(spec: CompositionSpec, times: Times, room: Room) -> list[dict[str, Any]]:
    """What one request alone sees of each model."""
    asked, found = spec.requests, []
    for model in dict.fromkeys(spec.models):
        router = times.prompt(spec.router.model, 1, asked.prompt_tokens) if spec.router else NOTHING
        prompt = times.prompt(model, 1, asked.prompt_tokens)
        answer = times.answer(model, 1, asked.prompt_tokens, asked.output_tokens)
        switch = times.switch(model) if room.behind else None
        here = router.ps + prompt.ps
        found.append({
            "model": model,
            "weights_bytes": times.weights_bytes(model),
            "switch_s": switch.ps / PS_PER_S if switch else None,
            "switch_energy_j": switch.energy_j if switch else None,
            "router_s": router.ps / PS_PER_S,
            "prefill_s": prompt.ps / PS_PER_S,
            "decode_s": answer.ps / PS_PER_S,
            "ttft_s": here / PS_PER_S,
            "ttft_after_switch_s": (here + switch.ps) / PS_PER_S if switch else None,
            "breakdown": times.breakdown(model, asked.prompt_tokens),
        })  # fmt: skip
    return found


def _more(served: Served, spec: CompositionSpec, room: Room) -> list[dict[str, Any]]:
    """Hit rate and speed with larger nearest memories, up to that without misses."""
    begin, end = room.capacity_bytes, room.no_miss_bytes
    found = []
    for i in range(POINTS + 1):
        capacity = begin + (end - begin) * i // POINTS
        again = _served(served, spec, replace(room, capacity_bytes=capacity))
        speedup = served.time_ps / again.time_ps
        more = (capacity - begin) / 2**30
        found.append({
            "capacity_bytes": capacity,
            "hit_rate": again.hit_rate,
            "request_per_s": again.requests * PS_PER_S / again.time_ps,
            "speedup": speedup,
            "speedup_per_gib": (speedup - 1) / more if more else None,
        })  # fmt: skip
    return found


def _no_miss(served: Served, spec: CompositionSpec, room: Room) -> dict[str, Any]:
    """The nearest memory at which misses vanish, and what that would be worth."""
    capacity = max(room.no_miss_bytes, room.capacity_bytes)
    again = _served(served, spec, replace(room, capacity_bytes=capacity))
    return {
        "capacity_bytes": room.no_miss_bytes,
        "times_nearest": room.no_miss_bytes / room.capacity_bytes,
        "speedup": served.time_ps / again.time_ps,
    }
