"""Designs that a proxy is asked for, as they are typed: `a.b=64, c=16 MiB`, or a grid of `--vary`.

What a proxy answers is in `dse.surrogate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archsim.core.document import Document, Mark, Source
from archsim.core.errors import Diagnostic, InputError
from archsim.core.yamlio import load_spec
from archsim.core.yamlread import read_value
from archsim.dse.dimension import dimension
from archsim.dse.space import Space
from archsim.dse.spec import ExploreSpec
from archsim.dse.vary import parts, space_of

EXAMPLE = 'example `--ask "engines.array.rows=64, memory.sram.capacity=16 MiB"`'


def designs_of(asks: Sequence[str], varies: Sequence[str]) -> list[dict[str, Any]]:
    """Every design that is asked for; each of `asks` with each of the grid of `varies`.

    Raises:
        InputError: E601 for what is not PATH=VALUE, E002 for a path given twice, E102 for a range
            without steps.
    """
    if not asks and not varies:
        return []
    grid = _grid(varies) if varies else [{}]
    return [{**asked, **varied} for asked in map(design_of, asks or [""]) for varied in grid]


def design_of(text: str) -> dict[str, Any]:
    """Settings of one design from `PATH=VALUE, PATH=VALUE`."""
    flag = f"--ask {text}"
    mark = Mark(Source(flag, is_flag=True), 0, 0, 1)
    found: dict[str, Any] = {}
    wrong: list[Diagnostic] = []
    for part in parts(text) if text.strip() else ():
        path, _, value = (word.strip() for word in part.partition("="))
        if not path or not value:
            said = f'"{part.strip()}" is not of the form PATH=VALUE'
            wrong.append(mark.diagnostic("E601", said, help=EXAMPLE))
        elif path in found:
            wrong.append(mark.diagnostic("E002", f"{path} is given twice", help="remove one"))
        else:
            found[path] = read_value(value, flag)
    if wrong:
        raise InputError.of(wrong)
    return found


def _grid(varies: Sequence[str]) -> list[dict[str, Any]]:
    """Every design of the dimensions that `--vary` spells."""
    typed = space_of(varies)
    marks = {("space", *path): mark for path, mark in typed.marks.items()}
    data = {"schema": "archsim.explore/1", "name": "asked", "space": typed.data}
    spec, document = load_spec(Document(data, marks), ExploreSpec)
    space = Space(tuple(dimension(path, said) for path, said in spec.space.items()))
    if space.size is None:
        path = space.continuous[0]
        raise document.error(("space", path), "E102", f"{path} needs steps", help="add :5 for five")
    return [space.numbered(number) for number in range(space.size)]
