"""Faults: what is unlike the description about some devices and links of a machine.

Here lives how users write them. What they do to devices and to the plan is in `degraded`, what to a
network in `interconnect.worn`.
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from archsim.core.spec import Fraction, Spec, problem

Node = Annotated[int, Field(ge=0)]


class Fault(Spec):
    """One device, or one link between two nodes of the network, that is slow or missing."""

    device: Node | None = None
    """Number of the device, from 0."""

    link: tuple[Node, Node] | None = None
    """Ends of the link, both directions of it: numbers of devices; switches follow the last."""

    clock: Fraction | None = None
    """Share of their frequencies at which all clocks of the device run."""

    memory_bandwidth: Fraction | None = None
    """Share of its bandwidth that each dram of the device has left; its banks are then not
    simulated."""

    bandwidth: Fraction | None = None
    """Share of its bandwidth that the link has left."""

    missing: bool = False
    """Whether the device or link is not there at all."""

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.device is None) == (self.link is None):
            raise problem("E202", "a fault is of a device or of a link", "device: 3")
        slow = {"clock": self.clock, "memory_bandwidth": self.memory_bandwidth}
        wrong = {"bandwidth": self.bandwidth} if self.link is None else slow
        for key, value in wrong.items():
            if value is not None:
                what = "device" if self.link is None else "link"
                other = "memory_bandwidth" if self.link is None else "bandwidth"
                raise problem("E202", f"a {what} has no {key}", f"{other}: 50 %")
        said = [*slow.values(), self.bandwidth]
        if self.missing == any(value is not None for value in said):
            message = "a fault says what is slow, or that it is missing"
            raise problem("E202", message, "clock: 50 %, or missing: true")
        return self
