"""YAML text to data and positions: the 1.2 core scalars, and none of YAML's traps.

PyYAML's C parser delivers events; this module turns them into plain data. Words such as `NO` and
`12:30` stay text, `1e9` is a number, a key given twice is an error, and so are anchors, aliases,
tags and second documents: a description is data only. Files and merging are in `core.yamlio`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml

from archsim.core.document import Document, Mark, Marks, Path_, Source, place_in
from archsim.core.errors import Diagnostic, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEEPEST = 64
"""Levels of nesting that a description may have; no shipped one has more than 8."""

# https://yaml.org/spec/1.2.2/#103-core-schema
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{s + w: float(f"{s}inf") for s in ("", "+", "-") for w in (".inf", ".Inf", ".INF")},
}
_INT = re.compile(r"[-+]?[0-9]{1,300}|0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
NUMBER = re.compile(f"^(?:{_INT.pattern}|{_FLOAT.pattern})$")
"""Plain text that a 1.2 reader takes for a number."""


def resolve(text: str) -> Any:
    """A plain scalar as YAML 1.2's core schema reads it: null, bool, int, float or text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "0123456789+-.":
        if _INT.fullmatch(text):
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


def read_text(text: str, name: str | None, file: Path | None = None) -> Document:
    """Data and positions of a YAML text.

    Args:
        text: The text.
        name: File as the user named it, or a flag that carries the text.
        file: The file, where there is one.

    Raises:
        InputError: E001 not valid YAML, E002 a key given twice.
    """
    reader = _Reader(Source(name, text))
    data = reader.read()
    return Document(data, reader.marks, text, file, (file,) if file else ())


def read_value(text: str, flag: str) -> Any:
    """The value that a command-line flag carries, typed as it would be in a file."""
    try:
        return _Reader(Source(flag, text)).read()
    except InputError as error:
        found = error.diagnostics[0]
        raise InputError.of(
            [Diagnostic(found.code, found.message, flag, help=found.help)]
        ) from None


def value_text(value: Any) -> str:
    """A value as `read_value` reads it: JSON, which is a part of YAML; text stays bare."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class _Reader:
    """Builds data from the parser's events, noting where each thing was."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.marks: dict[Path_, Marks] = {}
        self.twice: list[Diagnostic] = []

    def read(self) -> Any:
        """The only document of the text; an empty mapping when there is none."""
        top = Mark(self.source, 1, 1, 1)
        self.marks[()] = Marks(top, top)
        data: Any = {}
        try:
            events = yaml.parse(self.source.text, Loader=yaml.CSafeLoader)
            documents = 0
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise self.error(event.start_mark, "a second document begins here")
                elif isinstance(event, yaml.NodeEvent):
                    data = self.value(event, events, (), top)
        except (yaml.YAMLError, UnicodeError) as error:
            raise self.invalid(error) from None
        if self.twice:
            raise InputError.of(self.twice)
        return data

    def value(self, event: Any, events: Iterator[Any], path: Path_, key: Mark) -> Any:
        """The value that starts with an event."""
        self.refuse_extras(event, path)
        self.marks[path] = Marks(key, self.mark(event))
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0]
            return resolve(event.value) if plain else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := next(events), yaml.SequenceEndEvent):
                below = (*path, len(items))
                items.append(self.value(event, events, below, self.mark(event)))
            return items
        return self.mapping(events, path)

    def mapping(self, events: Iterator[Any], path: Path_) -> dict[str, Any]:
        """A mapping whose start has been read; its keys are the text they are written as."""
        data: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            mark = self.mark(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise self.error(event.start_mark, "a key must be a plain word")
            self.refuse_extras(event, path)
            name = event.value
            if name in data:
                first = self.marks[(*path, name)].key.line
                self.twice.append(
                    mark.diagnostic(
                        "E002",
                        f'key "{name}" given twice {place_in(path)}',
                        path=".".join(str(p) for p in (*path, name)),
                        help=f"first at line {first}; remove one",
                    )
                )
            data[name] = self.value(next(events), events, (*path, name), mark)
        return data

    def refuse_extras(self, event: Any, path: Path_) -> None:
        """Raise E001 for what a description may not use."""
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self.error(
                event.start_mark,
                "anchors and aliases are not supported",
                "write the value out, or inherit it with `extends`",
            )
        if event.tag is not None:
            raise self.error(event.start_mark, "tags are not supported", "remove the tag")
        if len(path) > DEEPEST:
            raise self.error(event.start_mark, f"nested more than {DEEPEST} levels deep")

    def mark(self, event: Any) -> Mark:
        """Place of an event; only what lies on one line is underlined."""
        start, end = event.start_mark, event.end_mark
        one_line = isinstance(event, yaml.ScalarEvent) and start.line == end.line
        width = max(1, end.column - start.column) if one_line else 1
        return Mark(self.source, start.line + 1, start.column + 1, width)

    def error(self, mark: Any, problem: str, help: str | None = None) -> InputError:
        """E001 at a mark of the parser, or at the top where there is none."""
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        place = Mark(self.source, line, column, 1)
        form = "JSON" if (self.source.name or "").endswith(".json") else "YAML"
        return InputError.of([place.diagnostic("E001", f"not valid {form}: {problem}", help=help)])

    def invalid(self, error: Exception) -> InputError:
        """E001 for what the parser says."""
        mark = getattr(error, "problem_mark", None)
        begun = getattr(error, "context_mark", None)
        if mark is None:
            reason = getattr(error, "reason", "")
            code = getattr(error, "character", None)
            what = f"character 0x{code:02x}: {reason}" if isinstance(code, int) else str(reason)
            return self.error(self.position(error), what.removesuffix(": "))
        opened = f"opened at line {begun.line + 1}" if begun and begun.line != mark.line else None
        lines = self.source.lines
        line = lines[mark.line] if mark.line < len(lines) else ""
        if (
            "\t" in line[: len(line) - len(line.lstrip())]
            or line[mark.column : mark.column + 1] == "\t"
        ):
            mark = _At(mark.line, line.index("\t"))
            help_text = "; ".join(filter(None, ("replace it by spaces", opened)))
            return self.error(mark, "tab used for indentation", help_text)
        context = getattr(error, "context", None)
        if context and opened:
            opened = f"{context}, {opened}"
        return self.error(mark, str(getattr(error, "problem", error)), opened)

    def position(self, error: Exception) -> Any:
        """Line and column of an error that only knows its offset."""
        offset = getattr(error, "position", None)
        if not isinstance(offset, int):
            return None
        before = self.source.text[:offset]
        return _At(before.count("\n"), offset - before.rfind("\n") - 1)


class _At:
    """A place in the parser's terms: line and column from 0."""

    def __init__(self, line: int, column: int) -> None:
        self.line, self.column = line, column
