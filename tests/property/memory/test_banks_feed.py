"""Does an array's operand feed ask the banks for what a walk over the tile's elements asks for?"""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.components.systolic_array import SystolicArray
from archsim.ir.op import dims
from archsim.ir.problem import problem
from archsim.ir.target import Tiles
from archsim.memory.sram import Sram
from archsim.system.operand_feed import FOLDS, Lanes
from archsim.testing.problems import conv, gemm

# (rank of the lanes, rank of the next vector, by rows of the array) of each operand
WALKS = {
    "weight": {"in": ("k", "m", True), "weight": ("n", "k", False), "out": ("n", "m", False)},
    "input": {"in": ("m", "k", False), "weight": ("k", "n", True), "out": ("m", "n", False)},
    "output": {"in": ("m", "k", True), "weight": ("n", "k", False), "out": ("n", "m", False)},
}
STREAMS = {"weight": "m", "input": "n", "output": "k"}


@st.composite
def machines(draw):
    """An array and a memory, of few cells and small banks."""
    banks = draw(st.sampled_from([1, 2, 4, 8]))
    width = draw(st.sampled_from([8, 16, 32, 64]))
    chunk = width // 8 * draw(st.integers(1, 3))
    data = {
        "capacity": f"{banks * chunk * 4096} B",
        "banks": banks,
        "width_bits": width,
        "interleave": f"{chunk} B",
        "swizzle": draw(st.sampled_from(["none", "xor"])),
        "ports": draw(st.sampled_from([1, 2, {"read": 2, "write": 1}])),
    }
    array = {
        "rows": draw(st.integers(1, 6)),
        "cols": draw(st.integers(1, 6)),
        "count": draw(st.integers(1, 3)),
        "rates": {"int8": draw(st.integers(1, 3))},
    }
    memory = Sram("sram", Sram.Spec(**data), 10**9)
    return SystolicArray("array", SystolicArray.Spec(**array), 10**9), memory


def asked(engine, memory, view, stationary, m, n, k):
    """What the feed counts for one tile, and the tile's own cost."""
    one = lambda x: np.array([x])  # noqa: E731
    flag = one(True)
    tiles = Tiles(stationary, one(1), one(m), one(n), one(k), flag, ~flag, flag, ~flag)
    bare = engine.cost(tiles, "int8")
    return Lanes(engine, view, memory, "int8").feed(tiles, bare), bare


def by_hand(banks, address, bits, lanes, others, wide, together):
    """Cycles, words and conflict cycles of a pass: every vector of every fold, bit by bit."""
    total = [0, 0, 0, 0]
    for low in range(0, lanes, wide):
        for start in range(0, others, together):
            words = {
                (address(lane, start + j) + bit) // banks.width_bits
                for lane in range(low, min(low + wide, lanes))
                for j in range(together)
                for bit in range(bits)
            }
            load = [0] * banks.count
            for word in words:
                chunk = word * banks.width_bits // banks.interleave_bits
                upper = chunk // banks.count % banks.count if banks.xor else 0
                load[chunk % banks.count ^ upper] += 1
            taken = -(-max(load) // banks.ports)
            least = max(1, -(-len(words) // (banks.count * banks.ports)))
            new = (1, taken, len(words), taken - least)
            total = [a + b for a, b in zip(total, new, strict=True)]
    return total


def check(engine, memory, view, stationary, m, n, k, address):
    """Compare each operand of a tile; `address` gives that of an element by its two ranks."""
    feed, bare = asked(engine, memory, view, stationary, m, n, k)
    size = {"m": m, "n": n, "k": k}
    elements = {"in": bare.in_reads, "weight": bare.weight_reads, "out": bare.out_writes}
    rate = engine.spec.rates["int8"]
    for word, (lane, other, by_rows) in WALKS[stationary].items():
        bits = 32 if word == "out" else 8
        together = rate if other == STREAMS[stationary] else 1
        wide = engine.spec.rows if by_rows else engine.spec.cols
        if size[other] % together or size[lane] // wide > FOLDS:
            continue  # a last access of fewer positions is counted as whole; many folds by a mean
        once = by_hand(
            memory.write_banks if word == "out" else memory.read_banks,
            lambda i, j, w=word, a=lane, b=other: address(w, **{a: i, b: j}),
            bits,
            size[lane],
            size[other],
            wide,
            together,
        )
        passes = int(elements[word][0]) // (size[lane] * size[other])
        some = feed.asked[word]
        got = [some.accesses[0], some.cycles[0], some.words[0], some.conflict_cycles[0]]
        assert got == [passes * x for x in once], word


@settings(max_examples=60)
@given(
    machines(),
    st.sampled_from(sorted(WALKS)),
    st.tuples(*[st.integers(1, 13)] * 3),
    st.tuples(*[st.booleans()] * 3),
)
def test_a_product_asks_for_its_operands_as_they_lie(machine, stationary, size, turned):
    (engine, memory), (m, n, k) = machine, size
    op, tensors = gemm(1, m, n, k)
    order = {
        word: ranks[::-1] if turn else ranks
        for (word, ranks), turn in zip(
            {"in": "mk", "weight": "kn", "out": "mn"}.items(), turned, strict=True
        )
    }
    a, w, o = (dims("B", *ranks.upper()) for ranks in order.values())
    op = replace(
        op,
        reads=(replace(op.reads[0], dims=a), replace(op.reads[1], dims=w)),
        writes=(replace(op.writes[0], dims=o),),
    )
    width = memory.spec.width_bits

    def address(word, **at):
        bits = 32 if word == "out" else 8
        outer, inner = order[word]
        pitch = -(-{"m": m, "n": n, "k": k}[inner] * bits // width) * width
        return at[outer] * pitch + at[inner] * bits

    check(engine, memory, problem(op, tensors, 32), stationary, m, n, k, address)


@settings(max_examples=60)
@given(
    machines(),
    st.sampled_from(sorted(WALKS)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(4, 9), st.integers(4, 9)),
    st.integers(1, 3),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
)
def test_a_convolution_asks_for_windows_of_its_image(
    machine, stationary, channels, image, taps, window
):
    engine, memory = machine
    stride, dilation = window
    if dilation * (taps - 1) >= min(image):
        dilation = 1
    filters, inner = channels
    op, tensors = conv(1, 1, filters, inner, image, taps, (stride, dilation, 0))
    r, width = op.ranks, memory.spec.width_bits
    m, n, k = r["OH"] * r["OW"], filters, inner * taps * taps

    def padded(bits):
        return -(-bits // width) * width

    def address(word, **at):
        if word == "weight":
            return at["n"] * padded(8 * k) + 8 * at["k"]
        if word == "out":
            return at["n"] * padded(32 * m) + 32 * at["m"]
        high, wide = divmod(at["m"], r["OW"])
        channel, tap = divmod(at["k"], taps * taps)
        row = high * stride + tap // taps * dilation + channel * image[0]
        return row * padded(8 * image[1]) + 8 * (wide * stride + tap % taps * dilation)

    check(engine, memory, problem(op, tensors, 32), stationary, m, n, k, address)
