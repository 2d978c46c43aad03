"""What a stage inside a memory did: its products, as the report reads them."""

from __future__ import annotations

from dataclasses import dataclass

from archsim.ir.pim import PimStep


@dataclass(frozen=True, slots=True)
class PimRecord:
    """One stage of an engine inside a memory.

    Attributes:
        engine, memory: names in the machine.
        sharing: how the two kinds of access share the memory.
        bytes_per_s: peak rate at which the engine's units read their banks.
        stage: path.
        repeats: runs of the stage.
        devices: that ran it.
        steps: its products, with what they took.
        pieces: in which it was issued.
    """

    engine: str
    memory: str
    sharing: str
    bytes_per_s: float
    stage: str
    repeats: int
    devices: int
    steps: tuple[PimStep, ...]
    pieces: int
