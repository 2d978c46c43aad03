"""The flags of a phase, `--phase --batch --context --tokens`, laid over a workload's document.

Mistakes point at the flag and name flags, not keys of a file. Which phases a model has is said by
its architecture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from archsim.core.document import Document, Mark, Marks, Path_, Source, parse_path
from archsim.core.errors import Diagnostic, InputError
from archsim.core.overrides import merge
from archsim.lowering.phase import AnyPhase

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

SIZES = ("batch", "context", "tokens")  # flags that say how much; `phase` says of what
SELDOM = ("mixed", "train")  # phases that are not proposed: whoever means one says so


def with_flags(document: Document, flags: Mapping[str, Any], set_: Sequence[str] = ()) -> Document:
    """A document with the flags of a phase laid over it; mistakes then point at the flag.

    Where no kind of phase is said, a context means decode, and a batch alone one pass.

    Args:
        document: of the workload.
        flags: values of `phase`, `batch`, `context` and `tokens`, those that were given.
        set_: settings that are laid over it later, and may say the rest.

    Raises:
        InputError: E601 for a flag that the phase does not take, E102 for one that it lacks.
    """
    if not flags or not isinstance(document.data, dict):
        return document
    old = document.data.get("phase")
    kind = flags.get("phase")
    if kind is not None and isinstance(old, dict) and old.get("kind") != kind:
        document, old = merge(document, Document.of({"phase": None})), None
    data: dict[str, Any] = {}
    if kind is None and not isinstance(old, dict):
        if "context" in flags:
            data["kind"] = "decode"
        elif "tokens" not in flags:
            data["kind"] = "infer"
    marks: dict[Path_, Marks] = {(): document.mark_of(())}
    for flag, value in flags.items():
        key = "kind" if flag == "phase" else flag
        data[key] = list(value) if isinstance(value, tuple) else value
        marks["phase", key] = marks["phase",] = Marks(*[mark_of(flag, value)] * 2)
    given = {**old, **data} if isinstance(old, dict) else data
    found = list(_unsuitable(given, flags, _set_of_phase(set_)))
    if found:
        raise InputError.of(found)
    return merge(document, Document({"phase": data}, marks, document.text, document.file))


def _unsuitable(
    given: Mapping[str, Any], flags: Mapping[str, Any], later: set[str]
) -> Iterator[Diagnostic]:
    """Flags that the phase does not take, and those that it lacks.

    Args:
        given: the phase as file and flags make it.
        flags: those that were given.
        later: keys of the phase that settings say.
    """
    if "kind" in later:
        return
    if "kind" not in given:
        mark = mark_of("tokens", flags["tokens"])
        help_text = ", or ".join(usage(kind, flags) for kind in ("prefill", "encode"))
        yield mark.diagnostic("E102", "--tokens needs --phase", path="phase", help=help_text)
        return
    kind = given["kind"]
    fields = _fields(kind)
    if fields is None:  # a word that is wrong is found with all others
        return
    takes = [f"--{size}" for size in SIZES if size in fields]
    for flag in SIZES:
        if flag in flags and flag not in fields:
            help_text = f"{kind} takes {' and '.join(takes) or 'its sizes from a file'}"
            mark, message = mark_of(flag, flags[flag]), f"{kind} takes no --{flag}"
            yield mark.diagnostic("E601", message, path=f"phase.{flag}", help=help_text)
        elif "phase" in flags and _lacks(flag, fields, {*given, *later}):
            help_text = f"example `--{flag} {_example(fields[flag])}`"
            mark, message = mark_of("phase", kind), f"{kind} needs --{flag}"
            yield mark.diagnostic("E102", message, path="phase", help=help_text)


def refusals(
    name: str,
    phases: Sequence[str],
    flags: Mapping[str, Any],
    document: Document,
    set_: Sequence[str] = (),
) -> list[Diagnostic]:
    """What a model cannot do of what flags ask; empty where it can, or a file says the phase.

    Args:
        name: of the workload.
        phases: that its model has.
        flags: those that were given.
        document: of the workload, without the flags.
        set_: settings that are laid over it later.
    """
    kind = flags.get("phase")
    if kind is None:
        said = isinstance(document.data, dict) and isinstance(document.data.get("phase"), dict)
        return [] if said or "kind" in _set_of_phase(set_) else _without_kind(name, phases, flags)
    if kind in phases:
        return []
    message = f'phase "{kind}" is not one of {", ".join(phases)}'
    help_text = f"those are what {name}'s model does"
    if tuple(phases) == ("infer",):
        help_text = f"{name} has one phase, which needs no --phase"
    where = mark_of("phase", kind)
    return [where.diagnostic("E108", message, path="phase.kind", help=help_text)]


def _without_kind(name: str, phases: Sequence[str], flags: Mapping[str, Any]) -> list[Diagnostic]:
    """What flags lack that say how much of no phase."""
    by_flag = {kind: _fields(kind) or {} for kind in phases if kind not in SELDOM}
    taken = {flag for fields in by_flag.values() for flag in fields}
    for flag in flags:
        if flag not in taken:
            help_text = ", or ".join(usage(kind, {}) for kind in by_flag)
            if "infer" in by_flag:
                help_text = f"{name} takes --batch, and needs no --phase"
            message = f"no phase of {name} takes --{flag}"
            mark = mark_of(flag, flags[flag])
            return [mark.diagnostic("E601", message, path=f"phase.{flag}", help=help_text)]
    if "infer" in phases or ("context" in flags and "decode" in phases):
        return []
    suits = [usage(kind, flags) for kind, fields in by_flag.items() if set(flags) <= set(fields)]
    return [Diagnostic("E102", f"{name} needs a phase", help=", or ".join(suits))]


def usage(kind: str, flags: Mapping[str, Any]) -> str:
    """How a phase is asked for: what was given of it, and an example of what it needs."""
    words = [f"--phase {kind}"]
    for size, field in (_fields(kind) or {}).items():
        if size in flags or (size in SIZES and field.is_required()):
            words.append(f"--{size} {flags.get(size, _example(field))}")
    return " ".join(words)


def _lacks(flag: str, fields: Mapping[str, FieldInfo], given: set[str]) -> bool:
    return flag in fields and fields[flag].is_required() and flag not in given


def _example(field: FieldInfo) -> Any:
    return field.examples[0] if field.examples else 1


def _fields(kind: Any) -> Mapping[str, FieldInfo] | None:
    """The keys of a phase; None where there is no such phase."""
    for phase in get_args(AnyPhase):
        if get_args(phase.model_fields["kind"].annotation) == (kind,):
            found: Mapping[str, FieldInfo] = phase.model_fields
            return found
    return None


def _set_of_phase(set_: Sequence[str]) -> set[str]:
    """Keys of the phase that settings give a value."""
    paths = (parse_path(s.partition("=")[0].strip().removeprefix("workload.")) for s in set_)
    return {str(path[1]) for path in paths if path[:1] == ("phase",) and len(path) > 1}


def mark_of(flag: str, value: Any) -> Mark:
    """The place of a flag."""
    return Mark(Source(f"--{flag} {value}", is_flag=True), 0, 0, 1)
