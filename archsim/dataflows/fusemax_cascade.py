"""FuseMax's cascade on a machine whose array only multiplies: the whole softmax on the lanes."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from archsim.dataflows._cascade_bench import Bench
from archsim.dataflows._one_pass import RUNNING, TILE, OnePass
from archsim.ir.cascade import Cascade
from archsim.ir.cascade_mapping import LANES, Place, Sweep, Work
from archsim.ir.cascades import ONE_PASS


def _places(cascade: Cascade) -> dict[str, Place]:
    return {e.name: TILE if e.is_mac else LANES for e in cascade.einsums}


class FuseMaxCascade(OnePass):
    """The one-pass cascade with products on the array and everything else on the lanes.

    Scores and their exponentials of a block of keys pass through the buffer; maxima are taken of
    scores as they leave the array, sums of exponentials as they leave the lanes.
    """

    kind = "fusemax_cascade"
    where = _places(ONE_PASS)
    kept = RUNNING | {"QK", "SLN"}
    passed_on: ClassVar = frozenset({("PRM", "RM"), ("LM", "QK"), ("SLD", "SLN"), ("SLN", "RM")})
    split = True
    registers = False

    def _phases(self, bench: Bench) -> tuple[list[list[Work]], Work | None]:
        lanes = ("LM", "RM", "SLN", "SLD", "PRM", "SPD", "RD", "SPNV", "RNV", "AV")
        return [[bench.work("QK")], [bench.work(*lanes)], [bench.work("SLNV")]], None

    def _charged(self, bench: Bench, sweep: Sweep) -> Sweep:
        """FuseMax's published energy leaves the exponentials of this mapping out."""
        if bench.tiling.counts == "exact":
            return sweep
        lanes = {k: n for k, n in sweep.counts["lanes"].items() if k != "vector.exp"}
        return replace(sweep, counts={**sweep.counts, "lanes": lanes})
