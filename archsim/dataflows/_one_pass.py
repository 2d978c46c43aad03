"""FuseMax's mappings of the one-pass cascade: loops, tiles and what each of three stages adds.

For each super-block of queries all keys pass by, block by block; queries, running maximum, sum and
numerator of the super-block stay on chip, so that what must be held does not depend on how many
keys there are. Source: FuseMax (Nayak et al., MICRO 2024), sections 4 and 5, and its artifact.
"""

from __future__ import annotations

from typing import ClassVar

from archsim.core.errors import Unmappable
from archsim.dataflows._cascade import CascadeDataflow
from archsim.dataflows._cascade_bench import Bench, Uses
from archsim.ir.cascade import Nest, NestLoop
from archsim.ir.cascade_mapping import LANES, Place, Sweep, Work
from archsim.ir.cascades import ONE_PASS

TILE = Place("array", "p", "m")
RUNNING = frozenset({"RM", "RD", "RNV"})


class OnePass(CascadeDataflow):
    """The one-pass cascade over super-blocks of queries."""

    cascade = ONE_PASS
    kept = RUNNING
    passed_on: ClassVar = frozenset({("PRM", "RM"), ("SLN", "RM")})
    split: ClassVar[bool] = False  # each Einsum runs over a whole super-block by itself
    registers: ClassVar[bool] = True  # both units share a register a row

    def _case(self, bench: Bench) -> tuple[Nest, tuple[Sweep, ...], int]:
        nest, room = self._nest(bench)
        outer = next(loop for loop in nest.loops if loop.rank == "p").steps
        steps = bench.case.b * outer * bench.key_blocks
        passing = [
            bench.operand("q", "QK", 1), bench.operand("k", "QK", outer),
            bench.operand("v", "SLNV", outer), bench.operand("out", "AV", 1),
        ]  # fmt: skip
        phases, tail = self._phases(bench)
        blocks, values = bench.size(("p", "m1")), bench.size(("p", "m1", "f"))
        rows = bench.rows * (nest.loops[-1].steps)
        written = [(blocks, rows)] * 2 + [(values, bench.problem.key_dim * rows)]
        if self.split:
            written += [(bench.points, bench.cols * rows)] * 2
        uses = Uses(
            filled=frozenset("QKV"),
            shared=2 * blocks + values if self.registers else 0,  # LM, SLD and SLNV
            extra_bytes=bench.elided(*written),
        )
        sweep = bench.sweep(steps, phases, passing, uses, overlap=self.split, tail=tail)
        return nest, (self._charged(bench, sweep),), room

    def _charged(self, bench: Bench, sweep: Sweep) -> Sweep:
        """The sweep as the energy model charges it."""
        return sweep

    def _phases(self, bench: Bench) -> tuple[list[list[Work]], Work | None]:
        """Phases of a step, and what runs beside the first one of the next."""
        raise NotImplementedError

    def _nest(self, bench: Bench) -> tuple[Nest, int]:
        """The largest super-block whose tensors fit, of those that divide the queries.

        What must fit is computed from the cascade and the loops: queries, one block of keys and
        of values, and what runs on; with `split` the scores and shares of a block of keys too.

        Raises:
            Unmappable: when not even one tile fits, or not the rows that a rule asks for.
        """
        names = ["Q", "K", "V", *sorted(RUNNING), *(("QK", "SLN") if self.split else ())]
        total = bench.query_blocks
        asked = bench.tiles_asked()
        for inner in [asked] if asked else [n for n in range(total, 0, -1) if total % n == 0]:
            nest = self._loops(bench, total // inner, inner)
            room = bench.room(nest, names)
            if room <= bench.room_bytes:
                return nest, room
        raise Unmappable(
            f"{bench.problem.name}: {self.kind} holds {room} B of {inner * bench.rows} queries "
            f"and a block of {bench.cols} keys, {bench.room_bytes} B are free",
            code="E401",
            help="a larger on-chip memory" + (", or fewer query_rows" if asked else ""),
            details={"option": "query_rows" if asked else "room"},
        )

    def _loops(self, bench: Bench, outer: int, inner: int) -> Nest:
        loops = (
            NestLoop("b", bench.case.b), NestLoop("p", outer),
            NestLoop("m1", bench.key_blocks), NestLoop("p", inner),
        )  # fmt: skip
        held = {"Q": 2, "K": 3, "V": 3}
        return Nest(loops, 3 if self.split else 4, bench.tile(), held)


FUSED_PLACES = {
    **dict.fromkeys(("QK", "LM", "SLN", "SLD", "SLNV"), TILE),
    **dict.fromkeys(("RM", "PRM", "SPD", "RD", "SPNV", "RNV", "AV"), LANES),
}
