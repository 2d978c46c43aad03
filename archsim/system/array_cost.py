"""What a tile costs on an array that the on-chip memory feeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from archsim.components.base import MacEngine
from archsim.ir.problem import Problem
from archsim.ir.target import Cost, Tiles
from archsim.system.build import Machine


def array_cost(
    engine: MacEngine, view: Problem, machine: Machine, dtype: str
) -> Callable[[Tiles], Cost]:
    """Cost of tiles on an array: its own cycles, or those its operand feed takes if longer."""
    feed = machine.sram.bytes_per_s / engine.clock_hz
    partial = view.bits["partial"]

    def cost(tiles: Tiles) -> Cost:
        bare = engine.cost(tiles, dtype)
        bits = bare.in_reads * view.bits["in"] + bare.weight_reads * view.weight_bits
        bits = bits + (bare.out_writes + bare.out_reads) * partial
        fed = np.ceil(bits / 8 / feed).astype(np.int64)
        return replace(bare, cycles=np.maximum(bare.cycles, fed))

    return cost
