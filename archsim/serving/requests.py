"""Which expert each request asks for, and in which order a batch is worked off.

Draws come from one generator that the seed of the mix starts; nothing else is random.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archsim.core.document import Document
from archsim.core.errors import Diagnostic, InputError, nearest
from archsim.serving.composition import CompositionSpec, Trace, Zipf


@dataclass(frozen=True)
class Visit:
    """One turn of an expert.

    Attributes:
        batch: number of the batch.
        expert: number of the expert.
        requests: of this batch that it answers at once.
    """

    batch: int
    expert: int
    requests: int


def chosen(spec: CompositionSpec, document: Document) -> tuple[int, ...]:
    """Number of the expert that each request asks for.

    Raises:
        InputError: E201 for an expert that a trace names and nobody describes, E003 for a trace
            that cannot be read or names none.
    """
    requests, names = spec.requests, spec.names
    if isinstance(requests.mix, Trace):
        asked = _traced(requests.mix, document, names)
        return tuple(asked[i % len(asked)] for i in range(requests.count))
    from numpy.random import default_rng

    power = requests.mix.exponent if isinstance(requests.mix, Zipf) else 0.0
    weights = [rank**-power for rank in range(1, len(names) + 1)]
    share = [weight / sum(weights) for weight in weights]
    drawn = default_rng(requests.seed).choice(len(names), size=requests.count, p=share)
    return tuple(int(expert) for expert in drawn)


def visits(choices: tuple[int, ...], batch: int, order: str) -> tuple[Visit, ...]:
    """Turns of the experts, batch by batch.

    `arrival` answers requests one after the other, `grouped` those of one expert at once, the
    experts in the order in which the batch first names them.
    """
    found = []
    for number, at in enumerate(range(0, len(choices), batch)):
        asked = choices[at : at + batch]
        if order == "arrival":
            found += [Visit(number, expert, 1) for expert in asked]
        else:
            found += [Visit(number, expert, asked.count(expert)) for expert in dict.fromkeys(asked)]
    return tuple(found)


def _traced(mix: Trace, document: Document, names: tuple[str, ...]) -> tuple[int, ...]:
    """Experts that a file names, line by line."""
    folder = document.file.parent if document.file else Path()
    file = folder / mix.file
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        message = f'trace "{mix.file}" cannot be read: {reason}'
        raise document.error(("requests", "mix", "file"), "E003", message) from None
    numbers = {name: i for i, name in enumerate(names)}
    found = []
    for n, line in enumerate(lines, 1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        if word not in numbers:
            raise _unknown(word, str(file), n, line, names)
        found.append(numbers[word])
    if not found:
        message = f'trace "{mix.file}" names no expert'
        raise document.error(("requests", "mix", "file"), "E102", message)
    return tuple(found)


def _unknown(word: str, file: str, n: int, line: str, names: tuple[str, ...]) -> InputError:
    close = nearest(word, names)
    text = f'did you mean "{close}"?' if close else f"the first of {len(names)} is {names[0]}"
    where = Diagnostic("E201", "", file, n, line.index(word) + 1, source_line=line, width=len(word))
    return InputError(f'no expert is named "{word}"', code="E201", help=text, where=where)
