"""Why an op ran where it ran, as a run leaves it behind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DispatchRecord:
    """Where an op ran, and what decided it.

    Attributes:
        op: path, with its share of the devices where there are several.
        engine: that ran it.
        rule: the dispatch rule that spoke for it, such as `dispatch[1]`; empty where none did.
        why: the rule's conditions and the op's values, or the estimates that `auto` weighed.
        passed: earlier rules that cover it, and which of their conditions it does not meet.
        op_per_byte, rows: what rules may ask of it and those that belong with it: two operations a
            MAC over the bytes they touch, rows of input a matrix meets; None without any MAC.
    """

    op: str
    engine: str
    rule: str
    why: str
    passed: tuple[str, ...] = ()
    op_per_byte: float | None = None
    rows: float | None = None
