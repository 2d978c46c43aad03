"""The mapper: finds the mapping of a MAC stage by search, where a mapping rule asks for one.

Here lives what a search needs of the machine: the rule's options, the target with its meter, the
lower bound that an answer is measured against, and the cache of answers. Candidates and their costs
are in `dataflows._auto`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from archsim.dataflows._auto import BUDGET, Cost, Found, Search
from archsim.dataflows.base import Dataflow, dataflows
from archsim.ir.mapping import Buffer, Mapping
from archsim.ir.meter import Meter
from archsim.ir.problem import Problem
from archsim.ir.target import Target
from archsim.system import mapper_cache
from archsim.system.mapper_bound import bounds
from archsim.system.mapper_meter import meter_of
from archsim.system.mapper_record import Searched
from archsim.system.mapper_rule import AUTO
from archsim.system.parameters import is_parameter
from archsim.system.place import Stage
from archsim.system.room import Room
from archsim.system.rules import rule_option

SEARCHED = ("energy", "edp", "traffic")  # objectives that only a search minimises


@dataclass(frozen=True, slots=True)
class Options:
    """What mapping rules say of a stage's search.

    Attributes:
        flows: names of the templates; empty: all that suit the engine.
        objective: latency | energy | edp | traffic | compute.
        budget: candidates.
        seed: of its random draws.
        cache: answers may come from earlier runs, and are kept for later ones.
    """

    flows: tuple[str, ...]
    objective: str
    budget: int
    seed: int
    cache: bool


def options(stage: Stage, room: Room) -> Options | None:
    """The search that rules ask for; None where the templates' own choice is wanted."""

    def option(name: str) -> str | None:
        return rule_option(room.machine, stage.path, stage.ops[0], name, room.used)

    flow, objective = option("dataflow"), option("objective")
    budget, seed, kept = option("budget"), option("seed"), option("cache")
    if flow != AUTO and objective not in SEARCHED and budget is None and seed is None:
        return None
    return Options(
        flows=() if flow in (None, AUTO) else (str(flow),),
        objective=objective or "latency",
        budget=int(budget or BUDGET),
        seed=int(seed or 0),
        cache=kept != "False",
    )


def search(
    stage: Stage, view: Problem, target: Target, room: Room, wanted: Options
) -> tuple[Mapping, Searched | None]:
    """The best mapping of a stage, and what the search for it was like.

    Raises:
        Unmappable: E401 where there is none, E402 where none was found within the budget.
    """
    meter = meter_of(stage, view, room.graph, room.machine, room.resident)
    target = replace(target, objective=wanted.objective, meter=meter)
    flows = _flows(wanted)
    if not flows:  # a template that cuts tiles its own way, and has nothing to search
        return dataflows.get(wanted.flows[0])().map(view, target), None
    key = mapper_cache.key_of(_content(stage, view, target, room, wanted, flows))
    found = room.searched.get(key)
    if found is None and wanted.cache and (stored := mapper_cache.load(key)):
        found = _restored(stored, view, target)
    if found is None:
        found = Search(flows, view, target, budget=wanted.budget, seed=wanted.seed).run()
        if wanted.cache:
            mapper_cache.save(key, _stored(found))
    room.searched[key] = found
    return replace(found.mapping, problem=view), _searched(found, stage, view, meter, room)


def _flows(wanted: Options) -> list[Dataflow]:
    """Templates that the search may use: those that cut one product and let it choose tiles."""
    classes = [dataflows.get(f) for f in wanted.flows] or list(dataflows.classes())
    return [c() for c in classes if c.stages == "product" and c.search is Dataflow.search]


def _searched(found: Found, stage: Stage, view: Problem, meter: Meter, room: Room) -> Searched:
    least, cost = bounds(stage, view, meter, room), found.cost
    return Searched(
        found.objective, found.value, least[found.objective], found.tried, found.space,
        found.proved, cost.time_s, cost.traffic_bytes, cost.energy_pj, cost.analytic_s,
        cost.dynamic_pj,
    )  # fmt: skip


