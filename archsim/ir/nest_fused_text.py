"""A fused feed-forward nest as text for people: shared loops, what is held, and both products."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archsim.ir.nest import NestMapping
from archsim.ir.nest_fused import RANKS

if TYPE_CHECKING:
    from archsim.ir.mapping import Mapping as MatrixMapping
    from archsim.ir.nest_fused import FusedNest


def render(nest: FusedNest) -> str:
    """The nest as text, one loop a line, with what each operand holds."""
    e = nest.problem.largest
    extents = "  ".join(f"{rank} {e[rank]}" for rank in RANKS if e[rank] > 1)
    lines, indent = [f"{nest.name}: {nest.dataflow} on {nest.engine}   [{extents}]"], "  "
    for rank in "bmf":
        if nest.steps(rank) > 1:
            lines.append(f"{indent}for {rank} in {nest.steps(rank)} tiles of {nest.tile[rank]}")
            indent += "  "
    for operand, room in nest.room_bytes().items():
        stays = " (held)" if operand in nest.keep and nest.steps("f") > 1 else ""
        lines.append(f"{indent}hold {operand}: {room} B{stays}")
    firsts = "gate and up" if nest.problem.firsts > 1 else "up"
    works = (("k", f"{firsts} += in weight"), ("n", "out += hidden weight"))
    for i, (rank, what) in enumerate(works):
        lines.append(f"{indent}for {rank} in {nest.steps(rank)} tiles of {nest.tile[rank]}")
        lines.append(f"{indent}  {what}")
        if nest.inner:
            lines += [f"{indent}    {line}" for line in _array(nest.inner[i])]
        if rank == "k":
            ahead = ", while the next one's are made" if nest.hidden_tiles > 1 else ""
            lines.append(f"{indent}hidden = activation of the sums{ahead}")
    return "\n".join(lines)


def _array(inner: MatrixMapping | NestMapping) -> list[str]:
    """How the array runs a tile of a product."""
    if isinstance(inner, NestMapping):
        found = []
        for level in inner.levels[1:]:
            if level.name == "registers":
                found.append(f"registers hold {', '.join(sorted(level.keeps)) or 'nothing'}")
            for loop in level.loops:
                how = f"over {loop.axis}" if loop.axis else "in turn"
                found.append(f"{loop.rank} {how}, {loop.tile} each")
        return found
    return [
        f"{'spatial' if loop.spatial else 'stream'} {loop.rank} over {loop.at}: {loop.tile}"
        for loop in inner.lies or inner.spatial
    ]
