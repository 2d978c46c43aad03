"""`--vary PATH=VALUES`: a dimension of a space as it is typed on a command line.

`a.b=1,2,4` lists choices; `lin:LO:HI:N`, `log:LO:HI:N` and `int:LO:HI[:STEP]` span a range.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from archsim.core.document import Document, Mark, Marks, Source
from archsim.core.errors import Diagnostic, InputError
from archsim.core.yamlread import read_value

EXAMPLE = "example `--vary engines.array.rows=64,128`, or log:LOW:HIGH:COUNT after the ="
BEFORE_VALUE = ("", ",", "=", ":", "[", "{")
_RANGE = re.compile(r"(lin|log|int):(.*)", re.DOTALL)
_FORMS = {"lin": "range", "log": "log_range", "int": "int_range"}


def space_of(texts: Sequence[str]) -> Document:
    """The `space` of a study: dimensions by path, each placed at its flag.

    Raises:
        InputError: E601 for what is not PATH=VALUES, E002 for a path given twice.
    """
    data: dict[str, Any] = {}
    marks: dict[tuple[str | int, ...], Marks] = {}
    found: list[Diagnostic] = []
    for text in texts:
        flag = f"--vary {text}"
        path, _, values = (part.strip() for part in text.partition("="))
        mark = Mark(Source(flag, is_flag=True), 0, 0, 1)
        marks[(path,)] = Marks(mark, mark)
        if not path or not values:
            found.append(mark.diagnostic("E601", "not of the form PATH=VALUES", help=EXAMPLE))
        elif path in data:
            found.append(mark.diagnostic("E002", f"{path} is varied twice", help="remove one"))
        else:
            data[path] = _dimension(values, mark)
    if found:
        raise InputError.of(found)
    return Document(data, marks)


def _dimension(text: str, mark: Mark) -> Any:
    span = _RANGE.fullmatch(text)
    flag = mark.source.name or ""
    if span is None:
        choices = parts(text)
        if not all(choice.strip() for choice in choices):
            message = "a value is missing beside a comma"
            raise InputError.of([mark.diagnostic("E601", message, help=EXAMPLE)])
        return [read_value(choice, flag) for choice in choices]
    kind, ends = span[1], [part.strip() for part in span[2].split(":")]
    most = 3
    if not 2 <= len(ends) <= most:
        form = {"int": "int:LO:HI or int:LO:HI:STEP"}.get(kind, f"{kind}:LO:HI:N")
        raise InputError.of([mark.diagnostic("E601", f"not of the form {form}", help=EXAMPLE)])
    values = [read_value(end, flag) for end in ends]
    said: dict[str, Any] = {_FORMS[kind]: values[:2]}
    if len(values) == most:
        said["step" if kind == "int" else "steps"] = values[2]
    return said


def parts(text: str) -> list[str]:
    """A text cut at its commas, but for those inside brackets and quotes.

    As in YAML, a quote opens only where a value begins: that of `it's` is a letter. One that never
    closes is left to whoever reads the value.
    """
    parts, depth, quote, last = [""], 0, "", ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'" and last in BEFORE_VALUE:
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        last = last if letter.isspace() else letter
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
