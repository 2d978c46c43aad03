"""Laying descriptions over one another: `extends`, `--set-file` and `--set`.

Data and positions are merged together, so that a mistake is reported where its value came from.
Mappings merge key by key, everything else is replaced, null removes a key. A setting that neither
the file nor the schema knows is refused, never created. A path may begin with the kind of its
document, as `workload.phase.batch` does; messages keep it as it was typed.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from archsim.core.document import Document, Mark, Marks, Path_, Source, dotted, parse_path, place_in
from archsim.core.errors import Diagnostic, InputError, nearest
from archsim.core.yamlread import read_value

if TYPE_CHECKING:
    from archsim.core.shape import Shape


def merge(base: Document, top: Document) -> Document:
    """One document laid over another; places follow the values."""
    marks = dict(base.marks)
    marks[()] = top.mark_of(())

    def lay(low: Any, high: Any, path: Path_) -> Any:
        if not (isinstance(low, dict) and isinstance(high, dict)):
            _forget(marks, low, path)
            _copy_marks(top.marks, marks, high, path)
            return high
        merged = dict(low)
        for key, value in high.items():
            below = (*path, key)
            if value is None and key in merged:
                _forget(marks, merged.pop(key), below)
            elif key in merged:
                merged[key] = lay(merged[key], value, below)
                marks[below] = top.mark_of(below)
            else:
                merged[key] = value
                _copy_marks(top.marks, marks, value, below)
        return merged

    data = lay(base.data, top.data, ())
    sources = tuple(dict.fromkeys((*base.sources, *top.sources)))
    return replace(top, data=data, marks=marks, sources=sources)


def graft(document: Document, path: Path_, part: Document) -> Document:
    """A document with the data of another one in place of one of its values; places follow."""
    data, marks = copy.deepcopy(document.data), dict(document.marks)
    node = data
    for step in path[:-1]:
        node = node[step]
    _forget(marks, node[path[-1]], path)
    node[path[-1]] = part.data
    for below, places in part.marks.items():
        marks[(*path, *below)] = places
    sources = tuple(dict.fromkeys((*document.sources, *part.sources)))
    return replace(document, data=data, marks=marks, sources=sources)


def apply(document: Document, settings: tuple[str, ...], shape: Shape) -> Document:
    """A document with `--set path=value` settings applied in order.

    Raises:
        InputError: E601 with the closest path, for every setting that does not exist.
    """
    document = replace(document, data=copy.deepcopy(document.data), marks=dict(document.marks))
    found: list[Diagnostic] = []
    for setting in settings:
        flag = f"--set {setting}"
        path, value = _parse(setting, flag)
        path = path[len(_kind(flag, shape)) :]
        mark = Mark(Source(flag, is_flag=True), 0, 0, 1)
        if _exists(path, value, document, shape):
            _assign(document, path, value, Marks(mark, mark))
        else:
            found.append(_at(mark, unknown_setting(path, document, shape, flag)))
    if found:
        raise InputError.of(found)
    return document


def _parse(setting: str, flag: str) -> tuple[Path_, Any]:
    """Path and value of `engines.xpu.sizes[0]=4`; a name with a dot is written in quotes."""
    left, _, right = setting.partition("=")
    path = parse_path(left.strip())
    if not right.strip() or not path:
        message = "not of the form path=value"
        example = "--set memory.hbm.bandwidth='4 TB/s'"
        raise InputError.of([Diagnostic("E601", message, flag, help=f"example `{example}`")])
    return path, read_value(right, flag)


def _kind(flag: str, shape: Shape) -> Path_:
    """The kind of document that the path of a flag begins with; empty where it says none."""
    kind = (shape.version() or "").partition("/")[0].rpartition(".")[2]
    said = bool(kind) and flag.startswith(f"--set {kind}.")
    return (kind,) if said and not shape.knows((kind,), {}) else ()


def _exists(path: Path_, value: Any, document: Document, shape: Shape) -> bool:
    """True when a setting is in the data, or the schema knows it by name."""
    node = document.data
    for length, part in enumerate(path, start=1):
        here = path[:length]
        if isinstance(part, int):
            if not isinstance(node, list) or part >= len(node):
                return False
            node = node[part]
            continue
        if node is not None and not isinstance(node, dict):
            return False
        if node and part in node:
            node = node[part]
        elif shape.knows(here, document.data):
            node = None
        else:
            last = length == len(path)
            return last and shape.free(here[:-1], document.data) and _is_new(part, value, node)
    return True


def _is_new(name: str, value: Any, among: dict[str, Any] | None) -> bool:
    """True when a name of the user's choice is a new entry rather than a slip of a known one."""
    return isinstance(value, dict) or nearest(name, among or ()) is None


