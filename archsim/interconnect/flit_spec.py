"""What a router of the flit simulator may be told: VCs, buffers, pipeline, routing and release."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from archsim.core.spec import Spec

MOST_VCS = 32  # bits of a mask, and of a packed step of a path


class RouterSpec(Spec):
    """Input-queued routers with virtual channels and credits, all alike."""

    routing: Literal["dimension_order", "adaptive", "table"] | None = None
    """`dimension_order` and `adaptive` (minimal, with an escape) on meshes and toruses; `table` on
    any network, along the routes that it has. Default: the first on meshes and toruses, else the
    last."""

    vcs: int = Field(default=8, ge=1, le=MOST_VCS)
    """Virtual channels of every port (default: those of the reference runs)."""

    buffer: int = Field(default=8, ge=1, le=1 << 16)
    """Flits that a virtual channel holds (default: those of the reference runs; `noc` gives routers
    between chips as many as credits need, where links are long)."""

    routing_delay: int = Field(default=0, ge=0, le=64)
    """Cycles from arrival to the first bid for a VC; 0: the router before worked the route out."""

    vc_alloc_delay: int = Field(default=1, ge=1, le=64)
    """Cycles from a VC to the first bid for the switch."""

    switch_delay: int = Field(default=1, ge=1, le=64)
    """Cycles from the switch to the crossbar, and to the credit."""

    crossbar_delay: int = Field(default=1, ge=0, le=64)
    """Cycles in the crossbar."""

    credit_delay: int = Field(default=2, ge=0, le=64)
    """Cycles of a router to take a credit in."""

    link_latency: int | None = Field(default=None, ge=1, le=100_000)
    """Cycles of a link, for a flit and for a credit. Default: the latency of the link, less the
    cycles of the router."""

    wait_for_tail_credit: bool = True
    """Whether a VC is free only once the last credit of its packet is back; else as the tail
    leaves, and two packets may share its buffer."""

    @property
    def pipeline_cycles(self) -> int:
        """Cycles of a head alone from its arrival until it is on the next wire."""
        allocated = self.vc_alloc_delay + self.switch_delay
        return self.routing_delay + allocated + self.crossbar_delay
