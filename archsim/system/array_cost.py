"""What a tile costs on an array that the on-chip memory feeds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.components.base import MacEngine
from archsim.core.errors import Unmappable
from archsim.ir.line import LINE, line_of
from archsim.ir.problem import Problem
from archsim.ir.target import Cost, LineTiles, Tiles
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
    live = engine.live(view.weight, view.zeros)
    lanes = None
    if isinstance(memory, Sram) and memory.spec.interleave is not None:
        lanes = Lanes(engine, view, memory, dtype)

    def cost(tiles: Tiles) -> Cost:
        if tiles.stationary == LINE:
            tiles = _lines(tiles, engine, view, machine)
        bare = engine.cost_of(_live(tiles, live), view.weight)
        bits = bare.in_reads * view.bits["in"] + bare.weight_reads * view.weight_bits
        bits = bits + (bare.out_writes + bare.out_reads) * partial
        fed = np.ceil(bits / 8 / rate).astype(np.int64)
        met = replace(bare, cycles=np.maximum(bare.cycles, fed))
        found = _banked(met, lanes.feed(tiles, bare), engine.clock_hz) if lanes else met
        return machine.noc.fed(found, tiles, engine, view) if machine.noc else found

    return cost


def cost_key(engine: MacEngine, view: Problem, machine: Machine) -> Hashable | None:
    """What `array_cost` depends on, equal for equal costs; None where banks or a network count."""
    memory = machine.sram
    if machine.noc is not None or (isinstance(memory, Sram) and memory.spec.interleave is not None):
        return None
    return (
        type(engine), engine.name, engine.cost_content, memory.bytes_per_s / engine.clock_hz,
        tuple(sorted(view.bits.items())), view.weight, view.zeros,
    )  # fmt: skip


def _lines(tiles: Tiles, engine: MacEngine, view: Problem, machine: Machine) -> Tiles:
    """Tiles of one-dimensional convolutions that say what a line is.

    Raises:
        Unmappable: for an array without weight links, or one fed from counted banks.
    """
    memory = machine.sram
    if not engine.broadcasts:
        raise Unmappable(
            f"{view.op.name}: rows of {engine.name} have no link that broadcasts weights",
            code="E302",
            help=f"engines.{engine.name}.row_broadcast: true, where its kind has the option",
        )
    if isinstance(memory, Sram) and memory.spec.interleave is not None:
        raise Unmappable(
            f"{view.op.name}: which banks of {memory.name} row_broadcast asks is not modelled",
            code="E302",
            help=f"leave out memory.{memory.name}.interleave, or map it otherwise",
        )
    line = line_of(view.op)
    assert line is not None  # the template maps nothing else
    return LineTiles.of(tiles, line)


def _live(tiles: Tiles, share: Fraction) -> Tiles:
    """Tiles whose reductions are as long as what is left of them, where zeros are skipped."""
    return tiles if share == 1 else replace(tiles, k=live_length(tiles.k, share))


def tile_work(engine: MacEngine, view: Problem, size: Mapping[str, int]) -> dict[str, int]:
    """What an engine counts of a tile, and the MACs that skipping zeros leaves out."""
    share = engine.live(view.weight, view.zeros)
    if share == 1:
        return engine.work(size, view.weight)
    live = int(live_length(size["k"], share))
    out = size["b"] * size["m"] * size["n"] * (size["k"] - live)
    return engine.work({**size, "k": live}, view.weight) | {"skipped.zero_macs": out}


def live_length(k: Any, share: Fraction) -> Any:
    """What skipping zeros leaves of a reduction, of one length or of an array: at least one."""
    return np.maximum(-(-k * share.numerator // share.denominator), 1)


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
    """What a tile counts where banks are counted: waits by operand, and bytes of whole words.

    And what crosses the network on the chip, where there is one.
    """
    crossing = {key: int(size[tile]) for key, size in cost.crossing.items() if size[tile]}
    if not isinstance(cost, BankedCost):
        return crossing
    waits = {f"array.{word}_conflict_cycles": int(n[tile]) for word, n in cost.waits.items()}
    return (
        crossing
        | waits
        | {
            "sram.read": int(cost.read_words[tile]) * cost.word_bytes,
            "sram.write": int(cost.write_words[tile]) * cost.word_bytes,
        }
    )
