"""A mapping of a region: ops side by side on a fabric, run as one pipeline of tiles of tokens.

Here lives what the plan of a region says: who has how many units, what passes between ops and how
much of it waits on chip, what comes from memory and when. How the plan is chosen, and how it
becomes rows through time, is the system's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from archsim.core.errors import LawViolation
from archsim.core.html import Rendered
from archsim.core.units import format_bytes


class Way(StrEnum):
    """How an operand reaches its op."""

    PIPE = "pipe"  # from an op of the region, tile by tile
    WHOLE = "whole"  # from an op of the region, once all of its tiles are there
    TILES = "tiles"  # from memory, a share of it with each tile
    HELD = "held"  # from memory, once: it stays until the region ends
    PASSED = "passed"  # from memory, once: let go as soon as it has been used
    AGAIN = "again"  # from memory, anew for each tile
    HERE = "here"  # on chip before the region begins


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that an op of a region reads.

    Attributes:
        tensor: its name.
        word: in | weight, as counts of bytes name it.
        source: place in the region of the op that writes it; None where it comes from outside.
        size_bytes: that the op reaches, without `fresh_bytes`.
        fresh_bytes: of them, what the region itself has written to memory before (the new tokens
            of a cache), which can be read back only then.
        pieces: in which its first share arrives.
        depth: tiles, or pieces, that may wait on chip.
        room_bytes: that it takes there.
    """

    tensor: str
    way: Way
    word: str
    source: int | None = None
    size_bytes: int = 0
    fresh_bytes: int = 0
    pieces: int = 1
    depth: int = 1
    room_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """An op of a region and what it was given.

    Attributes:
        name, op_class: of the op.
        units: compute units.
        stationary: weight | input | output: what its cells hold; empty where nothing multiplies.
        operands: in the order of the op's reads.
        stores: tensors that it sends to memory.
        stays: tensors that leave the region and stay on chip.
        lag: tiles that it starts behind the first op.
    """

    name: str
    op_class: str
    units: int
    stationary: str
    operands: tuple[Operand, ...]
    stores: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    lag: int = 0


@dataclass(frozen=True)
class RegionMapping(Rendered):
    """Ops that are launched once and run as a pipeline.

    Attributes:
        name: path of the stage.
        engine: name in the machine.
        ops: in the order of the block.
        steps: tiles that the tokens are cut into.
        tokens: of the widest tile.
        masked: tiles of an attention end where its mask does.
        units, memory_units: of the fabric.
        memory_used: memory units that hold operands and stage buffers.
        room_bytes: of them.
        estimate_s: closed form of its time, by which tiles are chosen; its launch left out.
    """

    name: str
    engine: str
    ops: tuple[Placed, ...]
    steps: int
    tokens: int
    masked: bool
    units: int
    memory_units: int
    memory_used: int
    room_bytes: int
    estimate_s: float
    dataflow: str = "region"

    @property
    def order(self) -> tuple[str, ...]:
        """Loops over tiles, outermost first."""
        return ("m",)

    @property
    def tile(self) -> Mapping[str, int]:
        """Extents of a tile."""
        return {"m": self.tokens}

    @property
    def keep(self) -> frozenset[str]:
        """Tensors that are held on chip while all tiles pass."""
        return frozenset(
            operand.tensor for op in self.ops for operand in op.operands if operand.way is Way.HELD
        )

    def check(self) -> None:
        """Refuse a region that its fabric cannot be.

        Raises:
            LawViolation: for units that are not there, an op without one, an operand from an op
                that comes later, or a buffer without room for a tile.
        """
        used = sum(op.units for op in self.ops)
        if used > self.units or self.memory_used > self.memory_units:
            raise LawViolation(
                f"{self.name} takes {used} of {self.units} compute units and {self.memory_used} of "
                f"{self.memory_units} memory units"
            )
        for i, op in enumerate(self.ops):
            if op.units < 1:
                raise LawViolation(f"{self.name}: {op.name} has no unit")
            for o in op.operands:
                if o.source is not None and o.source >= i:
                    raise LawViolation(f"{self.name}: {op.name} reads {o.tensor} before it is made")
                if o.depth < 1:
                    raise LawViolation(f"{self.name}: no tile of {o.tensor} fits before {op.name}")

    def render(self) -> str:
        """The pipeline as text: a line an op, and what waits before it."""
        used = sum(op.units for op in self.ops)
        many = f"{len(self.ops)} ops" if len(self.ops) > 1 else "1 op"
        lines = [
            f"{self.name}: {self.dataflow} of {many} on {self.engine}   "
            f"[{used} of {self.units} compute units, {self.memory_used} of {self.memory_units} "
            f"memory units: {format_bytes(self.room_bytes)}]",
            f"  for m in {self.steps} tiles of {self.tokens} rows, all ops at once",
        ]
        for op in self.ops:
            held = f", {op.stationary} stationary" if op.stationary else ""
            lines.append(f"    {op.name}: {op.units} units{held}")
            lines += [f"      {self._word(operand)}" for operand in op.operands]
            lines += [f"      store {tensor}" for tensor in op.stores]
        return "\n".join(lines)

    def _word(self, o: Operand) -> str:
        room = f"room for {o.depth}: {format_bytes(o.room_bytes)}"
        if o.source is not None and o.way in (Way.PIPE, Way.WHOLE):
            return f"{o.way} {o.tensor} from {self.ops[o.source].name}, {room}"
        if o.way is Way.HERE:
            return f"here {o.tensor}"
        fresh = f", {format_bytes(o.fresh_bytes)} of it new" if o.fresh_bytes else ""
        whole = format_bytes(o.size_bytes + o.fresh_bytes)
        return f"load {o.tensor}, {o.way}: {whole}{fresh}, {room}"
