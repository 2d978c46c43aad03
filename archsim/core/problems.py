"""From what pydantic refuses to what a person reads: code, place, message, help.

One function a kind of mistake. Which mistakes there are is decided by the specs; this module only
words them and finds their place.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from archsim.core.document import Document, Path_, dotted, place_in
from archsim.core.errors import Diagnostic, nearest
from archsim.core.overrides import unknown_setting
from archsim.core.spec import show_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic_core import ErrorDetails

    from archsim.core.shape import Shape

_LISTED = 12  # words that a message enumerates before it says "..."

_EXPECTED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "dict": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
    "name_or_mapping": "a name or a mapping",  # of a union that looks at the value first
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
}
_LIMITS = {
    "gt": "greater than {}",
    "ge": "{} or more",
    "lt": "less than {}",
    "le": "{} or less",
    "multiple_of": "a multiple of {}",
}
_OTHER_WORDS = {"tokens": "count"}  # what a key is called elsewhere, though it looks unlike


class Problem(NamedTuple):
    """One refusal of pydantic's, with the place in the data that it is about."""

    error: ErrorDetails
    path: Path_
    data: Any


def diagnose(errors: Sequence[ErrorDetails], document: Document, shape: Shape) -> list[Diagnostic]:
    """Every refusal as a diagnostic, without the noise of alternatives that were tried in turn."""
    problems = [Problem(e, _locate(e, document.data), document.data) for e in errors]
    deeper = {p.path[:n] for p in problems for n in range(len(p.path))}
    found: dict[tuple[str, Path_, str], Diagnostic] = {}
    wrong_types: dict[Path_, list[Problem]] = {}
    for problem in problems:
        if _is_type(problem) is None:
            diagnostic = _word(problem, document, shape)
            found.setdefault((diagnostic.code, problem.path, diagnostic.message), diagnostic)
        elif problem.path not in deeper:
            wrong_types.setdefault(problem.path, []).append(problem)
    spoken = {path for _, path, _ in found}
    for path, several in wrong_types.items():
        if path not in spoken:
            found["E105", path, ""] = _wrong_type(several, document, shape)
    mistyped = {_meant(p, shape) for p in problems if p.error["type"] == "extra_forbidden"}
    missed = {key for key in found if key[0] == "E102" and key[1] in mistyped}
    other_kind = [
        d for (code, *_), d in found.items() if code == "E204" and " is not " in d.message
    ]
    if other_kind:  # what else is wrong with it says nothing
        return other_kind
    return [diagnostic for key, diagnostic in found.items() if key not in missed]


def _meant(problem: Problem, shape: Shape) -> Path_ | None:
    """The path that an unknown key was probably meant to be."""
    *above, key = problem.path
    known = shape.keys(tuple(above), problem.data)
    other = _OTHER_WORDS.get(str(key))
    close = other if other in known else nearest(str(key), known)
    return (*above, close) if close else None


def _locate(error: ErrorDetails, data: Any) -> Path_:
    """The data path of an error; drops the names of alternatives that pydantic puts in between."""
    path: list[str | int] = []
    location = error["loc"]
    for index, part in enumerate(location):
        if isinstance(data, dict) and isinstance(part, str):
            last = index == len(location) - 1
            is_tag = data.get("kind") == part and not last
            if part in data and not is_tag:
                path.append(part)
                data = data[part]
            elif last and error["type"] == "missing":
                path.append(part)
        elif isinstance(data, list | tuple) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
    return tuple(path)


def _word(problem: Problem, document: Document, shape: Shape) -> Diagnostic:
    """The diagnostic for one refusal that is not a plain wrong type."""
    kind = problem.error["type"]
    worder = _WORDERS.get(kind)
    if worder:
        return worder(problem, document, shape)
    context = problem.error.get("ctx", {})
    for limit, words in _LIMITS.items():
        if limit in context:
            got = show_value(problem.error["input"])
            message = f"{_name(problem)} must be {words.format(context[limit])}, got {got}"
            return document.diagnostic(problem.path, "E107", message)
    reason = problem.error["msg"]
    return document.diagnostic(problem.path, "E107", f"{_name(problem)}: {_lower(reason)}")


def _unknown_key(problem: Problem, document: Document, shape: Shape) -> Diagnostic:
    *above, key = problem.path
    parent = tuple(above)
    known = shape.keys(parent, problem.data)
    meant = _meant(problem, shape)
    mark = document.mark(problem.path, "key")
    if mark.source.is_flag:
        return unknown_setting(problem.path, document, shape)
    listing = _listing(shape)
    if meant:
        help_text = f'did you mean "{meant[-1]}"?{listing}'
    else:
        help_text = f"known keys: {_enumerate(sorted(known))}{listing}"
    message = f'unknown key "{key}" {place_in(parent)}'
    return document.diagnostic(problem.path, "E101", message, help=help_text, on="key")


def _missing_key(problem: Problem, document: Document, shape: Shape) -> Diagnostic:
    *above, key = problem.path
    return _needs(tuple(above), str(key), document, shape)


def _missing_tag(problem: Problem, document: Document, shape: Shape) -> Diagnostic:
    key = str(problem.error.get("ctx", {}).get("discriminator", "kind")).strip("'")
    return _needs(problem.path, key, document, shape)


