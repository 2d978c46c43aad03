"""A loaded file: plain data, and the place of every key and value in it.

Positions survive merging: each mark remembers the file, or the command-line flag, that its value
came from. Reading YAML text is in `core.yamlread`, merging in `core.overrides`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from archsim.core.errors import Diagnostic, InputError

if TYPE_CHECKING:
    from pathlib import Path

_PART = re.compile(r'\.?(?:([^.\[\]"]+)|"([^"]*)")|\[(\d{1,6})\]')

Path_ = tuple[str | int, ...]
"""Keys and list indices from the top of a file to a value."""


@dataclass(frozen=True, eq=False)
class Source:
    """Where text came from: a file as the user named it, or a flag (which has no lines)."""

    name: str | None
    text: str = ""
    is_flag: bool = False

    @cached_property
    def lines(self) -> list[str]:
        """The text's lines without their ends."""
        return self.text.split("\n")


class Mark(NamedTuple):
    """A place: line and column from 1 (line 0 in a flag) and how far it reaches."""

    source: Source
    line: int
    column: int
    width: int

    def diagnostic(
        self, code: str, message: str, *, path: str = "", help: str | None = None
    ) -> Diagnostic:
        """A mistake at this place."""
        if not self.line:
            return Diagnostic(code, message, self.source.name, path=path, help=help)
        lines = self.source.lines
        text = lines[self.line - 1] if self.line <= len(lines) else ""
        return Diagnostic(
            code,
            message,
            self.source.name,
            self.line,
            self.column,
            path,
            help,
            text.rstrip("\r"),
            self.width,
        )


class Marks(NamedTuple):
    """The places of one entry; list items and the top level have no key of their own."""

    key: Mark
    value: Mark


@dataclass(frozen=True)
class Document:
    """Data with positions.

    Attributes:
        data: Mappings (keys are text), lists and scalars.
        marks: Place of every key and value, by path.
        text: The file's own text; empty when the data did not come from one.
        file: The file; None when the data did not come from one.
        sources: Every file read for it, base files first.
    """

    data: Any
    marks: dict[Path_, Marks] = field(repr=False)
    text: str = field(default="", repr=False)
    file: Path | None = None
    sources: tuple[Path, ...] = ()

    @classmethod
    def of(cls, data: Any) -> Document:
        """A document without positions, for data that Python code made."""
        return cls(data, {})

    def mark(self, path: Path_, on: Literal["key", "value"] = "value") -> Mark:
        """Place of a key or value; of the nearest enclosing one where it has none."""
        for length in range(len(path), -1, -1):
            found = self.marks.get(path[:length])
            if found:
                return found.key if on == "key" or length < len(path) else found.value
        return Mark(Source(None), 0, 0, 1)

    def mark_of(self, path: Path_) -> Marks:
        """Places of the key and value of a path, as `mark` finds them."""
        return Marks(self.mark(path, "key"), self.mark(path, "value"))

    def diagnostic(
        self,
        path: Path_,
        code: str,
        message: str,
        *,
        help: str | None = None,
        on: Literal["key", "value"] = "value",
    ) -> Diagnostic:
        """A mistake at the key or value of a path."""
        return self.mark(path, on).diagnostic(code, message, path=dotted(path), help=help)

    def error(
        self,
        path: Path_,
        code: str,
        message: str,
        *,
        help: str | None = None,
        on: Literal["key", "value"] = "value",
    ) -> InputError:
        """The same as an exception, for a check that stops at the first mistake."""
        return InputError.of([self.diagnostic(path, code, message, help=help, on=on)])

    def locate(self, error: InputError) -> InputError:
        """An error that knows only dotted paths of this document, with their places.

        A diagnostic without a path is placed at the file as a whole; one with a file stays.
        """
        found = [d if d.file else self._placed(d) for d in error.diagnostics]
        return InputError(
            error.message,
            code=error.code,
            help=error.help,
            details=error.details,
            diagnostics=found,
        )

    def _placed(self, found: Diagnostic) -> Diagnostic:
        if not found.path:
            return replace(found, file=self.mark(()).source.name)
        mark = self.mark(parse_path(found.path))
        return mark.diagnostic(found.code, found.message, path=found.path, help=found.help)

    def where(self, path: Path_) -> str:
        """`file:line` of a key, for messages that point at a second place; empty if unknown."""
        mark = self.mark(path, "key")
        if mark.source.name is None:
            return ""
        return f"{mark.source.name}:{mark.line}" if mark.line else mark.source.name


def dotted(path: Path_) -> str:
    """A path as people write it: `engines.xpu.sizes[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            shown = f'"{part}"' if not part or set(part) & set('.[]"') else part
            text += f".{shown}" if text else shown
    return text


def parse_path(text: str) -> Path_:
    """The inverse of `dotted`; empty when the text is not a path."""
    path: list[str | int] = []
    at = 0
    while match := _PART.match(text, at):
        word = match[1] if match[1] is not None else match[2]
        path.append(int(match[3]) if word is None else word.strip())
        at = match.end()
    complete = at == len(text) and not text.startswith((".", "["))
    return tuple(path) if complete else ()


def place_in(path: Path_) -> str:
    """How a message says where a key is: `in memory.hbm`, or `at the top level`."""
    return f"in {dotted(path)}" if path else "at the top level"
