"""Which experts the tokens of a stage go to: a draw with its own seed, or the next rows of a file.

How a draw is made is in `lowering.routing`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim.core.document import Document
from archsim.core.errors import Diagnostic, InputError
from archsim.lowering.spec import architecture_of, load_workload
from archsim.serving.batching import Even, ServingSpec, TokenTrace, Uneven
from archsim.serving.closed_loop import Sums, expert_seed

Rows = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Experts:
    """Experts of the tokens of each stage.

    Attributes:
        draw: uniform, zipf or trace.
        seed: of the whole loop.
        experts: that the model has in a layer.
        rows: of a trace: the experts of each token.
        begins: of a trace: tokens read before each stage.
    """

    draw: Even | Uneven | TokenTrace
    seed: int
    experts: int = 0
    rows: Rows = ()
    begins: tuple[int, ...] = ()

    def routing(self, stage: int, behind: int, tokens: int) -> dict[str, Any]:
        """The routing of a run of so many tokens, as a workload describes it.

        Args:
            stage: its number.
            behind: tokens of the stage that an earlier run of it has read.
            tokens: of the run.
        """
        if not isinstance(self.draw, TokenTrace):
            return {**self.draw.to_data(), "seed": expert_seed(self.seed, stage)}
        begin = self.begins[stage] + behind
        counts = Counter(
            expert for i in range(tokens) for expert in self.rows[(begin + i) % len(self.rows)]
        )
        return {"kind": "trace", "counts": [[counts[i] for i in range(self.experts)]]}


def experts_of(
    spec: ServingSpec, document: Document, stages: Iterable[Sums], set_: tuple[str, ...]
) -> Experts | None:
    """Experts of the stages of a loop; None for a model without.

    Args:
        spec: the description.
        document: it came from.
        stages: all, from the first.
        set_: overrides of the workload.

    Raises:
        InputError: E202 for a routing that the model has no experts for, and what `_read` raises.
    """
    data = {**spec.workload(), "phase": {"kind": "decode", "context": 1}}
    work, _ = load_workload(data, set_=set_)
    assert work.phase is not None
    routed = architecture_of(work).routed(work.phase)
    if routed is None:
        if spec.routing is None:
            return None
        raise document.error(
            ("routing",), "E202", f"{spec.model} has no experts", help="drop routing", on="key"
        )
    draw = spec.routing or Even(kind="uniform")
    if not isinstance(draw, TokenTrace):
        return Experts(draw, spec.seed)
    begins, total = [], 0
    for stage in stages:
        begins.append(total)
        total += stage.tokens
    rows = _read(draw.file, document, routed.experts, routed.top_k)
    return Experts(draw, spec.seed, routed.experts, rows, tuple(begins))


def _read(name: str, document: Document, experts: int, top_k: int) -> Rows:
    """Experts of each token of a file.

    Raises:
        InputError: E003 for a file that cannot be read, E102 for an empty one, E202 for a row that
            is not as many distinct experts as a token has, at its line.
    """
    path = (document.file.parent if document.file else Path()) / name
    place = ("routing", "file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        message = f'trace "{name}" cannot be read: {reason}'
        raise document.error(place, "E003", message) from None
    known = {str(i): i for i in range(experts)}
    found = []
    for n, line in enumerate(lines, 1):
        words = [cell.strip() for cell in line.partition("#")[0].split(",")]
        if words == [""]:
            continue
        row = {known[word] for word in words if word in known}
        if len(row) != top_k or len(words) != top_k:
            where = Diagnostic("E202", "", str(path), n, 1, source_line=line, width=len(line))
            raise InputError(
                f"a token goes to {top_k} distinct experts of {experts}, counted from 0",
                code="E202", where=where, help=f"a row such as {', '.join(list(known)[:top_k])}",
            )  # fmt: skip
        found.append(tuple(sorted(row)))
    if not found:
        raise document.error(place, "E102", f'trace "{name}" names no expert')
    return tuple(found)
