"""Everything archsim can refuse, and how a refusal reads.

An error says where (file, line, column), what, and what to do about it. The classes here carry an
exit code for the command line; the numbered codes (`E101`) name the kind of mistake. Finding
mistakes is the business of other modules.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

EXIT_OK = 0
EXIT_FAULT = 1
EXIT_USAGE = 2
EXIT_INPUT = 3
EXIT_UNSUPPORTED = 4
EXIT_INFEASIBLE = 5
EXIT_STOPPED = 6
EXIT_TOLERANCE = 7
EXIT_MISSING_EXTRA = 8
EXIT_SWEEP_FAILED = 9
EXIT_INTERRUPTED = 130

SHOWN = 20
"""Diagnostics printed for one error; the rest are counted."""

_EXCERPT = 120  # characters of a source line that are printed; longer ones are cut
_EXCERPT_BEFORE = 40  # of which before the caret, when the line is cut


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The known word closest to a mistyped one, or None when none is close."""
    known = sorted(set(words))
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if found:
        return found[0]
    folded = {w.casefold(): w for w in reversed(known)}
    found = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    return folded[found[0]] if found else None


@dataclass(frozen=True)
class Diagnostic:
    """One mistake and its place.

    Attributes:
        code: Kind of mistake, such as `E101`; empty when it has no number.
        message: What is wrong, in one line.
        file: File as the user named it, or the command-line flag that brought the value.
        line: Line, from 1; None when the place is a whole file or a flag.
        column: Column, from 1.
        path: Dotted path of the value, such as `memory.hbm.capacity`.
        help: What to do about it.
        source_line: Text of the line, without its end.
        width: Characters to underline.
    """

    code: str
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None
    path: str = ""
    help: str | None = None
    source_line: str | None = None
    width: int = 1

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        """Orders diagnostics by place, then by code and text."""
        return (self.file or "", self.line or 0, self.column or 0, self.code, self.message)

    def render(self) -> str:
        """The text for people: place and message, the line with a caret, the help."""
        place = ":".join(str(p) for p in (self.file, self.line, self.column) if p is not None)
        label = f"error[{self.code}]" if self.code else "error"
        lines = [f"{place}: {label}: {self.message}" if place else f"{label}: {self.message}"]
        if self.source_line is not None and self.line is not None:
            text, column = _excerpt(self.source_line, self.column or 1)
            pad = "".join("\t" if c == "\t" else " " for c in text[: column - 1])
            width = max(1, min(self.width, len(text) - column + 1))
            lines.append(f"{self.line:5d} | {text}".rstrip())
            lines.append(f"      | {pad}{'^' * width}")
        if self.help:
            lines.append(f"      = help: {self.help}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The same for programs: code, file, line, column, path, message, help."""
        keys = ("code", "file", "line", "column", "path", "message", "help")
        return {key: getattr(self, key) for key in keys}


def _excerpt(text: str, column: int) -> tuple[str, int]:
    """The printable part of a long line and the caret's column within it."""
    if len(text) <= _EXCERPT:
        return text, column
    start = max(0, column - 1 - _EXCERPT_BEFORE)
    return text[start : start + _EXCERPT], column - start


class ArchsimError(Exception):
    """Base of every error that archsim raises on purpose; `exit_code` is the process's status."""

    exit_code: ClassVar[int] = EXIT_FAULT
    default_code: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        help: str | None = None,
        where: Diagnostic | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or (where.code if where else "") or self.default_code
        self.help = help or (where.help if where else None)
        self.where = where
        self.details: dict[str, Any] = dict(details or {})

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The error as diagnostics with places; one, unless it says otherwise."""
        place = self.where or Diagnostic("", "", path=str(self.details.get("path", "")))
        return (replace(place, code=self.code, message=self.message, help=self.help),)

    def render(self) -> str:
        """The text for people, without a traceback."""
        parts = [d.render() for d in self.diagnostics[:SHOWN]]
        rest = len(self.diagnostics) - SHOWN
        if rest > 0:
            parts.append(f"and {rest} more error{'s' if rest > 1 else ''}")
        return "\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """The same for programs: exit code, one object per diagnostic, details."""
        return {
            "exit_code": self.exit_code,
            "errors": [d.to_dict() for d in self.diagnostics],
            "details": self.details,
        }


class InputError(ArchsimError):
    """A file or flag that cannot be accepted; holds every mistake found in it, sorted by place."""

    exit_code = EXIT_INPUT

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        help: str | None = None,
        where: Diagnostic | None = None,
        details: Mapping[str, Any] | None = None,
        diagnostics: Iterable[Diagnostic] = (),
    ) -> None:
        super().__init__(message, code=code, help=help, where=where, details=details)
        self._diagnostics = tuple(sorted(diagnostics, key=lambda d: d.sort_key))

    @classmethod
    def of(cls, diagnostics: Iterable[Diagnostic]) -> InputError:
        """One error for all mistakes of a file; its message is that of the first."""
        found = sorted(diagnostics, key=lambda d: d.sort_key)
        first = found[0]
        return cls(first.message, code=first.code, where=first, diagnostics=found)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Every mistake, sorted by place."""
        return self._diagnostics or super().diagnostics

    def __str__(self) -> str:
        return self.render()


class Unsupported(ArchsimError):
    """A model or op that archsim has no builder or cost for (E301, E302)."""

    exit_code = EXIT_UNSUPPORTED
    default_code = "E301"


class Infeasible(ArchsimError):
    """It does not fit, or provably has no valid mapping (E401)."""

    exit_code = EXIT_INFEASIBLE
    default_code = "E401"


class Unmappable(Infeasible):
    """No mapping of one dataflow is legal for an op on a target."""


class SimulationStopped(ArchsimError):
    """Time cannot go on: a deadlock, the watchdog, or a timeout (E501)."""

    exit_code = EXIT_STOPPED
    default_code = "E501"


class OutsideTolerance(ArchsimError):
    """A comparison or validation is further from its reference than allowed."""

    exit_code = EXIT_TOLERANCE


class MissingExtra(ArchsimError):
    """An optional library is needed and absent; the help is the pip line that brings it."""

    exit_code = EXIT_MISSING_EXTRA

    def __init__(self, message: str, *, extra: str) -> None:
        super().__init__(message, help=f'pip install "archsim[{extra}]"')
        self.extra = extra


class LawViolation(ArchsimError):
    """A law that holds for every run was broken: a fault of archsim, not of the input."""
