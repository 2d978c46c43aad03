"""Traffic from a file: packets with the cycle they are made in, `cycle,src,dst,flits` a line.

Empty lines and lines that begin with `#` say nothing; so does a header.
"""

from __future__ import annotations

from pathlib import Path

from archsim.core.errors import Diagnostic, InputError
from archsim.interconnect.flit_fields import NEVER, TRACE
from archsim.interconnect.traffic import Pattern

COLUMNS = ("cycle", "src", "dst", "flits")
MOST_FLITS, MOST_CYCLE = 1 << 20, 1 << 31
_MOST_ERRORS = 20
_HELP = "a line is `120,0,5,4`: cycle, source, destination, flits"

Packet = tuple[int, int, int, int]  # in the order of COLUMNS


def read_packets(path: str | Path, nodes: int) -> list[Packet]:
    """Packets of a file, in the order of their cycles; those of one cycle keep theirs.

    Args:
        path: of the file.
        nodes: of the network.

    Raises:
        InputError: E003 when it cannot be read, E110 with the place of each line that is no packet
            of this network, E102 when it has none.
    """
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot read {path}: {reason}", code="E003") from None
    found: list[Packet] = []
    wrong: list[Diagnostic] = []
    for number, line in enumerate(lines, 1):
        text = line.split("#", 1)[0].strip()
        if not text or (not found and not wrong and _is_header(text)):
            continue
        fault = _fault(text, nodes)
        if fault is None:
            a, b, c, d = (int(word) for word in text.split(","))
            found.append((a, b, c, d))
        elif len(wrong) < _MOST_ERRORS:
            message, start, width = fault
            column = line.index(text) + start + 1
            wrong.append(
                Diagnostic("E110", message, str(path), number, column, "", _HELP, line, width)
            )
    if wrong:
        raise InputError.of(wrong)
    if not found:
        raise InputError(f"{path} has no packets", code="E102", help=_HELP)
    return sorted(found, key=lambda packet: packet[0])


def _is_header(text: str) -> bool:
    return tuple(word.strip().lower() for word in text.split(",")) == COLUMNS


def _fault(text: str, nodes: int) -> tuple[str, int, int] | None:
    """What is wrong with a line, and where in it: the start and width of what is."""
    words = text.split(",")
    if len(words) != len(COLUMNS):
        return f"{len(words)} numbers, not {len(COLUMNS)}", 0, len(text)
    start = 0
    for word, name in zip(words, COLUMNS, strict=True):
        message = _wrong(name, word.strip(), nodes)
        if message:
            spaces = len(word) - len(word.lstrip())
            return message, start + spaces, max(1, len(word.strip()))
        start += len(word) + 1
    return None


def _wrong(name: str, word: str, nodes: int) -> str | None:
    """What is wrong with a number of a column."""
    if not (word.isascii() and word.isdecimal()):
        return f'{name} expects a whole number, got "{word}"'
    number = int(word)
    if name in ("src", "dst") and number >= nodes:
        return f"{name} {number} is not one of the {nodes} nodes"
    if name == "cycle" and number >= MOST_CYCLE:
        return f"cycle {number} is beyond {MOST_CYCLE - 1}"
    if name == "flits" and not 1 <= number <= MOST_FLITS:
        return f"flits must be from 1 to {MOST_FLITS}, got {number}"
    return None


def replayed(packets: list[Packet], nodes: int) -> Pattern:
    """Packets as the flit simulator reads them: those of a node behind each other."""
    by_node: list[list[Packet]] = [[] for _ in range(nodes)]
    for packet in packets:
        by_node[packet[1]].append(packet)
    trace: list[int] = []
    first, entry = [], []
    for own in by_node:
        entry.append(len(trace))
        first.append(own[0][0] if own else NEVER)
        for packet, after in zip(own, [*own[1:], None], strict=False):
            trace += [packet[2], packet[3], after[0] if after else NEVER]
    return Pattern("trace", TRACE, (), tuple(trace), tuple(first), tuple(entry))
