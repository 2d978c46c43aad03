"""What `check` does: read every file, then try each workload on each machine, short of time."""

from typing import Any

from archsim.core.errors import InputError


def files(names: list[str], set_: list[str], set_files: list[str]) -> dict[str, Any]:
    """What the files are, and warnings about how they fit together.

    Returns:
        `files`: file, kind and name of each; `warnings`: texts.

    Raises:
        InputError: with the mistakes of all files together.
        ArchsimError: when a workload cannot run on a machine at all.
    """
    found: dict[str, tuple[str, Any]] = {}
    wrong: list[InputError] = []
    for name in names:
        try:
            found[name] = _read(name, set_, set_files)
        except InputError as error:
            wrong.append(error)
    if wrong:
        raise _together(wrong)
    machines = [name for name, (kind, _) in found.items() if kind == "hardware"]
    workloads = [name for name in found if name not in machines]
    warnings: list[str] = []
    for machine in machines:
        for workload in workloads:
            warnings += _pair(machine, workload, set_, set_files)
    listed = [
        {"file": name, "kind": kind, "name": spec.name} for name, (kind, spec) in found.items()
    ]
    return {"files": listed, "warnings": list(dict.fromkeys(warnings))}


def _read(name: str, set_: list[str], set_files: list[str]) -> tuple[str, Any]:
    """Kind and spec of one file, read alone."""
    from archsim import api
    from archsim.cli._portray import is_machine

    if is_machine(name):
        return "hardware", api.load_hardware(name, set_=set_, set_files=set_files)
    from archsim.lowering.lower import lower
    from archsim.lowering.spec import load_workload

    own = [s.removeprefix("workload.") for s in set_ if s.startswith("workload.")]
    spec, _ = load_workload(name, set_=own)
    lower(spec)
    return "workload", spec


def _pair(machine: str, workload: str, set_: list[str], set_files: list[str]) -> list[str]:
    """Warnings about a workload on a machine, everything but time tried."""
    from archsim import api

    plan = api.place_only(machine, workload, set_=set_, set_files=set_files)
    unmatched = [f"W204 {rule} never matched an op of {plan.graph.name}" for rule in plan.unmatched]
    return unmatched + [f"{code} {text}" for code, text in plan.graph.facts.get("warnings", ())]


def _together(wrong: list[InputError]) -> InputError:
    """One error with the mistakes of several files; a single one stays as it is."""
    if len(wrong) == 1:
        return wrong[0]
    return InputError.of([d for error in wrong for d in error.diagnostics])