def _assign(document: Document, path: Path_, value: Any, marks: Marks) -> None:
    """Put a value at a path whose existence was checked; null removes it."""
    node = document.data
    for length, part in enumerate(path[:-1], start=1):
        if isinstance(node, dict) and node.get(str(part)) is None:
            node[str(part)] = {}
            document.marks[path[:length]] = marks
        node = node[part]
    last = path[-1]
    if isinstance(node, dict):
        _forget(document.marks, node.get(str(last)), path)
        if value is None:
            node.pop(str(last), None)
            return
    else:
        _forget(document.marks, node[last], path)
    node[last] = value
    document.marks[path] = marks


def unknown_setting(
    path: Path_, document: Document, shape: Shape, flag: str | None = None
) -> Diagnostic:
    """E601: an override names a setting that does not exist; the help is the closest path.

    Args:
        path: of the setting, below the kind of its document.
        document: what it is laid over.
        shape: of the document.
        flag: as it was typed. Default: where the document has the path from.
    """
    kind = _kind(flag or document.mark(path, "key").source.name or "", shape)
    above, known = _where_lost(path, document, shape)
    key, rest = path[len(above)], path[len(above) + 1 :]
    close = nearest(key, known) if isinstance(key, str) else None
    if close:
        best: str | None = dotted((*kind, *above, close, *rest))
    else:  # the same key elsewhere, as when the beginning of the path was left out
        alike = [p for p in _paths(document.data, ()) if p != path and p[-1] == path[-1]]
        best = nearest(dotted((*kind, *path)), {dotted((*kind, *p)) for p in alike})
        best = best or (dotted((*kind, *above)) if above and not known else None)
    if best:
        help_text: str | None = f"did you mean `{best}`?"
    else:
        place = place_in((*kind, *above))
        help_text = f"known {place}: {', '.join(known)}" if known else None
    return document.diagnostic(path, "E601", "no such setting", help=help_text, on="key")


def _where_lost(path: Path_, document: Document, shape: Shape) -> tuple[Path_, list[str]]:
    """The longest known beginning of a path, and the keys that may follow it."""
    node = document.data
    known: list[str] = []
    for length, part in enumerate(path):
        above = path[:length]
        named = shape.keys(above, document.data)
        known = sorted({*named, *(node if isinstance(node, dict) else ())} - {str(part)})
        if isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        elif isinstance(node, dict) and part in node:
            node = node[str(part)]
        elif part in named:
            node = None
        else:
            return above, known
    return path[:-1], known


def _at(mark: Mark, found: Diagnostic) -> Diagnostic:
    """A diagnostic moved to another place."""
    return mark.diagnostic(found.code, found.message, path=found.path, help=found.help)


def _paths(value: Any, path: Path_) -> list[Path_]:
    """Every path below a value."""
    if isinstance(value, dict):
        items: list[tuple[str | int, Any]] = list(value.items())
    else:
        items = list(enumerate(value)) if isinstance(value, list) else []
    below = [found for key, item in items for found in _paths(item, (*path, key))]
    return [path, *below] if path else below


def _copy_marks(
    source: dict[Path_, Marks], target: dict[Path_, Marks], value: Any, path: Path_
) -> None:
    """Take over the places of a value and everything below it."""
    for below in [path, *_paths(value, path)]:
        if below in source:
            target[below] = source[below]


def _forget(marks: dict[Path_, Marks], value: Any, path: Path_) -> None:
    """Drop the places of a value that is replaced or removed, and of everything below it."""
    for below in [path, *_paths(value, path)]:
        marks.pop(below, None)
