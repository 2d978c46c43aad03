"""What the counts of a mapping take: times, bytes and energy, as pure functions of tile shapes.

A mapping's cost beyond array cycles depends on the memory behind the chip, on the vector ops that
take its tiles on, and on the energy table. A target carries them here; no component is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from archsim.ir.target import Cost, Ints

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prices:
    """Energy of what a mapping changes, in pJ, and what it does not change.

    Attributes:
        dram_read_pj, dram_write_pj, sram_read_pj, sram_write_pj, dma_pj: of a byte.
        fixed_pj: of arithmetic on the array and the vector unit, which no tiling changes.
        unpack_pj: of a weight that is unpacked.
        leakage_w: static power of the whole machine.
    """

    dram_read_pj: float = 0.0
    dram_write_pj: float = 0.0
    sram_read_pj: float = 0.0
    sram_write_pj: float = 0.0
    dma_pj: float = 0.0
    fixed_pj: float = 0.0
    unpack_pj: float = 0.0
    leakage_w: float = 0.0


@dataclass(frozen=True, slots=True)
class TailMoves:
    """What the vector side of output tiles moves, one array element a tile; bytes.

    Attributes:
        loads, stores: transfers from and to DRAM, one array for each.
        sram_read, sram_write: by the vector unit itself, without those transfers.
        cycles: of the vector unit.
    """

    loads: tuple[Ints, ...]
    stores: tuple[Ints, ...]
    sram_read: Ints
    sram_write: Ints
    cycles: Ints


@dataclass(frozen=True)
class Meter:
    """Pure functions from tiles to what they take.

    Attributes:
        transfer_ps: time that a transfer of so many bytes holds the port of the memory.
        accessed: bytes that the array reads and writes on chip for tiles of a cost.
        tail: moves of output tiles of so many points, and in how many new rows; None without
            fused ops.
        once_bytes: transfers of a stage that are read once beside its tiles, such as a norm's
            scale.
        unpack: time of the vector unit that brings tiles of so many weights to the type that the
            array multiplies, in ps, and bytes it writes; None where the array takes them as they
            are.
        launch_ps: time to launch the stage.
        sram_latency_ps: until a result that lies on chip may be read.
        prices: energy of each.
    """

    transfer_ps: Callable[[Ints], Floats]
    accessed: Callable[[Cost], tuple[Ints, Ints]]
    tail: Callable[[Ints, Ints], TailMoves] | None = None
    once_bytes: tuple[int, ...] = ()
    unpack: Callable[[Ints], tuple[Floats, Ints]] | None = None
    launch_ps: int = 0
    sram_latency_ps: int = 0
    prices: Prices = Prices()


def in_ps(amount: Ints, per_s: float) -> Floats:
    """Picoseconds of cycles, or of bytes, at so many a second, each rounded up once.

    In integers where they are wide enough; beyond, a picosecond may be lost or won.
    """
    up, down = 10**12, int(per_s)
    common = gcd(up, down)
    up, down = up // common, down // common
    if len(amount) and int(amount.max()) < (1 << 62) // up:
        return np.asarray(-(-amount * up // down), dtype=np.float64)
    return np.asarray(np.ceil(amount * (up / down)))
