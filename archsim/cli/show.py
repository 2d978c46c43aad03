"""`archsim show`: a machine, a model, a workload and so on, as archsim understands it."""

from typing import Annotated, Any

import typer

from archsim.cli import _options as o
from archsim.cli import _output as out

EXAMPLES = (
    "archsim show npu",
    "archsim show llama-3-8b --format json",
)
NEEDS_ARGUMENTS = True

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="What `archsim list` names, or a file of it.")
]


def command(
    name: Name,
    *,
    set_: o.Set = None,
    set_file: o.SetFile = None,
    phase: o.PhaseKind = None,
    batch: o.Batch = None,
    context: o.Context = None,
    tokens: o.Tokens = None,
    fmt: o.AnyFormat = "table",
) -> None:
    """Show a machine, model, workload, composition, serving or study file: values, totals, sources.

    `--format yaml` gives a complete file that loads again, and that of a model a phase to edit.
    """
    from archsim.cli import _descriptions, _portray

    asked = {"phase": phase, "batch": batch, "context": context, "tokens": tokens}
    machine, described = _portray.is_machine(name), _descriptions.kind_of(name)
    if machine or described:
        for flag in (flag for flag, value in asked.items() if value is not None):
            what = f"{described} file" if described else "machine"
            raise typer.BadParameter(f"a {what} has no phase", param_hint=f"--{flag}")
    if described:
        found, loadable = _descriptions.shown(described, name, set_ or [])
        _print(fmt, found, loadable, _descriptions.shown_text)
        return
    if machine:
        found, loadable = _portray.machine(name, set_ or [], set_file or [])
        _print(fmt, found, loadable, _portray.machine_text)
        return
    found, loadable, example = _portray.workload(name, set_ or [], set_file or [], asked)
    _print(fmt, found, loadable, _portray.workload_text)
    if example and fmt == "yaml":
        out.note("note: the phase is an example, where none was asked for: edit it")


def _print(fmt: str, found: dict[str, Any], loadable: Any, text: Any) -> None:
    if fmt == "json":
        out.result(out.json_text(found))
    elif fmt == "yaml":
        from archsim.core.yamlio import dump_yaml

        out.result(dump_yaml(loadable))
    elif fmt == "csv":
        scalars = [{"key": k, "value": v} for k, v in found.items() if not isinstance(v, dict)]
        out.result(out.csv_text(scalars))
    else:
        out.result(text(found))
