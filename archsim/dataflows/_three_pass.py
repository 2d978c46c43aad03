"""The three-pass cascade with its scores through memory: in three kernels, or tile by tile."""

from __future__ import annotations

from typing import ClassVar

from archsim.core.errors import Unmappable
from archsim.dataflows._cascade import CascadeDataflow
from archsim.dataflows._cascade_bench import Bench, Uses
from archsim.ir.cascade import Nest, NestLoop
from archsim.ir.cascade_mapping import LANES, Passing, Place, Sweep
from archsim.ir.cascades import THREE_PASS

SOFTMAX = ("GM", "SN", "SD", "A")
LONG_ROWS = 4  # tiles of queries that are worked on together: FuseMax's artifact, 1024 rows of 256


class ThroughMemory(CascadeDataflow):
    """Softmax on the lanes, a row at a time in the buffer, scores and shares in memory."""

    cascade = THREE_PASS
    chained = True
    kept = frozenset({"GM", "SN", "SD"})
    passed_on: ClassVar = frozenset({("SD", "SN")})

    @staticmethod
    def scores(bench: Bench) -> dict[str, Passing]:
        """Scores out and in, shares out and in: each once."""
        tensors = {"QK": ("QK", "GM"), "A": ("A", "AV")}
        size = bench.points * bench.bits("QK") / 8
        found = {}
        for name, (maker, taker) in tensors.items():
            found[f"{name} out"] = Passing(name, maker, "write", size)
            found[f"{name} in"] = Passing(name, taker, "read", size, buffered=name == "QK")
        return found


class FlatThroughMemory(ThroughMemory):
    """FLAT where not even a tile of queries has its scores on chip: queries and results stay."""

    kind = "flat"
    where: ClassVar = {
        "QK": Place("array", "p", "e"), **dict.fromkeys(SOFTMAX, LANES),
        "AV": Place("array", "p", "f"),
    }  # fmt: skip

    def _case(self, bench: Bench) -> tuple[Nest, tuple[Sweep, ...], int]:
        tiles = bench.tiles_asked() or LONG_ROWS
        outer = -(-bench.query_blocks // tiles)
        loops = (
            NestLoop("b", bench.case.b), NestLoop("p", outer),
            NestLoop("m1", bench.key_blocks), NestLoop("p", tiles),
        )  # fmt: skip
        nest = Nest(loops, 2, bench.tile(), {"Q": 2, "K": 3, "V": 3})
        score = self.scores(bench)
        passing = [
            bench.operand("q", "QK", 1),
            bench.operand("k", "QK", outer, buffered=False),
            bench.operand("v", "AV", outer, buffered=False),
            bench.operand("out", "AV", 1),
            *score.values(),
        ]
        phases = [[bench.work("QK")], [bench.work(*SOFTMAX)], [bench.work("AV")]]
        uses = Uses(
            frozenset({"Q", "QK"}),
            partial=frozenset({"AV"}),
            again=frozenset({"Q"}),  # the array turns from scores to values at each block of keys
            extra_bytes=bench.elided((bench.points, bench.case.keys)),
        )
        sweep = bench.sweep(bench.case.b * outer * bench.key_blocks, phases, passing, uses)
        return nest, (sweep,), min(bench.room(nest, ("Q", "AV")), bench.room_bytes)


class Unfused(ThroughMemory):
    """Scores, softmax and values as three kernels, one after the other, over all problems.

    Queries (of scores) and results (of values) are cut into as few blocks as keep one on chip
    beside two tiles of keys, a power of two; keys and values are read once for each block.
    """

    where: ClassVar = {
        "QK": Place("array", "p", "m"), **dict.fromkeys(SOFTMAX, LANES),
        "AV": Place("array", "p", "m"),
    }  # fmt: skip

    def _case(self, bench: Bench) -> tuple[Nest, tuple[Sweep, ...], int]:
        nest, parts, room = self._nest(bench)
        steps = bench.case.b * parts * bench.key_blocks
        score, b = self.scores(bench), bench
        products = (
            b.sweep(
                steps, [[b.work("QK")]],
                [b.operand("q", "QK", 1), b.operand("k", "QK", parts), score["QK out"]],
                Uses(frozenset("QK")),
            ),
            b.sweep(
                b.case.b * b.query_blocks, [[b.work(*SOFTMAX)]], [score["QK in"], score["A out"]],
                Uses(frozenset({"QK"}), extra_bytes=b.elided((b.points, b.case.keys))),
            ),
            b.sweep(
                steps, [[b.work("AV")]],
                [score["A in"], b.operand("v", "AV", parts), b.operand("out", "AV", 1)],
                Uses(frozenset("V"), partial=frozenset({"AV"})),
            ),
        )  # fmt: skip
        return nest, products, room

    def _nest(self, bench: Bench) -> tuple[Nest, int, int]:
        """Loops, blocks of queries, and the room of one."""
        asked = bench.tiles_asked()
        parts = bench.query_blocks // asked if asked else 1
        while True:
            tiles = -(-bench.query_blocks // parts)
            used = -(-bench.query_blocks // tiles)
            loops = (
                NestLoop("b", bench.case.b), NestLoop("p", used),
                NestLoop("m1", bench.key_blocks), NestLoop("p", tiles),
            )  # fmt: skip
            nest = Nest(loops, 0, bench.tile(), {"Q": 2, "K": 3, "V": 3})
            room = bench.room(nest, ("Q", "K", "V"))
            if room <= bench.room_bytes:
                return nest, used, room
            if asked is not None or tiles == 1:
                raise Unmappable(
                    f"{bench.problem.name}: {self.kind} holds {room} B of {tiles * bench.rows} "
                    f"queries and a block of {bench.cols} keys, {bench.room_bytes} B are free",
                    code="E401",
                    help="a larger on-chip memory" + (", or fewer query_rows" if asked else ""),
                    details={"option": "query_rows" if asked else "room"},
                )
            parts *= 2
