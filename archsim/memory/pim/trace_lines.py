"""Command traces from files: what a line may look like, and what is wrong with one.

A line is `AiM OP fields`, `R|W MEM channel bank row`, `R|W GPR number` or `W CFR number data`, its
words apart by spaces or commas. Empty lines and what follows a `#` say nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from archsim.core.errors import Diagnostic, InputError, nearest
from archsim.memory.pim.command_set import CommandSet
from archsim.memory.pim.trace import IDLE, READ, REGISTER, WRITE, PimTrace, Step, check
from archsim.memory.standard import Standard

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|\d+")
_WORD = re.compile(r"[^\s,\"]+")
_REGIONS = {"MEM": ("channel", "bank", "row"), "GPR": ("gpr",), "CFR": ("register", "data")}
_HELP = "a line is `AiM OP fields`, `R MEM channel bank row`, `W GPR number` or `W CFR number data`"
_MOST_ERRORS = 20


class _BadLineError(ValueError):
    """What is wrong with a line, at which of its words."""

    def __init__(self, text: str, place: int, help_text: str | None = _HELP) -> None:
        super().__init__(text)
        self.place, self.help = place, help_text


def read_trace(path: str | Path, commands: CommandSet, standard: Standard) -> PimTrace:
    """The trace of a file.

    Raises:
        InputError: E003 when it cannot be read, E110 with the place of each line that is no
            instruction, E102 when it has none.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}", code="E003") from None
    steps: list[Step] = []
    wrong: list[Diagnostic] = []
    for number, line in enumerate(lines, 1):
        words = list(_WORD.finditer(line.split("#", 1)[0]))
        if not words:
            continue
        try:
            step = step_of([word[0] for word in words], commands)
            check(step, commands, standard)
        except _BadLineError as bad:
            word = words[min(bad.place, len(words) - 1)]
            wrong.append(_at(str(path), number, line, word, str(bad), bad.help))
        except InputError as bad:
            said = bad.diagnostics[0]
            wrong.append(_at(str(path), number, line, words[0], said.message, said.help))
        else:
            steps.append(step)
            form = commands.instructions.get(step.word)
            if form is not None and form.ends:
                break
        if len(wrong) == _MOST_ERRORS:
            break
    if wrong:
        raise InputError.of(wrong)
    if not steps:
        raise InputError(f"{path} has no instructions", code="E102", help=_HELP)
    return PimTrace.of(str(path), steps, commands)


def _at(
    path: str, number: int, line: str, word: re.Match[str], text: str, help_text: str | None
) -> Diagnostic:
    place = (path, number, word.start() + 1)
    return Diagnostic("E110", text, *place, "", help_text, line, len(word[0]))


def step_of(words: list[str], commands: CommandSet) -> Step:
    """The step that the words of a line say.

    Raises:
        _BadLineError: for a line that is none.
    """
    first = words[0].upper()
    if first in ("R", "W"):
        return _access(first, words, commands)
    if first != commands.name.upper():
        names = (commands.name, "R", "W")
        close = nearest(words[0], names)
        also = _instruction(words[0], commands)
        raise _BadLineError(
            f'"{words[0]}" is none of {", ".join(names)}',
            0,
            f"write {commands.name} before it" if also else _meant(close),
        )
    if len(words) == 1:
        raise _BadLineError(f"{commands.name} needs an instruction", 0)
    name = _instruction(words[1], commands)
    if name is None:
        known = tuple(commands.instructions)
        close = nearest(words[1], known)
        raise _BadLineError(
            f'instruction "{words[1]}" is not one of {", ".join(known)}', 1, _meant(close)
        )
    fields = commands.instructions[name].fields
    values = _numbers(name, fields, words, 2)
    return Step(
        name, values.get("opsize", 1), values.get("mask", 0), values.get("bank", -1),
        values.get("row", -1),
    )  # fmt: skip


def _meant(close: str | None) -> str:
    return f'did you mean "{close}"?' if close else _HELP


def _instruction(word: str, commands: CommandSet) -> str | None:
    """Name of an instruction, however it is written."""
    name = word.upper().removeprefix("ISR_")
    return name if name in commands.instructions else None


def _access(first: str, words: list[str], commands: CommandSet) -> Step:
    region = words[1].upper() if len(words) > 1 else ""
    if region not in _REGIONS:
        raise _BadLineError(f"{first} needs MEM, GPR or CFR", 1, _meant(nearest(region, _REGIONS)))
    values = _numbers(f"{first} {region}", _REGIONS[region], words, 2)
    if region == "MEM":
        if values["channel"] >= commands.channels:
            raise _BadLineError(
                f"channel {values['channel']} is not one of {commands.channels}", 2,
                f"channels are 0 to {commands.channels - 1}",
            )  # fmt: skip
        return Step(
            READ if first == "R" else WRITE, 1, commands.mask_of(values["channel"]),
            values["bank"], values["row"],
        )  # fmt: skip
    if region == "CFR" and first == "W":
        return Step(REGISTER, bank=values["register"], row=values["data"])
    return Step(IDLE)


def _numbers(name: str, fields: tuple[str, ...], words: list[str], first: int) -> dict[str, int]:
    """Values of the fields of a line, by name."""
    given = words[first:]
    if len(given) != len(fields):
        needs = f"needs {len(fields)} fields ({', '.join(fields)})" if fields else "takes no fields"
        raise _BadLineError(
            f"{name} {needs}, got {len(given)}",
            first - 1,
            None,
        )
    values = {}
    for i, (field, word) in enumerate(zip(fields, given, strict=True)):
        if not _NUMBER.fullmatch(word):
            raise _BadLineError(f'{field} "{word}" is not a number', first + i, None)
        values[field] = int(word, 0) if word[1:2] in ("x", "X") else int(word)
    return values
