"""What a mover is: it carries bytes between two named places at a bandwidth."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from archsim.core.registry import Registry
from archsim.core.spec import Spec


class Port(Protocol):
    """The side of a memory that a mover sees."""

    clock_hz: float

    def transfer_ps(self, size_bytes: int, efficiency: float | None = None) -> int:
        """Time the port is busy with a transfer, at a share of the peak or the memory's own."""
        ...


class LinkSpec(Spec):
    """Fields that every mover has."""

    provenance: dict[str, str] = {}
    """Where each number comes from, by field; `assumed` where there is no source."""


class Link:
    """A mover of the machine."""

    kind: ClassVar[str]
    ACTIONS: ClassVar[tuple[tuple[str, str], ...]]
    Spec: ClassVar[type[LinkSpec]]

    def __init__(self, name: str, spec: Any) -> None:
        self.name = name
        self.spec = spec

    @classmethod
    def example(cls) -> dict[str, Any]:
        """A small valid description."""
        raise NotImplementedError


links: Registry[Link] = Registry("archsim.interconnect", Link)
