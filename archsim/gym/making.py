"""From a description to an environment: `make` for one agent, `make_parallel` for several."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from archsim import api
from archsim.core.document import Document
from archsim.core.errors import InputError, MissingExtra
from archsim.dse.plan import Plan, prepare
from archsim.dse.spec import ExploreSpec, SearchSpec
from archsim.gym.asker import Asker, Known, Recent
from archsim.gym.controller import controller_space, refuse_others
from archsim.gym.judge import Judge, judge
from archsim.gym.spec import OF_DESIGNS, GymSpec, load_gym, study_of

if TYPE_CHECKING:
    import gymnasium

    from archsim.gym.parallel import ParallelDesignEnv
    from archsim.gym.turns import Game

NOT_OF_NAMES = re.compile(r"[^\w.-]")  # what gymnasium refuses in the name of an environment
T = TypeVar("T")
Source = str | Path | Mapping[str, Any] | Document


def make(
    source: Source, *, answers: Known | None = None, recent: Recent | None = None
) -> gymnasium.Env[Any, Any]:
    """A gymnasium environment.

    Args:
        source: a description (`archsim.gym/1`) by its path or as data; or a study
            (`archsim.explore/1`) by its name, its path or as data: the game over its designs.
        answers: what is known by key before anything is run, such as the store of a study; only
            read.
        recent: where the designs that were asked for last are remembered, to be shared with other
            environments. Default: a memory of its own.

    Raises:
        InputError: for what the description or its study cannot be.
        Infeasible: where the design that others are measured against does not fit.
        MissingExtra: when gymnasium is not installed.
    """
    _need("gymnasium")
    from gymnasium.envs.registration import EnvSpec

    spec, document = load_gym(source)
    plan = plan_of(spec, document)
    env = _env(spec, document, plan, Asker(plan, answers, recent or Recent()))
    env.spec = EnvSpec(
        f"archsim/{NOT_OF_NAMES.sub('-', spec.name)}-v0",
        entry_point=f"{__name__}:make",
        kwargs={"source": source, "answers": answers},
    )
    return env


def _env(spec: GymSpec, document: Document, plan: Plan, asker: Asker) -> gymnasium.Env[Any, Any]:
    judged = partial(_located, document, None, partial(judge, spec, plan, asker))
    if spec.kind in OF_DESIGNS:
        from archsim.gym.design import STEPS, DesignEnv

        return DesignEnv(asker, judged(), spec.steps or STEPS)
    from archsim.gym.turns import TurnsEnv

    return TurnsEnv(asker, _game(spec, plan, asker, judged), spec.penalty)


def _game(spec: GymSpec, plan: Plan, asker: Asker, judged: Callable[[], Judge]) -> Game:
    """What is decided turn by turn in an environment of one workload."""
    base = plan.bases.get({})
    if len(base.workloads) != 1:
        place = plan.document.diagnostic(
            ("workloads",), "E202",
            f"kind {spec.kind} plays one workload, and the study has {len(base.workloads)}",
        )  # fmt: skip
        raise InputError.of([place])
    described = api.place_only(base.hardware, base.workloads[0])
    if spec.kind == "placement":
        from archsim.gym.placement import TIME, PlacementGame
        from archsim.gym.tensors import board

        return PlacementGame(board(described), asker.described(spec.against)[TIME], spec.penalty)
    from archsim.gym.mapping import mapping_game

    return mapping_game(base, described, judged())


def make_parallel(
    source: Source, *, answers: Known | None = None, recent: Recent | None = None
) -> ParallelDesignEnv:
    """A PettingZoo environment, in which agents own disjoint parts of a design.

    Args:
        source: as for `make`; of a kind whose steps are designs.
        answers: as for `make`.
        recent: as for `make`.

    Raises:
        InputError: as `make`; E202 for another kind, or where a dimension has no agent or two.
        MissingExtra: when pettingzoo is not installed.
    """
    _need("pettingzoo")
    from archsim.gym.design import DesignEnv
    from archsim.gym.parallel import ParallelDesignEnv, owners

    spec, document = load_gym(source)
    if spec.kind not in OF_DESIGNS:
        message = f"kind {spec.kind} is played by one agent"
        raise document.error(("kind",), "E202", message, help=f"one of: {', '.join(OF_DESIGNS)}")
    plan = plan_of(spec, document)
    owned = _located(document, "agents", lambda: owners(plan.space.dimensions, spec.agents))
    env = _env(spec, document, plan, Asker(plan, answers, recent or Recent()))
    assert isinstance(env, DesignEnv)
    return ParallelDesignEnv(env, owned)


def plan_of(spec: GymSpec, document: Document) -> Plan:
    """The study of an environment, ready to be asked; the agent takes the place of its sampler.

    Raises:
        InputError: for what the study, or its space, cannot be in an environment of that kind.
    """
    study, where = study_of(spec, document)
    plan = prepare(_unsampled(study), where)
    if spec.kind == "controller":
        if plan.space.dimensions:
            _located(where, "space", lambda: refuse_others(plan.space))
            return plan
        hardware = plan.bases.get({}).hardware
        space = _located(document, "memory", lambda: controller_space(hardware, spec.memory))
        return prepare(_unsampled(study.model_copy(update={"space": space})), where)
    if spec.kind == "hardware" and not plan.space.dimensions:
        message = "the space is empty: there is nothing to choose"
        help = "example `space: {memory.hbm.bandwidth: [1 TB/s, 2 TB/s]}`"
        raise where.error(("space",), "E102", message, help=help)
    if spec.kind not in OF_DESIGNS and plan.space.dimensions:
        message = f"kind {spec.kind} makes the designs itself"
        raise where.error(("space",), "E202", message, help="leave the space out", on="key")
    return plan


def _unsampled(study: ExploreSpec) -> ExploreSpec:
    """A study whose sampler is not asked: one that takes any space, or none."""
    search = SearchSpec(sampler="random", evaluations=1) if study.space else SearchSpec()
    points: tuple[dict[str, Any], ...] = () if study.space else ({},)
    return study.model_copy(update={"search": search, "screen": None, "points": points})


def _located(document: Document, key: str | None, attempt: Callable[[], T]) -> T:
    """What an attempt gives; its mistakes are placed at a key, or where they say themselves."""
    try:
        return attempt()
    except InputError as error:
        key = key or error.details.get("path")
        if key is None:
            raise
        raise document.error((key,), error.code, error.message, help=error.help) from None


def _need(library: str) -> None:
    """Refuse to go on without a library of the extra."""
    if find_spec(library) is None:
        raise MissingExtra(f"environments are of {library}", extra="gym")
