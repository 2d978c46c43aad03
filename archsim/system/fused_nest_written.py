"""The fused nest of a mapping rule, read for a feed-forward block; and a fused nest as YAML data.

Each of its two products is read as a nest of its own, with the shared loops above its own: so all
that is refused there is refused here, at its place in the description.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archsim.core.errors import Unmappable
from archsim.dataflows.base import dataflows
from archsim.ir.nest import NestLoop, NestMapping
from archsim.ir.nest_fused import FusedNest
from archsim.ir.nest_text import read_loop
from archsim.system.nest_matrix import nest_data
from archsim.system.nest_rule import BufferLevel, NestLevels, NestRule, OuterLevel
from archsim.system.nest_written import Written

PRODUCTS = ("first", "last")
OWN = {"first": "K", "last": "N"}  # rank of a product that is not shared
AS = {"first": "N", "last": "K"}  # what F is to a product
ORDER = ("B", "M", "F")
KEEPS = ("in", "weight", "out")


class FusedWritten:
    """The fused nest of a rule, by its number."""

    def __init__(self, number: int, rule: NestRule, op: str) -> None:
        assert rule.fuse is not None
        self.rule, self.number, self.op = rule.fuse, number, op
        self.dataflow = rule.dataflow
        self.shared = [read_loop(text) for text in rule.fuse.loops]

    @property
    def path(self) -> str:
        """Dotted path of the nest."""
        return f"mapping[{self.number}].nest.fuse"

    def check(self, extents: Mapping[str, int]) -> None:
        """Refuse another dataflow's name, and loops that make hidden tiles again or use sums early.

        Args:
            extents: of the block, by rank.

        Raises:
            Unmappable: with the reason, and its place.
        """
        if self.dataflow in dataflows:
            self.refuse(
                f"{self.dataflow} is a template of one product", f"mapping[{self.number}].nest."
                "dataflow", "leave `dataflow` out, or give it a name of your own",
            )  # fmt: skip
        seen: list[str] = []
        for i, loop in enumerate(self.shared):
            rank, at = loop.rank, f"{self.path}.loops[{i}]"
            if loop.axis:
                self.refuse(f"{rank} is dealt to {loop.axis} over tiles of the buffer", at)
            if rank == "N":
                self.refuse(
                    "a loop over N around the first products makes every hidden tile again in "
                    "each of its steps", at, "fuse.last.dram: {loops: [N/...]}",
                )  # fmt: skip
            if rank == "K":
                self.refuse(
                    "a loop over K around the activation hands it sums that are not complete", at,
                    "fuse.first.dram: {loops: [K/...]}",
                )  # fmt: skip
            if rank in seen:
                self.refuse(f"rank {rank} has 2 shared loops", at)
            if seen and ORDER.index(rank) < ORDER.index(seen[-1]):
                self.refuse(
                    f"a loop over {rank} inside that over {seen[-1]}: shared loops are B, M, F, "
                    "outermost first", at,
                )  # fmt: skip
            if loop.tile > extents[rank.lower()]:
                most = extents[rank.lower()]
                reason = f"{loop} cuts the block of {most} {rank}, and is larger"
                self.refuse(reason, at, f"{rank}/{most} or less")
            seen.append(rank)
        for which in PRODUCTS:
            for i, text in enumerate(getattr(self.rule, which).dram.loops):
                rank, own = read_loop(text).rank, OWN[which]
                if rank != own:
                    self.refuse(
                        f"the {which} product has a loop over {rank} of its own, and only that "
                        f"over {own} is not shared", f"{self.path}.{which}.dram.loops[{i}]",
                    )  # fmt: skip

    def refuse(self, reason: str, path: str, help: str | None = None) -> None:
        """Refuse the nest.

        Raises:
            Unmappable: always.
        """
        message = f"{self.op}: {reason}"
        raise Unmappable(message, code="E401", help=help, details={"path": path})

    def product(self, which: str) -> Written:
        """The nest of one of the products: shared loops, then its own."""
        return _Product(self, which)


class _Product(Written):
    """The nest of one product of a fused nest, with the places where its parts are written."""

    def __init__(self, fused: FusedWritten, which: str) -> None:
        levels = getattr(fused.rule, which)
        self.fused, self.which = fused, which
        self.shared = [_renamed(loop, which) for loop in fused.shared]
        whole = NestLevels(
            dram=OuterLevel(loops=(*self.shared, *levels.dram.loops)),
            buffer=BufferLevel(keep=KEEPS, loops=levels.buffer.loops),
            registers=levels.registers,
        )
        rule = NestRule(levels=whole)
        super().__init__(fused.number, rule, fused.op)

    def path(self, level: str = "", loop: str = "") -> str:
        """Dotted path of a level, or of a loop in it, as the fused nest has them."""
        base, at = self.fused.path, f"{self.fused.path}.{self.which}"
        if level == "dram" and loop in self.shared:
            return f"{base}.loops[{self.shared.index(loop)}]"
        levels = getattr(self.fused.rule, self.which)
        given = getattr(levels, level, None)
        if given is None or level not in levels.to_data():
            return at
        loops = list(given.loops)
        return f"{at}.{level}" + (f".loops[{loops.index(loop)}]" if loop in loops else "")


def _renamed(loop: NestLoop, which: str) -> str:
    """A shared loop as a product has it."""
    rank = AS[which] if loop.rank == "F" else loop.rank
    return str(NestLoop(rank, loop.tile, loop.axis))


def fused_data(nest: FusedNest) -> dict[str, Any]:
    """A fused nest as a mapping rule takes it."""
    tile = nest.tile
    data: dict[str, Any] = {
        "loops": [f"{rank}/{tile[rank.lower()]}" for rank in ORDER],
        "keep": sorted(nest.keep),
        "depth": nest.depth,
        "ahead": nest.ahead,
    }
    for which, inner in zip(PRODUCTS, nest.inner, strict=True):
        own = OWN[which]
        levels = _levels(inner)
        levels["dram"] = {"loops": [f"{own}/{tile[own.lower()]}"]}
        levels["buffer"] = {"loops": levels["buffer"]["loops"]}
        data[which] = {name: levels[name] for name in ("dram", "buffer", "registers")
                       if name in levels}  # fmt: skip
    return {"dataflow": nest.dataflow, "fuse": data}


def _levels(inner: Any) -> dict[str, Any]:
    """Levels of the nest of one product."""
    found = inner.to_data() if isinstance(inner, NestMapping) else nest_data(inner)
    assert found is not None  # it was read from one
    return dict(found["levels"])
