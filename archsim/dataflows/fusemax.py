"""FuseMax: the one-pass cascade with its softmax on the array, tiles of both units interleaved."""

from __future__ import annotations

from archsim.dataflows._cascade_bench import Bench
from archsim.dataflows._one_pass import FUSED_PLACES, OnePass
from archsim.ir.cascade_mapping import Work


class FuseMax(OnePass):
    """FuseMax with its binding: lanes correct one tile while the array scores the next."""

    kind = "fusemax"
    where = FUSED_PLACES

    def _phases(self, bench: Bench) -> tuple[list[list[Work]], Work | None]:
        phases = [
            [bench.work("QK", "LM")],
            [bench.work("RM")],
            [bench.work("SLN", "SLD"), bench.work("PRM", "SPD")],
            [bench.work("SLNV"), bench.work("SPNV")],
        ]
        return phases, bench.work("RD", "RNV", "AV")
