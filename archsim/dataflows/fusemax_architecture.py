"""FuseMax without its binding: softmax on the array, but a tile ends before the next begins."""

from __future__ import annotations

from archsim.dataflows._cascade_bench import Bench
from archsim.dataflows._one_pass import FUSED_PLACES, OnePass
from archsim.ir.cascade_mapping import Work


class FuseMaxArchitecture(OnePass):
    """The one-pass cascade with its softmax on the array, tile after tile.

    Maxima of a block cross the array row by row before the lanes have them; nothing else fills
    that time. The numerator is added while the array still multiplies with values.
    """

    kind = "fusemax_architecture"
    where = FUSED_PLACES

    def _phases(self, bench: Bench) -> tuple[list[list[Work]], Work | None]:
        tiles = bench.case.b * bench.query_blocks * bench.key_blocks
        phases = [
            [bench.work("QK", "LM", drain_cycles=tiles * bench.rows)],
            [bench.work("RM")],
            [bench.work("SLN", "SLD"), bench.work("PRM", "SPD")],
            [bench.work("SLNV"), bench.work("SPNV", "RNV")],
        ]
        return phases, bench.work("RD", "AV")
