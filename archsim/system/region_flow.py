"""How operands reach the ops of a region: from which op or memory, in how many pieces, and when.

A buffer between two ops holds as many tiles as the second one runs behind the first, and one more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archsim.ir.graph import OpGraph
from archsim.ir.op import Access, Kind, Op
from archsim.ir.region import Operand, Way
from archsim.ir.tensor import Role
from archsim.system.region_work import OpWork

PIECES = 64  # most pieces in which an operand arrives
AGAIN_PIECES = 4  # of an operand that comes anew for each tile

Ways = list[tuple[Operand, ...]]  # operands of each op


class Flows:
    """Operands of a region that is cut into a given number of tiles."""

    def __init__(
        self,
        graph: OpGraph,
        resident: frozenset[str],
        ops: Sequence[Op],
        works: Sequence[OpWork],
        *,
        least_bytes: int,
        again: bool,
    ) -> None:
        """`least_bytes` is a transfer so long that it hides the memory's latency."""
        self.graph, self.resident, self.ops, self.works = graph, resident, ops, works
        self.steps, self.again = works[0].steps, again
        self.writer = {a.tensor: i for i, op in enumerate(ops) for a in op.writes}
        total = sum(self._size(op.reads[1]) for op in ops if op.is_mac)
        self.piece_bytes = max(1, least_bytes, total // PIECES)

    def ways(self) -> tuple[Ways, list[int]]:
        """Operands of each op, and the tiles that it starts behind the first."""
        ways = [self._operands(i, op) for i, op in enumerate(self.ops)]
        lags = self._lags(ways)
        return self._depths(ways, lags), lags

    def _size(self, access: Access) -> int:
        return self.graph.touched_bytes(access)

    def _operands(self, at: int, op: Op) -> tuple[Operand, ...]:
        found: dict[str, Operand] = {}
        for place, access in enumerate(op.reads):
            if access.tensor not in found:
                found[access.tensor] = self._operand(at, op, place, access)
        return tuple(found.values())

    def _operand(self, at: int, op: Op, place: int, access: Access) -> Operand:
        """How an operand reaches its op; depths come later."""
        name, size = access.tensor, self._size(access)
        role, source = self.graph.tensors[name].role, self.writer.get(name)
        second = op.is_mac and place == 1
        if source is not None and source < at and role is not Role.KV_CACHE:
            part = access.touched is not None or op.kind is Kind.GATHER
            whole = second or part
            return Operand(name, Way.WHOLE if whole else Way.PIPE, "in", source, size)
        if name in self.resident:
            return Operand(name, Way.HERE, "in")
        if second:
            return self._second(at, op, name, size)
        if self._is_parameter(op, place, access):
            return Operand(name, Way.HELD, "weight", None, size, room_bytes=size)
        return Operand(name, Way.TILES, "in", None, size)

    def _is_parameter(self, op: Op, place: int, access: Access) -> bool:
        """True for an operand that every row shares."""
        if self.graph.tensors[access.tensor].role is not Role.WEIGHT or op.kind is Kind.GATHER:
            return False
        if op.is_mac:
            return place > 1
        tensor = self.graph.tensors[access.tensor]
        touched = tensor.elements if access.touched is None else access.touched
        return touched <= op.points() // op.rows()

    def _second(self, at: int, op: Op, name: str, size: int) -> Operand:
        """What an op multiplies with."""
        source, fresh = self.writer.get(name), 0
        if source is not None and source < at:
            writes = {a.tensor: a for a in self.ops[source].writes}
            fresh = min(size, self._size(writes[name]))
        else:
            source = None
        way = Way.HELD
        if self.steps == 1 or self.works[at].by_batch:
            way = Way.PASSED
        elif self.again:
            way = Way.AGAIN
        most = {Way.AGAIN: AGAIN_PIECES, Way.PASSED: PIECES if self.steps == 1 else 1}
        pieces = max(1, min(most.get(way, PIECES), -(-(size - fresh) // self.piece_bytes)))
        if way is Way.AGAIN:
            pieces = max(pieces, 2)
        return Operand(name, way, "weight", source, size - fresh, fresh, pieces)

    def _lags(self, ways: Ways) -> list[int]:
        """Tiles that each op starts behind the first."""
        lags: list[int] = []
        for i, operands in enumerate(ways):
            lag = 0
            for o in operands:
                if o.source is None:
                    continue
                behind = {Way.PIPE: 1, Way.WHOLE: self.steps}.get(o.way)
                if behind is None:  # through memory and back
                    behind = 3 if self.ops[i].causal else self.steps + 2
                lag = max(lag, lags[o.source] + behind)
            lags.append(lag)
        return lags

    def _depths(self, ways: Ways, lags: list[int]) -> Ways:
        """Room for as many tiles as an op is behind where they come from, and one more."""
        starts = [
            lags[i] for i, ops in enumerate(ways) for o in ops if o.way is Way.TILES
        ]  # of who reads what one loader brings, tile by tile
        before = min(starts, default=0) - 1
        out = []
        for i, operands in enumerate(ways):
            out.append(tuple(self._deep(o, lags, lags[i], before) for o in operands))
        return out

    def _deep(self, o: Operand, lags: list[int], lag: int, before: int) -> Operand:
        steps = self.steps
        each = -(-o.size_bytes // steps)
        if o.way in (Way.PIPE, Way.TILES):
            start = before if o.source is None else lags[o.source]
            depth = min(steps, lag - start + 1)
            return replace(o, depth=depth, room_bytes=depth * each)
        if o.way is Way.PASSED and steps > 1:
            return replace(o, depth=2, room_bytes=2 * -(-(o.size_bytes + o.fresh_bytes) // steps))
        if o.way is Way.AGAIN:
            room = 2 * -(-(o.size_bytes + o.fresh_bytes) // o.pieces)
            return replace(o, depth=2, room_bytes=room)
        if o.way is Way.HERE:
            return o
        return replace(o, depth=o.pieces, room_bytes=o.size_bytes + o.fresh_bytes)