def searched_nest(
    stage: Stage, view: Problem, room: Room, objective: str, key: Sequence[float], tried: int
) -> Searched:
    """The search for a nest on a spatial array, where all that templates propose is tried.

    Nests that no template proposes are not, so nothing is proved.

    Args:
        stage: on that array.
        view: its product.
        room: the machine.
        objective: that the nest was chosen by.
        key: its value, seconds, and bytes behind the chip.
        tried: candidates of all templates.
    """
    meter = meter_of(stage, view, room.graph, room.machine, room.resident)
    least = bounds(stage, view, meter, room)[objective]
    value, time_s, moved = key
    return Searched(objective, value, least, tried, tried, False, time_s, round(moved))


def _content(
    stage: Stage,
    view: Problem,
    target: Target,
    room: Room,
    wanted: Options,
    flows: Sequence[Dataflow],
) -> tuple[object, ...]:
    """Everything that the answer depends on, as values that print themselves."""
    op, graph = view.op, room.graph
    assert isinstance(target.meter, Meter)
    return (
        _machine(room),
        stage.engine.name,
        stage.engine.kind,
        stage.vector.name if stage.vector else None,
        stage.launch_ps,
        (op.kind, op.window, sorted(op.ranks.items()), view.cases),
        (sorted(view.bits.items()), view.weight, view.extra_bytes),
        [a.tensor in room.resident for a in (*op.reads[:2], op.writes[0])],
        [_tail_content(o, stage, room) for o in stage.ops[1:]],
        target.buffer_bytes,
        graph.tensors[op.reads[0].tensor].dtype.name,
        (wanted.objective, wanted.budget, wanted.seed, [f.kind for f in flows]),
    )


def _tail_content(op: Any, stage: Stage, room: Room) -> tuple[object, ...]:
    inner = {a.tensor for o in stage.ops for a in o.writes}
    graph = room.graph
    accesses = [
        (graph.touched_bytes(a), a.tensor in inner, a.tensor in room.resident,
         is_parameter(op, graph, a))
        for a in (*op.reads, *op.writes)
    ]  # fmt: skip
    work = sorted(op.primitives.items()), sorted(op.row_primitives.items())
    return op.points(), op.rows(), op.reduces, accesses, work


def _machine(room: Room) -> str:
    """The description without what no mapping depends on."""
    data = room.machine.spec.to_data()
    hidden = ("name", "description", "provenance", "mapping", "dispatch", "placement", "budgets")
    return repr(sorted((k, v) for k, v in data.items() if k not in hidden))


def _stored(found: Found) -> dict[str, Any]:
    m, c = found.mapping, found.cost
    return {
        "dataflow": m.dataflow,
        "order": list(m.order),
        "tile": dict(m.tile),
        "keep": sorted(m.keep),
        "buffers": {name: [b.tile_bytes, b.slots] for name, b in m.buffers.items()},
        "cost": {name: getattr(c, name) for name in Cost.__slots__},
        "objective": found.objective,
        "value": found.value,
        "tried": found.tried,
        "space": found.space,
        "proved": found.proved,
    }


def _restored(data: dict[str, Any], view: Problem, target: Target) -> Found:
    flow = dataflows.get(data["dataflow"])()
    tile = {rank: int(n) for rank, n in data["tile"].items()}
    mapping = Mapping(
        problem=view,
        engine=target.engine,
        dataflow=flow.kind,
        stationary=flow.stationary,
        order=tuple(data["order"]),
        tile=tile,
        keep=frozenset(data["keep"]),
        buffers={name: Buffer(*b) for name, b in data["buffers"].items()},
        spatial=flow.spatial(tile, target),
    )
    mapping.check(target)
    names = ("objective", "value", "tried", "space", "proved")
    return Found(mapping, Cost(**data["cost"]), **{name: data[name] for name in names})
