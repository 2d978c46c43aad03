"""FLAT: rows of queries at a time, with all their scores on chip between both products.

Source: FLAT (Kao et al., ASPLOS 2023), as FuseMax's artifact evaluates it: softmax on the lanes in
its four passes, products output-stationary, what does not fit of a tile passing through memory.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import ClassVar

from archsim.core.errors import Unmappable
from archsim.dataflows._cascade import CascadeDataflow
from archsim.dataflows._cascade_bench import Bench, Uses, add, whole_bytes
from archsim.dataflows._three_pass import SOFTMAX, FlatThroughMemory
from archsim.ir.attention_problem import AttentionProblem
from archsim.ir.cascade import Nest, NestLoop
from archsim.ir.cascade_mapping import LANES, CascadeMapping, Passing, Place, Sweep
from archsim.ir.cascade_target import CascadeTarget, Tiling
from archsim.ir.cascades import THREE_PASS

# Einsums that write, and read, a score or a share, each once
WRITES, READS = ("QK", "SN", "A"), ("GM", "SN", "A", "AV")


class Flat(CascadeDataflow):
    """Scores, softmax and values of some rows of queries and all keys, then the next rows.

    Rows: as many tiles of queries as keep their scores on chip, of those that divide the queries;
    where one tile does not, scores pass through memory (1024 rows on an array of 256). Operands
    that are not held stream past the array, once for each tile of the other side; held are none,
    or queries and result where scores pass through memory, unless the rule lists some.
    """

    kind = "flat"
    cascade = THREE_PASS
    where: ClassVar = {
        "QK": Place("array", "p", "m"), **dict.fromkeys(SOFTMAX, LANES),
        "AV": Place("array", "p", "f"),
    }  # fmt: skip
    chained = True
    kept = frozenset({"QK", "GM", "SN", "SD", "A"})
    passed_on: ClassVar = frozenset({("SD", "SN")})

    def _case(self, bench: Bench) -> tuple[Nest, tuple[Sweep, ...], int]:
        rows = self._rows(bench)
        held = bench.tiling.held or frozenset()
        nest = _nest(bench, rows, held)
        outer = nest.loops[1].steps
        staging, spilled = self._spilled(bench, nest, rows, held)
        times = {
            word: (1 - spilled) * once + spilled * full if word in held else Fraction(full)
            for word, once, full in (("q", 1, bench.key_blocks), ("k", outer, bench.query_blocks),
                                     ("v", outer, bench.query_blocks))
        }  # fmt: skip
        at = {"q": "QK", "k": "QK", "v": "AV"}
        passing = [bench.operand(w, at[w], times[w], buffered=w in held) for w in "qkv"]
        passing.append(bench.operand("out", "AV", 1, buffered="out" in held))
        if spilled:
            passing += _spills(bench, spilled)
        filled = frozenset(word.upper() for word in "qk" if word in held)
        steps = bench.case.b * bench.query_blocks
        keys, e = bench.case.keys, bench.problem.key_dim
        written = [(bench.points, keys), (bench.points, keys * rows), (bench.points, keys)]
        if "out" in held:
            written.append((bench.tensor("AV"), e * rows))
        phases = [[bench.work("QK")], [bench.work(*SOFTMAX)], [bench.work("AV")]]
        uses = Uses(filled, extra_bytes=bench.elided(*written))
        sweep = bench.sweep(steps, phases, passing, uses)
        room = min(bench.room(nest, ("QK",)) + staging, bench.room_bytes)
        return nest, (_fill_results(bench, sweep, held),), room

    def map_cascade(
        self, problem: AttentionProblem, target: CascadeTarget, tiling: Tiling
    ) -> CascadeMapping:
        """As FLAT, or with scores through memory where not even those of one tile fit.

        Raises:
            Unmappable: when the rows that a rule asks for do not fit.
        """
        benches = [Bench(self, problem, case, target, tiling) for case in problem.cases]
        fits = all(b.room(_nest(b, b.rows), ("QK",)) <= b.room_bytes for b in benches)
        if not fits:
            return FlatThroughMemory().map_cascade(problem, target, tiling)
        return super().map_cascade(problem, target, tiling)

    def _rows(self, bench: Bench) -> int:
        """Rows of queries whose scores fit.

        Raises:
            Unmappable: when those that a rule asks for do not.
        """
        asked, total = bench.tiling.query_rows, bench.query_blocks
        fit = [
            tiles * bench.rows
            for tiles in range(1, total + 1)
            if total % tiles == 0
            and bench.room(_nest(bench, tiles * bench.rows), ("QK",)) <= bench.room_bytes
        ]
        if asked is None or asked in fit:
            return asked or fit[-1]
        raise Unmappable(
            f"{bench.problem.name}: {asked} rows of queries are no whole tiles of "
            f"{bench.rows} that divide {bench.case.m} and keep their scores on chip",
            code="E401",
            help=f"query_rows may be {', '.join(map(str, fit[-8:]))}",
            details={"option": "query_rows"},
        )

    def _spilled(
        self, bench: Bench, nest: Nest, rows: int, held: frozenset[str]
    ) -> tuple[int, Fraction]:
        """Bytes in which operands are staged, and the share of scores that finds no room for them.

        Two tiles of a streamed operand, twice the rows of a held one.
        """
        extent = {"q": rows, "out": rows, "k": bench.case.keys, "v": bench.case.keys}
        p, staging = bench.problem, Fraction(0)
        for word, width in (("q", p.key_dim), ("k", p.key_dim), ("v", p.value_dim),
                            ("out", p.value_dim)):  # fmt: skip
            high = extent[word] if word in held else bench.rows
            staging += Fraction(2 * high * width * p.dtypes[word].stored_bits) / 8
        need = bench.room(nest, ("QK",)) + staging
        return int(staging), max(Fraction(0), 1 - Fraction(bench.room_bytes) / need)


def _nest(bench: Bench, rows: int, held: frozenset[str] = frozenset()) -> Nest:
    """Rows of a tile together; inside, each Einsum runs through all keys by itself."""
    tiles = -(-rows // bench.rows)
    loops = (
        NestLoop("b", bench.case.b), NestLoop("p", -(-bench.query_blocks // tiles)),
        NestLoop("m1", bench.key_blocks), NestLoop("p", tiles),
    )  # fmt: skip
    stays = {"q": 2, "k": 3, "v": 3}  # queries over all keys, keys over the rows of the tile
    return Nest(loops, 2, bench.tile(), {w.upper(): at for w, at in stays.items() if w in held})


def _spills(bench: Bench, share: Fraction) -> list[Passing]:
    """What is touched of scores that lie outside: each write and each read by itself."""
    size = share * bench.points * bench.problem.partial_bits / 8
    writes = [Passing(f"{name} spilled", name, "write", size, buffered=False) for name in WRITES]
    reads = [Passing(f"scores of {name}", name, "read", size, buffered=False) for name in READS]
    return [*writes, *reads]


def _fill_results(bench: Bench, sweep: Sweep, held: frozenset[str]) -> Sweep:
    """Results that are held are written to the buffer once before they leave."""
    if "out" not in held:
        return sweep
    own = dict(sweep.counts["array"])
    add(own, {"sram.write": whole_bytes(bench.tensor("AV") * bench.bits("AV"))})
    return replace(sweep, counts={**sweep.counts, "array": own})
