"""What a tile costs on an array that the on-chip memory feeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from archsim.components.base import MacEngine
from archsim.ir.problem import Problem
from archsim.ir.target import Cost, Tiles
from archsim.memory.sram import Sram
from archsim.system.build import Machine
from archsim.system.operand_feed import Feed, Lanes

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BankedCost(Cost):
    """A cost whose operands pass counted banks, one array element a tile.

    Attributes:
        waits: cycles of the memory that accesses of an operand wait for a bank, by operand.
        read_words, write_words: words that banks deliver and take.
        word_bytes: of a word.
    """

    waits: dict[str, Ints]
    read_words: Ints
    write_words: Ints
    word_bytes: int


def array_cost(
    engine: MacEngine, view: Problem, machine: Machine, dtype: str
) -> Callable[[Tiles], Cost]:
    """Cost of tiles on an array: its own cycles, or those its operand feed takes if longer.

    The feed is bound by the memory's bandwidth and, where its banks are counted, by the words that
    they serve and by the accesses of one array, each of which ends with its slowest bank. Accesses
    of several arrays and of several operands are taken to be out of step: they share the banks'
    words a cycle, and do not wait for each other beyond that.
    """
    memory = machine.sram
    rate = memory.bytes_per_s / engine.clock_hz
    partial = view.bits["partial"]
    lanes = None
    if isinstance(memory, Sram) and memory.spec.interleave is not None:
        lanes = Lanes(engine, view, memory, dtype)

    def cost(tiles: Tiles) -> Cost:
        bare = engine.cost(tiles, dtype)
        bits = bare.in_reads * view.bits["in"] + bare.weight_reads * view.weight_bits
        bits = bits + (bare.out_writes + bare.out_reads) * partial
        fed = np.ceil(bits / 8 / rate).astype(np.int64)
        met = replace(bare, cycles=np.maximum(bare.cycles, fed))
        return _banked(met, lanes.feed(tiles, bare), engine.clock_hz) if lanes else met

    return cost


def _banked(met: Cost, feed: Feed, clock_hz: float) -> BankedCost:
    """The cost with the banks counted, from that which the bandwidth allows."""
    memory = feed.memory
    cycles = np.maximum(met.cycles, np.ceil(feed.cycles() * clock_hz / memory.clock_hz))
    return BankedCost(
        cycles=cycles.astype(np.int64),
        lag_cycles=met.lag_cycles,
        folds=met.folds,
        in_reads=met.in_reads,
        weight_reads=met.weight_reads,
        out_writes=met.out_writes,
        out_reads=met.out_reads,
        waits={
            "in": feed.asked["in"].conflict_cycles,
            "weight": feed.asked["weight"].conflict_cycles,
            "out": feed.asked["out"].conflict_cycles + feed.asked["partial"].conflict_cycles,
        },
        read_words=feed.words_read,
        write_words=feed.words_written,
        word_bytes=memory.spec.width_bits // 8,
    )


def banked_counts(cost: Cost, tile: int) -> dict[str, int]:
    """What a tile counts where banks are counted: waits by operand, and bytes of whole words."""
    if not isinstance(cost, BankedCost):
        return {}
    waits = {f"array.{word}_conflict_cycles": int(n[tile]) for word, n in cost.waits.items()}
    return waits | {
        "sram.read": int(cost.read_words[tile]) * cost.word_bytes,
        "sram.write": int(cost.write_words[tile]) * cost.word_bytes,
    }
