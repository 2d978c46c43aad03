"""A mapping of a matrix product on an array: outputs stay, weights stay on chip while tokens pass.

Operands arrive in equal shares over the whole product, those of weights ahead of their first use
behind the op before: the longer of array and memory decides, as FuseMax's artifact has it.
"""

from __future__ import annotations

from dataclasses import dataclass

from archsim.ir.kernel import GridMapping


@dataclass(frozen=True, kw_only=True)
class LinearMapping(GridMapping):
    """A product whose weights stay, or of which so many rows stay while weights pass again.

    Attributes:
        rows_kept: rows of the input that stay; 0 where the weights do.
    """

    rows_kept: int = 0
    dataflow: str = "fusemax_linear"

    @property
    def order(self) -> tuple[str, ...]:
        """Loops over tiles, outermost first."""
        return ("b", "m", "n")

    @property
    def keep(self) -> frozenset[str]:
        """What stays in the buffer."""
        return frozenset({"in"} if self.rows_kept else {"weight"})

    def render(self) -> str:
        """The loop nest as text."""
        e = max(self.cases, key=lambda e: e.b * e.m * e.n)
        g = self.grid
        stays = f"{self.rows_kept} rows of the input" if self.rows_kept else "all weights"
        lines = [
            f"{self.name}: {self.dataflow} on {self.engine}   [b {e.b}  m {e.m}  n {e.n}  k {e.k}]",
            f"  hold {stays}",
            f"  for tile in {g.tiles}:  # m {g.m} over rows, n {g.n} over cols",
            f"    stream k over {g.k}",
        ]
        for word, flows in (("load", self.loads), ("store", self.stores)):
            lines += [f"  {word} {f.tensor}: {f.size_bytes} B" for f in flows]
        return "\n".join(lines)
