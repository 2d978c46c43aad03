"""What a tile of a region is, op by op: cycles, counts, and bytes from and to memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archsim.ir.graph import OpGraph
from archsim.ir.op import Op
from archsim.ir.region import Operand, RegionMapping, Way
from archsim.system.region_work import OpWork, shares


def share(whole: int, piece: int, pieces: int) -> int:
    """One of so many shares of a whole number."""
    return whole * (piece + 1) // pieces - whole * piece // pieces


class RegionTiles:
    """The tiles of a region."""

    def __init__(
        self,
        graph: OpGraph,
        ops: Sequence[Op],
        mapping: RegionMapping,
        works: Sequence[OpWork],
    ) -> None:
        self.graph, self.ops, self.mapping, self.works = graph, ops, mapping, works
        self.steps = mapping.steps
        self.costs = [
            work.cost(op.units, op.stationary) for work, op in zip(works, mapping.ops, strict=True)
        ]

    def stored_bytes(self, at: int, tensor: str, i: int) -> int:
        """Bytes of a result that tile `i` of an op sends to memory."""
        access = next(a for a in self.ops[at].writes if a.tensor == tensor)
        return max(1, int(shares(self.graph.touched_bytes(access), self.steps)[i]))

    def loaded_bytes(self, o: Operand, at: int, i: int, *, fresh: bool) -> int:
        """Bytes of an operand that come from memory with tile `i`.

        Args:
            o: the operand.
            at: place of its op.
            i: the tile.
            fresh: of what the region has written itself, or of the rest.
        """
        whole = o.fresh_bytes if fresh else o.size_bytes
        if o.way is Way.AGAIN:
            reached = self.works[at].prefix[i]
            return 0 if fresh else int(np.ceil((o.size_bytes + o.fresh_bytes) * reached))
        if o.way is Way.HELD and not (fresh and self.ops[at].causal):
            return whole if i == 0 else 0
        if o.way in (Way.HELD, Way.PASSED, Way.TILES):
            return int(shares(whole, self.steps)[i])
        return 0

    def pieces(self, at: int, i: int) -> int:
        """Rows of an op's tile: as many as its widest operand arrives in."""
        arriving = [
            o.pieces
            for o in self.mapping.ops[at].operands
            if o.way is Way.AGAIN or (o.way in (Way.HELD, Way.PASSED) and i == 0 and o.size_bytes)
        ]
        return max(arriving, default=1)

    def cycles(self, at: int, i: int, piece: int, pieces: int) -> tuple[int, int]:
        """Cycles of a piece of an op's tile, and its lag."""
        cost = self.costs[at]
        return share(int(cost.cycles[i]), piece, pieces), int(cost.lag_cycles[i])

    def counts(self, at: int, i: int, piece: int, pieces: int) -> dict[str, int]:
        """What a piece of an op's tile counts."""
        cost = self.costs[at]
        whole = {key: int(column[i]) for key, column in cost.counts.items()}
        whole["sram.read"] = -(-int(cost.read_bits[i]) // 8)
        whole["sram.write"] = -(-int(cost.written_bits[i]) // 8)
        kind = "array" if self.ops[at].is_mac else "vector"
        whole[f"{kind}.cycles"] = int(cost.cycles[i])
        found = {key: share(n, piece, pieces) for key, n in whole.items()}
        if i == 0 and piece == 0:
            found |= self.works[at].skipped()
        return found

    def likeness(self, i: int) -> tuple[object, ...]:
        """What the rows of a tile depend on: alike tiles have the same."""
        found: list[object] = []
        for j, (op, cost) in enumerate(zip(self.mapping.ops, self.costs, strict=True)):
            columns = (cost.cycles, cost.lag_cycles, cost.read_bits, cost.written_bits)
            found += [int(column[i]) for column in (*columns, *cost.counts.values())]
            found += [self.loaded_bytes(o, j, i, fresh=f)
                      for o in op.operands for f in (False, True)]  # fmt: skip
            found += [self.stored_bytes(j, tensor, i) for tensor in op.stores]
        return tuple(found)
