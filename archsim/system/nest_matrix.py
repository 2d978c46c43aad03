"""Loop nests of systolic arrays: from the language to a `Mapping`, and from a `Mapping` to text.

A systolic array sees an op as a matrix product: its ranks are B M N K, for a convolution groups,
output pixels, filters of a group, and taps of all channels. Loops over tiles may come in any order
inside B; inside the array, two ranks lie along rows and columns and the third one streams.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from archsim.core.errors import Unmappable
from archsim.dataflows._grid import OPERANDS, tile_bytes
from archsim.dataflows.base import Dataflow, dataflows
from archsim.ir.mapping import REUSED, Buffer, Mapping
from archsim.ir.nest import NestLoop
from archsim.ir.nest_check import check_cuts
from archsim.ir.nest_text import read_loop
from archsim.ir.problem import Problem
from archsim.ir.target import Target
from archsim.system.nest_label import HELD, check_matrix_label
from archsim.system.nest_written import Written


def matrix_mapping(given: Written, view: Problem, target: Target) -> Mapping:
    """A rule's nest as a mapping of a systolic array.

    Raises:
        Unmappable: with the reason, and its place in the description.
    """
    with given.located():
        reading = _Reading(given, view, target)
        mapping = reading.mapping()
        extents = {rank.upper(): n for rank, n in reading.extents.items()}
        check_cuts(view.op.name, extents, given.loops())
        check_matrix_label(view.op.name, given.rule.dataflow, dataflows.get(mapping.dataflow)())
        return mapping


def nest_data(mapping: Mapping) -> dict[str, Any] | None:
    """A mapping of a systolic array in the language of nests; None where it has no words for it."""
    flow = next(
        (f() for f in dataflows.classes() if _plain(f) and f.kind == mapping.dataflow), None
    )
    if flow is None or mapping.stationary != flow.stationary:
        return None
    rows, cols = flow.row_rank, flow.col_rank
    (stream,) = set("mnk") - {rows, cols}
    side = {loop.at: loop.tile for loop in mapping.spatial if loop.spatial}
    keep = [
        f"{operand} over {REUSED[operand].upper()}" if operand in mapping.keep else operand
        for operand in OPERANDS
    ]
    buffer: dict[str, Any] = {
        "keep": keep,
        "loops": [
            "B/1",
            f"{rows.upper()}/{side['rows']}",
            f"{cols.upper()}/{side['cols']}",
            f"{rows.upper()}/1 @rows",
            f"{cols.upper()}/1 @cols",
        ],
        "depth": {operand: buffer.slots for operand, buffer in mapping.buffers.items()},
    }
    outer = [f"{rank.upper()}/{mapping.tile[rank]}" for rank in mapping.order]
    inner = {"keep": [HELD[flow.stationary]], "loops": [f"{stream.upper()}/1"]}
    levels = {"dram": {"loops": outer}, "buffer": buffer, "registers": inner}
    return {"dataflow": mapping.dataflow, "levels": levels}


def _plain(flow: type[Dataflow]) -> bool:
    """True for templates whose mapping one nest of three ranks says."""
    return flow.stages == "product" and flow.stationary in HELD


class _Reading:
    """One nest on its way to a mapping."""

    def __init__(self, given: Written, view: Problem, target: Target) -> None:
        self.data, self.view, self.target = given.data["levels"], view, target
        self.extents = {rank: view.largest.of(rank) for rank in "bmnk"}

    def mapping(self) -> Mapping:
        order, tile = self._outer()
        flow = self._flow()
        self._folds(flow, tile)
        keep = self._keep(order, tile)
        target, view = self.target, self.view
        if target.whole_rows and tile["n"] < self.extents["n"]:
            self._refuse("a fused reduction follows, which needs whole rows: N is cut", "dram")
        mapping = Mapping(
            problem=view,
            engine=target.engine,
            dataflow=flow.kind,
            stationary=flow.stationary,
            order=order,
            tile=tile,
            keep=keep,
            buffers={},
            spatial=flow.spatial(tile, target),
        )
        mapping = replace(mapping, buffers=self._buffers(flow, mapping))
        mapping.check(target)
        return mapping

    def _refuse(self, reason: str, level: str, loop: str = "", help: str = "") -> None:
        details = {"level": level, "loop": loop}
        message = f"{self.view.op.name}: {reason}"
        raise Unmappable(message, code="E401", help=help or None, details=details)

    def _loops(self, level: str) -> list[NestLoop]:
        loops = [read_loop(text) for text in self.data.get(level, {}).get("loops", ())]
        for loop in loops:
            if loop.rank not in "BMNK":
                self._refuse(
                    f"no rank {loop.rank}: {self.target.engine} runs it as a matrix product, "
                    "whose ranks are B, M, N, K", level, str(loop),
                )  # fmt: skip
        return loops

    def _outer(self) -> tuple[tuple[str, ...], dict[str, int]]:
        """Loops over tiles: their order, and the extent of a tile by rank."""
        tile, order = dict(self.extents), []
        for loop in self._loops("dram"):
            rank = loop.rank.lower()
            if loop.axis:
                self._refuse(f"{loop.rank} is dealt to {loop.axis} at dram", "dram", str(loop))
            if rank in order:
                self._refuse(f"rank {loop.rank} has 2 loops over tiles", "dram", str(loop))
            order.append(rank)
            tile[rank] = min(loop.tile, self.extents[rank])
        if "b" in order[1:]:
            if any(tile[r] < self.extents[r] for r in order[: order.index("b")]) and (
                tile["b"] < self.extents["b"]
            ):
                self._refuse("the loop over B is not the outermost one", "dram")
            order.remove("b")
        # ranks without a loop have one step, and change nothing wherever they are
        rest = [rank for rank in "mnk" if rank not in order]
        return ("b", *rest, *(r for r in order if r != "b")), tile

    def _flow(self) -> Dataflow:
        """The template that has these ranks along rows and columns."""
        spatial = [loop for loop in self._loops("buffer") if loop.axis]
        for loop in spatial:
            if loop.axis == "count":
                self._refuse(
                    f"{self.target.engine} deals its folds to its arrays by itself", "buffer",
                    str(loop), "leave the loop over count out",
                )  # fmt: skip
            if loop.tile != 1:
                self._refuse(f"a cell of {self.target.engine} works on one {loop.rank}, not "
                             f"{loop.tile}", "buffer", str(loop))  # fmt: skip
        lies = {loop.axis: loop.rank.lower() for loop in spatial}
        known = []
        for kind in dataflows.classes():
            if _plain(kind):
                flow = kind()
                known.append(f"{flow.row_rank.upper()} @rows {flow.col_rank.upper()} @cols")
                if lies == {"rows": flow.row_rank, "cols": flow.col_rank} and len(spatial) == 2:
                    self._stays(flow)
                    return flow
        here = " ".join(f"{loop.rank} @{loop.axis}" for loop in spatial) or "nothing at once"
        self._refuse(
            f"{self.target.engine} has no dataflow with {here}", "buffer",
            help=f"it has {'; '.join(sorted(known))}",
        )  # fmt: skip
        raise AssertionError

    def _stays(self, flow: Dataflow) -> None:
        """Registers keep the stationary operand, and the third rank streams."""
        inner = self.data.get("registers", {})
        kept = [text.split()[0] for text in inner.get("keep", ())]
        want = HELD[flow.stationary]
        if kept != [want]:
            self._refuse(
                f"cells keep {', '.join(kept) or 'nothing'}, and with {flow.row_rank.upper()} over "
                f"rows and {flow.col_rank.upper()} over columns they keep {want}", "registers",
            )  # fmt: skip
        (stream,) = set("mnk") - {flow.row_rank, flow.col_rank}
        if self.extents[stream] == 1 and not self._loops("registers"):
            return
        if [str(loop) for loop in self._loops("registers")] != [f"{stream.upper()}/1"]:
            self._refuse(
                f"rank {stream.upper()} streams through cells one by one", "registers",
                help=f"loops: [{stream.upper()}/1]",
            )  # fmt: skip

    def _folds(self, flow: Dataflow, tile: dict[str, int]) -> None:
        """Loops that cut a tile to the size of the array are the array's own, and no smaller."""
        side = {flow.row_rank: self.target.rows, flow.col_rank: self.target.cols}
        for loop in (loop for loop in self._loops("buffer") if not loop.axis):
            rank = loop.rank.lower()
            own = min(side[rank], tile[rank]) if rank in side else 1
            if rank == "b" and loop.tile == 1:
                continue
            if rank not in side:
                self._refuse(f"rank {loop.rank} streams, and is not cut again", "buffer", str(loop))
            if loop.tile > side[rank]:
                axis = "rows" if rank == flow.row_rank else "cols"
                self._refuse(
                    f"{loop.tile} {loop.rank} do not fit the {side[rank]} {axis} of "
                    f"{self.target.engine}", "buffer", str(loop),
                )  # fmt: skip
            if loop.tile != own:
                self._refuse(
                    f"a fold of {self.target.engine} takes {own} {loop.rank}, not {loop.tile}",
                    "buffer", str(loop),
                )  # fmt: skip

    def _keep(self, order: tuple[str, ...], tile: dict[str, int]) -> frozenset[str]:
        """Operands held over the loop that does not change them.

        By the rule of nests a tile stays while only such a loop steps: that needs no word.
        """
        inner = [rank for rank in order if tile[rank] < self.extents[rank]]
        last = {order[-1], *inner[-1:]}
        keep, here = {operand for operand in OPERANDS if REUSED[operand] in last}, []
        for text in self.data["buffer"]["keep"]:
            operand, _, rank = text.partition(" over ")
            here.append(operand)
            if rank and rank != REUSED[operand].upper():
                self._refuse(
                    f"{text}: {operand} changes with {rank}", "buffer",
                    help=f"`{operand} over {REUSED[operand].upper()}`",
                )  # fmt: skip
            if rank:
                keep.add(operand)
        for operand in OPERANDS:
            if operand not in here:
                self._refuse(f"{operand} is kept nowhere on chip", "buffer",
                             help=f"add {operand} to what buffer keeps")  # fmt: skip
        return frozenset(keep)

    def _buffers(self, flow: Dataflow, mapping: Mapping) -> dict[str, Buffer]:
        """Room of each operand: tiles as large as the largest, as many as are asked for."""
        steps = mapping.steps(self.view.largest)
        one = {rank: np.array([n], dtype=np.int64) for rank, n in mapping.tile.items()}
        times = {rank: np.array([n], dtype=np.int64) for rank, n in steps.items()}
        sizes = tile_bytes(flow, self.view, self.target, one, times)
        depth = self.data["buffer"].get("depth", {})
        spare = self.target.depth - 1
        buffers = {}
        for operand in OPERANDS:
            size = int(sizes[operand][0])
            held = max(mapping.pieces(operand, e) for e in self.view.cases)
            every = steps["b"] * steps["m"] * steps["n"] * steps["k"]
            if operand in mapping.keep:
                every //= steps[REUSED[operand]]
            slots = depth.get(operand, held + spare if every > held else held)
            if size:
                buffers[operand] = Buffer(size, slots)
        if mapping.spills:
            again = buffers["out"].slots + 1 + spare
            buffers["partial"] = Buffer(buffers["out"].tile_bytes, depth.get("partial", again))
        return buffers
