"""Compositions, served batches, studies, environments as files: which is what, and what of it."""

from collections.abc import Callable
from typing import Any

# by kind: folder of the shipped ones; their schema is `archsim.KIND`, their overrides `KIND.`
FOLDERS = {
    "composition": "workloads/compositions",
    "serving": "workloads/serving",
    "explore": "studies",
    "gym": "environments",  # none is shipped
}


def kind_of(name: str) -> str | None:
    """Which of these a shipped name, or a file, is; None where it is something else."""
    from archsim.cli._portray import is_description

    return next(
        (kind for kind, at in FOLDERS.items() if is_description(name, at, f"archsim.{kind}")), None
    )


def load(kind: str, name: str, set_: list[str]) -> tuple[Any, Any]:
    """A checked description, its own ones of some overrides applied, and its document.

    Raises:
        InputError: with every mistake found, at its place.
    """
    from archsim.serving.batching import load_serving
    from archsim.serving.composition import load_composition

    loaders: dict[str, Callable[..., tuple[Any, Any]]] = {
        "composition": load_composition,
        "serving": load_serving,
        "explore": _study,
        "gym": _environment,
    }
    return loaders[kind](name, tuple(s for s in set_ if s.startswith(f"{kind}.")))


def _study(name: str, set_: tuple[str, ...]) -> tuple[Any, Any]:
    """A study that could run: its settings, limits and metrics' units are looked at too."""
    from archsim.dse.plan import prepare
    from archsim.dse.spec import load_explore

    spec, document = load_explore(name, set_=set_)
    prepare(spec, document, usual="nsga2" if spec.search.evaluations else "grid")
    return spec, document


def _environment(name: str, set_: tuple[str, ...]) -> tuple[Any, Any]:
    """An environment whose study could run; it takes no overrides."""
    from archsim.gym.making import plan_of
    from archsim.gym.spec import load_gym

    spec, document = load_gym(name)
    plan_of(spec, document)
    return spec, document


def shown(kind: str, name: str, set_: list[str]) -> tuple[dict[str, Any], Any]:
    """What `show` says of a description, and data that load again."""
    spec, _ = load(kind, name, set_)
    data = spec.to_data()
    return {
        "kind": kind,
        "name": spec.name,
        "description": spec.description,
        "provenance": data.get("provenance", {}),
        "resolved": data,
    }, data


def shown_text(found: dict[str, Any]) -> str:
    """The description as a tree of values, then where its numbers come from."""
    from archsim.cli._output import table_text
    from archsim.cli._portray import tree_text

    parts = [table_text([[f"{found['name']}: {found['description']}".rstrip(": ")]])]
    parts.append(tree_text(found["resolved"]))
    if found["provenance"]:
        sources = [[path, text] for path, text in found["provenance"].items()]
        parts.append(f"Provenance\n{table_text(sources)}")
    return "\n\n".join(parts)


def check_batch(machine: str, name: str, set_: list[str], set_files: list[str]) -> list[str]:
    """What is odd about a served batch on a machine: rules that cover nothing of its stages.

    Raises:
        Infeasible: E401 where the batch does not fit.
        ArchsimError: where one of its stages cannot run there.
    """
    from archsim import api
    from archsim.serving.serve import began, fitted_batch
    from archsim.serving.stages import Stages, Where
    from archsim.serving.stages_experts import experts_of

    spec, document = load("serving", name, set_)
    own = tuple(s for s in set_ if s.startswith("workload."))
    hardware = api.load_hardware(machine, set_=of_machine(set_), set_files=set_files).to_data()
    where = Where(hardware, own, "analytic")
    spec, _ = fitted_batch(spec, where)
    loop, stages = began(spec)
    runs = Stages(where, spec.workload(), experts_of(spec, document, stages, own))
    kinds = {bool(sums.prompts): loop.stage(sums.number) for sums in reversed(stages)}
    idle = [
        api.place_only(hardware, work, set_=own).unmatched
        for stage in kinds.values() for work in runs.work(stage)
    ]  # fmt: skip
    never = [rule for rule in idle[0] if all(rule in rest for rest in idle)]
    return [f"W204 {rule} never matched an op of {spec.name}" for rule in never]


def of_machine(set_: list[str]) -> list[str]:
    """Those of some overrides that are of a machine."""
    return [s for s in set_ if s.partition(".")[0] not in ("workload", *FOLDERS)]