def _needs(parent: Path_, key: str, document: Document, shape: Shape) -> Diagnostic:
    """E102 at the mapping that lacks a key."""
    examples = shape.examples((*parent, key), document.data)
    help_text = (
        f"example `{key}: {_plain(examples[0])}`" if examples else _listing(shape).strip(" ()")
    )
    message = f'{dotted(parent) or "the file"} needs "{key}"'
    return document.diagnostic(parent, "E102", message, help=help_text or None, on="key")


def _wrong_word(problem: Problem, document: Document, shape: Shape) -> Diagnostic:
    """E108, or E204 where the word is the file's version."""
    if "[key]" in problem.error["loc"]:
        return _unknown_key(problem, document, shape)
    context = problem.error.get("ctx", {})
    expected = str(context.get("expected") or context.get("expected_tags") or "")
    words = [quoted or number for quoted, number in re.findall(r"'([^']*)'|(-?\d+)", expected)]
    path, given = problem.path, problem.error["input"]
    if problem.error["type"] == "union_tag_invalid":
        path = (*path, str(context.get("discriminator", "kind")).strip("'"))
        given = given.get(path[-1]) if isinstance(given, dict) else given
    if path == ("schema",) and len(words) == 1:
        return _wrong_version(words[0], given, document)
    close = nearest(given, words) if isinstance(given, str) else None
    message = f"{_key(path)} {show_value(given)} is not one of {_enumerate(sorted(words))}"
    help_text = f'did you mean "{close}"?' if close else None
    return document.diagnostic(path, "E108", message, help=help_text)


def _wrong_version(wanted: str, given: Any, document: Document) -> Diagnostic:
    """E204: the file is of another version, or of another kind."""
    kind, _, version = wanted.rpartition("/")
    given_kind, _, given_version = str(given).rpartition("/")
    message = f"schema {given} is not {wanted}"
    if given_kind == kind and given_version.isdecimal() and given_version != version:
        age = "older" if int(given_version[:9]) < int(version) else "newer"
        message = f"schema {given} is {age} than this version reads"
    help_text = f"this version reads `schema: {wanted}`"
    return document.diagnostic(("schema",), "E204", message, help=help_text)


def _quantity(problem: Problem, document: Document, shape: Shape) -> Diagnostic:
    context = problem.error.get("ctx", {})
    names = {"path": f"{_name(problem)} ", "key": f"{_key(problem.path)} ", "": ""}
    help_text = context["help"]
    if context["got"]:
        near = shape.with_dimension(problem.path[:-1], document.data, context["got"])
        help_text = f"was `{near[0]}` meant?" if near else help_text
    message = f"{names[context['subject']]}{context['text']}"
    return document.diagnostic(problem.path, context["code"], message, help=help_text)


def _stated(problem: Problem, document: Document, shape: Shape) -> Diagnostic:
    """A mistake that a spec's own validator names: `spec.problem`, or a plain ValueError."""
    context = problem.error.get("ctx", {})
    code, message = context.get("code", "E202"), context.get("message") or context.get("error")
    text = str(message or problem.error["msg"])
    on: Literal["key", "value"] = "key" if isinstance(problem.error["input"], dict) else "value"
    return document.diagnostic(problem.path, code, text, help=context.get("help"), on=on)


def _is_type(problem: Problem) -> str | None:
    """What was expected instead, when the refusal is a plain wrong type."""
    kind = problem.error["type"]
    for name, words in _EXPECTED.items():
        if re.fullmatch(f"{name}_(type|parsing|from_float|attributes_type)", kind):
            return words
    return None


def _wrong_type(problems: list[Problem], document: Document, shape: Shape) -> Diagnostic:
    """E105 for one value and everything it may be instead."""
    first = problems[0]
    expected = " or ".join(dict.fromkeys(filter(None, map(_is_type, problems))))
    examples = shape.examples(first.path, document.data)
    message = f"{_key(first.path)} expects {expected}, got {show_value(first.error['input'])}"
    help_text = f"write it like `{_plain(examples[0])}`" if examples else None
    return document.diagnostic(first.path, "E105", message, help=help_text)


def _listing(shape: Shape) -> str:
    """The command that lists all keys of this kind of file."""
    version = shape.version()
    if not version:
        return ""
    kind = version.rpartition("/")[0].rpartition(".")[2]
    return f"  (archsim schema {kind} lists all keys)"


def _enumerate(words: Sequence[str]) -> str:
    shown = ", ".join(words[:_LISTED])
    return f"{shown}, ..." if len(words) > _LISTED else shown or "none"


def _name(problem: Problem) -> str:
    return dotted(problem.path) or "the file"


def _key(path: Path_) -> str:
    """The last key of a path, with the indices that follow it."""
    start = max((i for i, part in enumerate(path) if isinstance(part, str)), default=0)
    return dotted(path[start:]) or "the file"


def _plain(value: Any) -> str:
    """An example as it would be written in a file."""
    return value if isinstance(value, str) else json.dumps(value)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


_WORDERS: dict[str, Callable[[Problem, Document, Shape], Diagnostic]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing_key,
    "union_tag_not_found": _missing_tag,
    "union_tag_invalid": _wrong_word,
    "literal_error": _wrong_word,
    "enum": _wrong_word,
    "quantity": _quantity,
    "archsim": _stated,
    "value_error": _stated,
    "assertion_error": _stated,
}
