"""A hand-built schedule of transformer layers on an NPU, to measure the time core alone.

Two loaders, an array, a vector unit and a storer; loaders and storer share one memory timeline. It
stands in for what lowering produces. Sizes are those of Llama-3-8B (its published config.json); the
machine is round: 1 byte/ps of memory (1 TB/s), 8 arrays of 128 x 128 at 1 GHz (assumed).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from archsim.sim.program import Channel, Leaf, Loop, Program, Row, Unit

HIDDEN, FFN, KV, KV_HEADS = 4096, 14336, 1024, 8  # Llama-3-8B
TILE_K, TILE_N = 128, 1024  # rows of one array, columns of eight
BYTES = 2  # bf16
LATENCY_PS = 120_000  # of the memory, assumed
FILL_PS = 256_000  # fill and drain of a 128 x 128 array at 1 GHz
WEIGHTS, INPUTS, ARRAY, VECTOR, STORE = range(5)
W, A, O, S, DONE = range(5)  # noqa: E741 - the field's names of operands


@dataclass
class _Layer:
    """Rows and leaves of one layer as they are written."""

    rows: list[Row] = field(default_factory=list)
    tree: list[Loop | Leaf] = field(default_factory=list)
    op: int = 0

    def matmul(self, m: int, n: int, k: int, *, batch: int = 1) -> None:
        """Tiles of m x TILE_N outputs, accumulated over k; the op before must have been stored."""
        tile_m = min(m, 512)
        nest = self._tile(tile_m, min(n, TILE_N), max(k // TILE_K, 2))
        for times in (-(-n // TILE_N), -(-m // tile_m), batch):
            nest = Loop(times, (nest,), "tiles")
        wait = self._add(Row(INPUTS, 1, take=(DONE,), free=(DONE,), op=self.op))
        done = self._add(Row(STORE, 1, reserve=(DONE,), put=(DONE,), op=self.op))
        if self.op:
            self.tree.append(Leaf((wait,)))
        self.tree.append(nest)
        self.op += 1
        self.tree.append(Leaf((done,)))

    def end(self) -> None:
        """The layer ends when its last output is stored."""
        self.tree.append(Leaf((self._add(Row(INPUTS, 1, take=(DONE,), free=(DONE,), op=self.op)),)))

    def _tile(self, m: int, n: int, k_tiles: int) -> Loop:
        """One output tile: reserved at its first k step, put at its last."""
        w_ps, a_ps, o_ps = TILE_K * n * BYTES, m * TILE_K * BYTES, m * n * BYTES

        def step(reserve: tuple[int, ...], put: tuple[int, ...]) -> list[int]:
            return [
                self._add(Row(WEIGHTS, w_ps, LATENCY_PS, reserve=(W,), put=(W,), op=self.op)),
                self._add(Row(INPUTS, a_ps, LATENCY_PS, reserve=(A,), put=(A,), op=self.op)),
                self._add(Row(ARRAY, m * 1000, FILL_PS, (W, A), reserve, put, (W, A), op=self.op)),
            ]

        first, middle, last = step((O,), ()), step((), ()), step((), (O,))
        last.append(self._add(Row(VECTOR, m * 1000, 0, (O,), (S,), (S,), (O,), op=self.op)))
        last.append(self._add(Row(STORE, o_ps, 0, take=(S,), free=(S,), op=self.op)))
        body: list[Loop | Leaf] = [Leaf(tuple(first))]
        if k_tiles > 2:
            body.append(Loop(k_tiles - 2, (Leaf(tuple(middle)),), "k"))
        return Loop(1, (*body, Leaf(tuple(last))), "tile")

    def _add(self, row: Row) -> int:
        self.rows.append(row)
        return len(self.rows) - 1


def transformer(layers: int, *, tokens: int = 16, context: int = 2048, batch: int = 16) -> Program:
    """Decode of `batch` sequences (`tokens` = batch) or prefill (`tokens` = context, batch 1)."""
    layer = _Layer()
    rows_each = max(tokens // batch, 1) * (HIDDEN // KV)
    layer.matmul(tokens, HIDDEN + 2 * KV, HIDDEN)
    layer.matmul(rows_each, context, TILE_K * 2, batch=batch * KV_HEADS)
    layer.matmul(rows_each, TILE_K, context, batch=batch * KV_HEADS)
    layer.matmul(tokens, HIDDEN, HIDDEN)
    layer.matmul(tokens, 2 * FFN, HIDDEN)
    layer.matmul(tokens, HIDDEN, FFN)
    layer.end()
    units = (
        Unit("load_weights", "hbm", 0),
        Unit("load_inputs", "hbm", 1),
        Unit("array", None, 2),
        Unit("vector", None, 3),
        Unit("store", "hbm", 4),
    )
    channels = (
        Channel("W", WEIGHTS, ARRAY, 4),
        Channel("A", INPUTS, ARRAY, 4),
        Channel("O", ARRAY, VECTOR, 2),
        Channel("S", VECTOR, STORE, 2),
        Channel("done", STORE, INPUTS, 1),
    )
    block = Loop(layers, tuple(layer.tree), "layer", block=True)
    return Program(units, channels, tuple(layer.rows), (block,))
