"""Channel-parallel (NVDLA): input channels x filters at once, sums of a stripe of pixels held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from archsim.dataflows._nest_base import NestDataflow
from archsim.dataflows._nest_parts import Inner, held_bytes, kept, names, nest, unroll
from archsim.ir.nest_ranks import largest_extents
from archsim.ir.problem import Problem

if TYPE_CHECKING:
    from archsim.ir.nest_check import NestTarget


class ChannelParallel(NestDataflow):
    """Channel-parallel: channels along the rows, filters along the columns, a stripe at a time.

    A weight stays while a stripe of output pixels passes; the stripe's sums stay until its whole
    reduction is done. Source: NVDLA hardware architecture, convolution pipeline (nvdla.org).
    """

    kind = "channel_parallel"

    def inner(self, problem: Problem, target: NestTarget) -> Iterator[Inner]:
        """One pair of levels: the stripe is as long as the registers have room for its sums."""
        e = largest_extents(problem.op)
        channels, filters = names(problem, "IC"), names(problem, "OC")
        (pixel,) = names(problem, "OW")
        spatial = unroll(e, channels, "rows", target.axes["rows"])
        spatial += unroll(e, filters, "cols", target.axes["cols"])
        order = (*names(problem, "G"), *(("B", "OH") if problem.op.window else ()), pixel,
                 *filters, *channels, *names(problem, "FH", "FW"))  # fmt: skip
        stripe = self._stripe(problem, target, pixel, e[pixel])
        held = {pixel: stripe}
        yield nest(problem, order, spatial, held, self._keeps(problem, target, held), target)

    def _stripe(self, problem: Problem, target: NestTarget, pixel: str, extent: int) -> int:
        """Pixels whose sums fit; evened out over the image."""
        room = target.register_bytes
        free = room if isinstance(room, int) else room.get("out", 0)
        if isinstance(room, int):
            free -= int(held_bytes(problem, {}, "weight"))
        most = max(1, min(extent, int(free // held_bytes(problem, {}, "out"))))
        return -(-extent // -(-extent // most))

    def _keeps(self, problem: Problem, target: NestTarget, held: dict[str, int]) -> list[str]:
        """Sums before weights; inputs are broadcast as they are needed."""
        return [o for o in kept(problem, target, held, "out") if o != "in"]
