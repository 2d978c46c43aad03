"""Output tiles that GPU libraries have kernels for, by generation of the MMA instruction.

Ampere: tiles in the names of cuBLAS and CUTLASS kernels, `mma.sync` with both operands from shared
memory. Hopper: `wgmma` takes columns in steps of 8 up to 256 (PTX ISA); steps of 32 are enough
(assumed), and accumulators of the warp groups of an SM hold 40,960 elements (assumed: five eighths
of its registers).
"""

from __future__ import annotations

_ACCUMULATORS = 40_960
_SIDES = (64, 128, 192, 256)
_WIDE = {(a, b) for a in _SIDES for b in range(32, 257, 32) if a * b <= _ACCUMULATORS}

CATALOGUES: dict[str, tuple[tuple[int, int], ...]] = {
    "ampere": (
        *((256, 128), (128, 256), (128, 128), (128, 64), (64, 128)),
        *((64, 64), (64, 32), (32, 64), (16, 64)),
    ),
    "hopper": tuple(sorted({*_WIDE, *((b, a) for a, b in _WIDE), (64, 16), (16, 64)})),
}
