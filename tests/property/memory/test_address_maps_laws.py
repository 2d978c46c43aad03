"""Has every mapping an inverse, and every address a place of its own?"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.memory.address import RAMULATOR, AddressMap
from archsim.memory.standard import load_standard, standard_names

NAMES = standard_names()
SMALL = 1 << 12


@st.composite
def written_orders(draw, bits):
    """A bit order in which fields come in pieces, and some bits are XORed with the row's."""
    pieces = []
    for name, total in bits.items():
        left = total
        while left:
            size = draw(st.integers(1, left))
            xor = ""
            if name not in ("row", "column") and draw(st.booleans()):
                source = draw(st.sampled_from(["row", "column"]))
                xor = f"^{source}>>{draw(st.integers(0, bits[source] - 1))}"
            pieces.append(f"{name}:{size}{xor}")
            left -= size
    return " ".join(draw(st.permutations(pieces)))


@st.composite
def maps(draw):
    """An address map of any shipped standard, in any form of writing."""
    tables = load_standard(draw(st.sampled_from(NAMES))).tables()
    channels = draw(st.sampled_from([1, 2, 16]))
    bits = AddressMap(tables, channels, "RoBaRaCoCh").bits
    mapping = draw(st.one_of(st.sampled_from(RAMULATOR), written_orders(bits)))
    return AddressMap(tables, channels, mapping)


@given(maps(), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_decoding_and_encoding_gives_the_access_back(places, seed):
    draw = np.random.default_rng(seed)
    addresses = draw.integers(0, places.capacity_bytes, 200, dtype=np.int64)
    aligned = addresses - addresses % places.tables.access_bytes
    assert (places.encode(places.decode(addresses)) == aligned).all()


@given(maps(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_neighbouring_accesses_never_share_a_place(places, seed):
    access = places.tables.access_bytes
    start = np.random.default_rng(seed).integers(0, places.capacity_bytes // access - SMALL)
    got = places.decode((start + np.arange(SMALL, dtype=np.int64)) * access)
    seen = np.stack([got.channel, got.bank, got.row, got.column], axis=1)
    assert len(np.unique(seen, axis=0)) == SMALL


@given(maps(), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_every_place_is_within_the_memory(places, seed):
    draw = np.random.default_rng(seed)
    got = places.decode(draw.integers(0, places.capacity_bytes, 300, dtype=np.int64))
    limits = (places.channels, places.tables.banks, places.tables.rows, places.tables.bursts)
    for values, limit in zip((got.channel, got.bank, got.row, got.column), limits, strict=True):
        assert ((values >= 0) & (values < limit)).all()
