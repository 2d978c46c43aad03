"""Which candidate is best: loop orders and held operands of measured tiles, by an objective.

The predicted time is in `_auto_time`; energy is that of all counts, with leakage over this time.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archsim.dataflows._auto_cost import PS, Measured
from archsim.dataflows._auto_time import Flow, Nest
from archsim.dataflows._grid import OPERANDS
from archsim.dataflows._search import TOLERANCE, Slots, built, keeps, slots_of, spares
from archsim.dataflows._search_cost import MAX_TILES
from archsim.ir.mapping import Mapping
from archsim.ir.problem import Problem
from archsim.ir.target import Target

if TYPE_CHECKING:
    from archsim.dataflows.base import Dataflow

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
OBJECTIVES = ("latency", "energy", "edp", "traffic", "compute")
MOST_TILES = {"compute": MAX_TILES["compute"]}  # other objectives: as latency


@dataclass(frozen=True, slots=True)
class Costs:
    """Cost of candidates, one array element each.

    Attributes:
        place: index among the measured tile extents.
        time_s: predicted, the objective latency.
        analytic_s: of the busiest resource alone, as fidelity `analytic` has it.
        dynamic_pj: energy without leakage.
        energy_pj: with leakage over the predicted time.
        traffic_bytes: through the memory's port.
        cycles, folds: of the array.
        tiles: of the whole op.
        sram_bytes: read and written on chip.
        ahead_s: of weights that are there before they are needed.
    """

    place: Ints
    time_s: Floats
    analytic_s: Floats
    dynamic_pj: Floats
    energy_pj: Floats
    traffic_bytes: Floats
    cycles: Floats
    folds: Floats
    tiles: Floats
    sram_bytes: Floats
    ahead_s: Floats

    def value(self, objective: str) -> Floats:
        """What an objective minimises: seconds, pJ, pJ x s, bytes or cycles."""
        if objective == "edp":
            return self.energy_pj * self.time_s
        named = {
            "latency": self.time_s,
            "energy": self.energy_pj,
            "traffic": self.traffic_bytes,
            "compute": self.cycles,
        }
        return named[objective]

    def ties(self, objective: str) -> tuple[Floats, ...]:
        """What decides between equals, the first one first."""
        if objective == "latency":
            # to a tenth of the time: less is no reason for more tiles
            ahead = -np.floor(10 * self.ahead_s / self.time_s)
            return ahead, self.tiles, self.traffic_bytes, self.time_s
        if objective == "compute":
            return self.folds, self.traffic_bytes, self.tiles, self.time_s
        return self.time_s, self.tiles


def nests(target: Target) -> list[Nest]:
    """Every loop order with every useful set of held operands."""
    return [
        Nest(order, keep, spare)
        for order in permutations("mnk")
        for keep in keeps(order)
        for spare in spares(target)
    ]


def slack(objective: str) -> float:
    """Factor within which two values of an objective are equal."""
    return TOLERANCE if objective == "latency" else 1.0


def room(of: Measured, target: Target, nest: Nest, known: Slots) -> tuple[dict[str, Ints], Ints]:
    """Slots by operand, and bytes on chip that tiles take."""
    slots = {
        t: slots_of(t, nest.order, nest.keep, of.tiles, of.steps, nest.spare, known)
        for t in OPERANDS
    }
    again = slots["out"] + 1 + nest.spare
    spilled = of.sizes["out"] * again * (of.steps["k"] > 1) * ("out" not in nest.keep)
    total = sum(of.sizes[t] * slots[t] for t in OPERANDS) + spilled
    outputs = of.tile["b"] * of.tile["m"] * of.tile["n"]
    return slots, total + target.depth * (outputs * target.fused_bits // 8)


def cost(
    flow: Dataflow, problem: Problem, target: Target, of: Measured, nest: Nest, known: Slots
) -> tuple[Costs, bool]:
    """Cost of those measured tiles that fit under one nest; and whether any fits the buffer.

    Tiles beyond the most that a run may have are left out.
    """
    slots, total = room(of, target, nest, known)
    within = total <= target.buffer_bytes
    for operand, limit in target.operand_bytes.items():
        within &= of.sizes[operand] * slots[operand] <= limit
    most = MOST_TILES.get(target.objective, MAX_TILES["latency"])
    at = np.flatnonzero(within & (of.tiles <= most))
    return _cost(flow, problem, target, of, nest, slots, total[at], at), bool(within.any())


def _cost(
    flow: Dataflow,
    problem: Problem,
    target: Target,
    of: Measured,
    nest: Nest,
    slots: dict[str, Ints],
    room_bytes: Ints,
    at: Ints,
) -> Costs:
    meter = target.meter
    assert meter is not None
    (stream,) = set("mnk") - {flow.row_rank, flow.col_rank}
    work = of.work[nest.order[-1] == stream]
    spills = "out" not in nest.keep and problem.largest.k > 1
    loads = [of.loads[t, t in nest.keep] for t in ("in", "weight")]
    read = sum(x.size_bytes[at] for x in (*loads, of.loaded))
    written = of.stored.size_bytes[at]
    port_ps = np.sum([x.ps[at] for x in (*loads, of.loaded, of.stored)], axis=0)
    if spills:
        read = read + of.spill.size_bytes[at]
        written = written + of.spill.size_bytes[at]
        port_ps = port_ps + 2 * of.spill.ps[at]
    elements, unpacked, unpack_ps = of.unpacked["weight" in nest.keep][:, at]
    array_ps, vector_ps = work.ps[at], np.maximum(of.vector_ps[at], unpack_ps)
    busy_s = np.maximum(array_ps, vector_ps) / PS
    analytic_s = (np.maximum(busy_s * PS, port_ps) + meter.launch_ps) / PS
    flow_of = Flow(of, target, nest, slots, at)
    lag_s = work.lag_ps[at] / PS / of.all_tiles[at]
    port_s, launch_s = port_ps / PS, meter.launch_ps / PS
    time_s = flow_of.time_s(busy_s, array_ps / PS, port_s, lag_s, spills=spills) + launch_s
    p = meter.prices
    stored_form = loads[1].size_bytes[at] * (elements > 0)  # what is unpacked is read once more
    sram_read = work.sram_read[at] + of.tail_read[at] + written + stored_form
    sram_write = work.sram_write[at] + of.tail_write[at] + read + unpacked
    dynamic_pj = (
        read * p.dram_read_pj + written * p.dram_write_pj + (read + written) * p.dma_pj
        + sram_read * p.sram_read_pj + sram_write * p.sram_write_pj
        + elements * p.unpack_pj + p.fixed_pj
    )  # fmt: skip
    return Costs(
        place=at,
        time_s=time_s,
        analytic_s=analytic_s,
        dynamic_pj=dynamic_pj,
        energy_pj=dynamic_pj + p.leakage_w * PS * time_s,
        traffic_bytes=read + written,
        cycles=work.cycles[at],
        folds=work.folds[at],
        tiles=of.all_tiles[at],
        sram_bytes=sram_read + sram_write,
        ahead_s=flow_of.ahead_s(room_bytes),
    )


def mapping_of(
    flow: Dataflow, problem: Problem, target: Target, of: Measured, nest: Nest, place: int
) -> Mapping:
    """The mapping of one candidate."""
    slots, _ = room(of, target, nest, {})
    return built(
        flow,
        problem,
        target,
        nest.order,
        nest.keep,
        {r: int(v[place]) for r, v in of.tile.items()},
        {t: int(v[place]) for t, v in of.sizes.items()},
        {t: int(v[place]) for t, v in slots.items()},
        nest.spare,
    )
