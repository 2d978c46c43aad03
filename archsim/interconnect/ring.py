"""A ring: each device is joined to the next, and the last to the first."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from archsim.core.spec import PositiveInt
from archsim.interconnect._edges import AN_EDGE, Edge
from archsim.interconnect._grid import Grid, on_grid
from archsim.interconnect.base import WiredSpec


class Ring(Grid):
    """Devices in a circle, with links both ways; of two, one link each way."""

    kind = "ring"
    wraps = True

    class Spec(WiredSpec):
        """Devices of the ring."""

        kind: Literal["ring"] = "ring"

        devices: PositiveInt
        """Devices: copies of this machine."""

        express: tuple[Edge, ...] = Field(default=(), examples=[[AN_EDGE]])
        """Links across the ring. With any, messages go the way of fewest hops, else the shorter
        way round."""

        @model_validator(mode="after")
        def _on_ring(self) -> Self:
            on_grid(self.express, self.devices)
            return self

    spec: Spec

    @property
    def dims(self) -> tuple[int, ...]:
        """One dimension."""
        return (self.spec.devices,)

    @classmethod
    def example(cls) -> dict[str, Any]:
        """Eight devices."""
        return {"kind": cls.kind, "devices": 8, "bandwidth": "50 GB/s", "latency": "1 us"}
