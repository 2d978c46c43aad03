"""What `check` does: read every file, then try each workload on each machine, short of time."""

from typing import Any

from archsim.cli import _descriptions
from archsim.core.errors import Diagnostic, InputError


def files(
    names: list[str], set_: list[str], set_files: list[str], asked: dict[str, Any]
) -> dict[str, Any]:
    """What the files are, and warnings about how they fit together.

    Args:
        names: of machines and workloads, or their files.
        set_: overrides of the machines, or of the workloads where they begin with `workload.`, and
            of compositions and served batches likewise.
        set_files: files of overrides of the machines.
        asked: phase, batch, context and tokens of the workloads; None where not given.

    Returns:
        `files`: file, kind and name of each; `warnings`: texts.

    Raises:
        InputError: with the mistakes of all files together.
        ArchsimError: when a workload cannot run on a machine at all.
    """
    found: dict[str, tuple[str, str]] = {}
    warnings: list[str] = []
    wrong: list[InputError] = []
    for name in names:
        try:
            kind, own, said = _read(name, set_, set_files, asked)
        except InputError as error:
            wrong.append(error)
        else:
            found[name] = kind, own
            warnings += said
    if wrong:
        raise _together(wrong)
    of = {kind: [n for n, (k, _) in found.items() if k == kind] for kind, _ in found.values()}
    _refuse_idle(set_, set_files, set(of))
    for machine in of.get("hardware", ()):
        for workload in (*of.get("workload", ()), *of.get("model", ())):
            warnings += _unmatched(machine, workload, set_, set_files, asked)
        for served in of.get("serving", ()):
            warnings += _descriptions.check_batch(machine, served, set_, set_files)
    listed = [{"file": name, "kind": kind, "name": own} for name, (kind, own) in found.items()]
    return {"files": listed, "warnings": list(dict.fromkeys(warnings))}


def _read(
    name: str, set_: list[str], set_files: list[str], asked: dict[str, Any]
) -> tuple[str, str, list[str]]:
    """Kind and name of one file, read alone, and warnings about it."""
    from archsim import api
    from archsim.cli._portray import is_machine

    if is_machine(name):
        own = _descriptions.of_machine(set_)
        return "hardware", api.load_hardware(name, set_=own, set_files=set_files).name, []
    if described := _descriptions.kind_of(name):
        return described, _descriptions.load(described, name, set_)[0].name, []
    from archsim.lowering.lower import lower
    from archsim.lowering.spec import architecture_of, load_workload

    own = [s for s in set_ if s.startswith("workload.")]
    spec, _ = load_workload(name, set_=own, **asked)
    kind = "workload" if spec.phase else "model"
    if spec.phase is None:  # any phase shows whether its numbers fit together
        spec = spec.model_copy(update={"phase": architecture_of(spec).default_phase()})
    said = lower(spec).facts.get("warnings", ())
    return kind, spec.name, [f"{code} {text}" for code, text in said]


def _refuse_idle(set_: list[str], set_files: list[str], kinds: set[str]) -> None:
    """Refuse overrides that reach none of the files.

    Args:
        set_: overrides.
        set_files: files of overrides, of machines.
        kinds: of the files.

    Raises:
        InputError: E601 at each of them.
    """
    found = []
    for setting in set_:
        root = setting.partition(".")[0]
        own = root in _REACHED
        if not kinds.intersection(_REACHED.get(root, ("hardware",))):
            what = f"no {root}" if own else "no machine"
            help_text = None if own else f"of a workload it is `--set workload.{setting}`"
            flag, message = f"--set {setting}", f"{what} among the files that it could change"
            found.append(Diagnostic("E601", message, flag, help=help_text))
    if "hardware" not in kinds:
        message = "no machine among the files that it could change"
        found += [Diagnostic("E601", message, f"--set-file {file}") for file in set_files]
    if found:
        raise InputError.of(found)


# by the first word of an override: kinds of files that it reaches
_REACHED = {
    "workload": ("workload", "model", "serving"),
    "serving": ("serving",),
    "composition": ("composition",),
    "explore": ("explore",),
}


def _unmatched(
    machine: str, workload: str, set_: list[str], set_files: list[str], asked: dict[str, Any]
) -> list[str]:
    """Rules of a machine that cover nothing of a workload, everything but time tried."""
    from archsim import api
    from archsim.system.split_batch import whole_because

    own = [s for s in set_ if s.startswith("workload.")]
    sets = [*_descriptions.of_machine(set_), *own]
    plan = api.place_only(machine, workload, set_=sets, set_files=set_files, **asked)
    found = [f"W204 {rule} never matched an op of {plan.graph.name}" for rule in plan.unmatched]
    if plan.machine.spec.interleave is not None and len(plan.graph.networks) == 1:
        found.append(f"W101 interleave has no effect: {whole_because(plan)}")
    return found


def _together(wrong: list[InputError]) -> InputError:
    """One error with the mistakes of several files; a single one stays as it is."""
    if len(wrong) == 1:
        return wrong[0]
    return InputError.of([d for error in wrong for d in error.diagnostics])
