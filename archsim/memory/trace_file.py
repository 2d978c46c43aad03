"""Memory traces from files: what a trace line may look like, and what is wrong with one.

Two forms are read, line by line: `address,r|w[,time]`, and the plain text that DRAM simulators
share: an address and a command in either order, such as `0x1f40 R`, `LD 4096` or
`0x1f40 WRITE 120`. Lines that are empty or begin with `#` say nothing; so does a CSV header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archsim.core.errors import Diagnostic, InputError, nearest

Ints = NDArray[np.int64]

READS = ("r", "rd", "read", "ld", "load", "p_mem_rd")
WRITES = ("w", "wr", "write", "st", "store", "p_mem_wr")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|\d+")
_HELP = "a line is `0x1f40,r` or `0x1f40 R 120`: address, r or w, and maybe a tick"
_LARGEST = 2**63 - 1
_MOST_ERRORS = 20


@dataclass(frozen=True)
class Trace:
    """Requests in order.

    Attributes:
        address: Byte addresses, shape (n,).
        write: 1 for a write, 0 for a read, shape (n,).
        at: Tick from which each may be sent, never falling, shape (n,); None when none is given.
    """

    address: Ints
    write: Ints
    at: Ints | None


class _BadLineError(ValueError):
    """What is wrong with a line, and which word of it."""

    def __init__(self, text: str, word: str, help_text: str = _HELP) -> None:
        super().__init__(text)
        self.word, self.help = word, help_text


def read_trace(path: str | Path) -> Trace:
    """The requests of a trace file.

    Raises:
        InputError: E003 when it cannot be read, E110 with the place of each line that is not a
            request, E102 when it has none.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}", code="E003") from None
    found: list[tuple[int, int, int | None]] = []
    wrong: list[Diagnostic] = []
    for number, line in enumerate(lines, 1):
        text = line.split("#", 1)[0].strip()
        if not text or (not found and _is_header(text)):
            continue
        try:
            found.append(_request(text, found[-1] if found else None))
        except _BadLineError as bad:
            column = max(line.find(bad.word), 0) + 1
            place = (str(path), number, column)
            wrong.append(
                Diagnostic("E110", str(bad), *place, "", bad.help, line, max(len(bad.word), 1))
            )
            if len(wrong) == _MOST_ERRORS:
                break
    if wrong:
        raise InputError.of(wrong)
    if not found:
        raise InputError(f"{path} has no requests", code="E102", help=_HELP)
    address, write, at = zip(*found, strict=True)
    return Trace(
        np.array(address, dtype=np.int64),
        np.array(write, dtype=np.int64),
        None if at[0] is None else np.array(at, dtype=np.int64),
    )


def _is_header(text: str) -> bool:
    return not any(c.isdigit() for c in text)


def _request(text: str, before: tuple[int, int, int | None] | None) -> tuple[int, int, int | None]:
    """Address, write and tick of a line, which follows another one."""
    words = [word for word in re.split(r"[\s,]+", text) if word]
    commands = [w for w in words if w.casefold() in (*READS, *WRITES)]
    if not commands:
        word = next((w for w in words if not _NUMBER.fullmatch(w)), text)
        close = nearest(word.casefold(), (*READS, *WRITES))
        help_text = f'did you mean "{close}"?' if close else _HELP
        raise _BadLineError(f'no read or write in "{text[:60]}"', word, help_text)
    numbers = [w for w in words if w is not commands[0]]
    for word in numbers:
        if not _NUMBER.fullmatch(word):
            raise _BadLineError(f'"{word}" is not an address or a tick', word)
    if len(numbers) not in (1, 2):
        raise _BadLineError(
            f"expects an address and maybe a tick, got {len(numbers)} numbers", text
        )
    address, *rest = (int(word, 0) if word[1:2] in "xX" else int(word) for word in numbers)
    at = rest[0] if rest else None
    if max(address, at or 0) > _LARGEST:
        raise _BadLineError("a number of more than 63 bits", numbers[0])
    if before and (before[2] is None) != (at is None):
        raise _BadLineError("either every line has a tick, or none", numbers[-1])
    if before and at is not None and at < (before[2] or 0):
        raise _BadLineError(f"tick {at} comes after tick {before[2]}", numbers[-1])
    return address, int(commands[0].casefold() in WRITES), at
