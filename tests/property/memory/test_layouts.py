"""Do the tiles of a layout cover their tensor, each byte once, wherever its bytes lie?"""

from math import prod

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from archsim.memory.layout import Pattern, accesses, scattered
from archsim.system.layouts import KvLayout, appended, cached, matrix


def bytes_of(pattern: Pattern) -> np.ndarray:
    """Offsets of every byte of every tile, in order."""
    tiles = max(1, prod(n for n, _ in pattern.tiles))
    starts = np.concatenate([pattern.starts(i) for i in range(tiles)])
    if pattern.page_bytes:
        starts = scattered(starts, pattern.page_bytes, pattern.pages, seed=1)
    return (starts[:, None] + np.arange(pattern.piece_bytes)).ravel()


@st.composite
def cut(draw: st.DrawFn, ranks: str) -> tuple[dict[str, int], dict[str, int]]:
    """Extents by rank, and tiles that divide them."""
    tile = {r: draw(st.integers(1, 4)) for r in ranks}
    return {r: tile[r] * draw(st.integers(1, 4)) for r in ranks}, tile


@given(cut("bmnk"), st.permutations("mnk"), st.sampled_from(["mk", "kn", "mn"]))
def test_tiles_of_a_matrix_cover_it_once(sizes, order, axes):
    extents, tile = sizes
    row, column = axes
    pattern = matrix(16, extents, tile, ("b", *order), row, column)
    found = np.sort(bytes_of(pattern))
    whole = 2 * extents["b"] * extents[row] * extents[column]
    assert found.tolist() == list(range(whole))


@given(
    sequences=st.integers(1, 3),
    heads=st.sampled_from([1, 2, 4]),
    wide=st.sampled_from([1, 2, 4]),
    pages=st.integers(1, 4),
    per_tile=st.integers(1, 4),
    page=st.sampled_from([None, 2, 4]),
    order=st.sampled_from(["head_major", "token_major"]),
    is_scattered=st.booleans(),
)
def test_tiles_of_keys_cover_them_once(
    sequences, heads, wide, pages, per_tile, page, order, is_scattered
):
    tokens = pages * per_tile * (page or 2)
    keys = per_tile * (page or 2)
    together = sequences * heads
    if together % wide or (wide < heads and heads % wide) or (wide > heads and wide % heads):
        wide = 1
    layout = KvLayout(order=order, page=page, scattered=is_scattered)
    pattern = cached(layout, 16, (together, tokens, 4), heads, (wide, keys))
    found = np.sort(bytes_of(pattern))
    assert found.tolist() == list(range(2 * together * tokens * 4))


@given(
    tokens=st.integers(1, 40),
    keys=st.integers(1, 40),
    page=st.integers(1, 60),
    order=st.sampled_from(["head_major", "token_major"]),
)
def test_pages_of_any_length_are_read_inside_the_tensor(tokens, keys, page, order):
    pattern = cached(KvLayout(order=order, page=page), 16, (4, tokens, 4), 2, (2, keys))
    tiles = prod(n for n, _ in pattern.tiles)
    starts = np.concatenate([pattern.starts(i) for i in range(tiles)])
    assert starts.min() >= 0
    assert scattered(starts, pattern.page_bytes, pattern.pages, seed=1).max() < (
        pattern.page_bytes * pattern.pages
    )
    assert tiles * pattern.tile_bytes >= 4 * tokens * 4 * 2


@given(
    sequences=st.integers(1, 3),
    heads=st.sampled_from([1, 2, 4]),
    order=st.sampled_from(["head_major", "token_major"]),
    tokens=st.sampled_from([1, 2, 4]),
)
def test_new_tokens_fill_the_cache_once(sequences, heads, order, tokens):
    pattern = appended(KvLayout(order=order), 16, (sequences * heads, 8, 4), heads, tokens)
    found = np.sort(bytes_of(pattern))
    assert found.tolist() == list(range(sequences * heads * 8 * 4 * 2))


@given(
    starts=st.lists(st.integers(0, 1000), min_size=1, max_size=8),
    size=st.integers(1, 300),
    access=st.sampled_from([32, 64]),
)
def test_bursts_cover_each_piece(starts, size, access):
    found = accesses(np.array(starts), size, access)
    assert not (found % access).any()
    at = 0
    for start in starts:
        count = (start + size - 1) // access - start // access + 1
        mine = found[at : at + count]
        assert mine.tolist() == [start // access * access + i * access for i in range(count)]
        at += count
    assert at == len(found)


@given(
    st.integers(1, 16), st.sampled_from([64, 256]), st.data(),
)  # fmt: skip
def test_scattering_moves_whole_pages(pages, page_bytes, data):
    offsets = np.array(
        data.draw(st.lists(st.integers(0, pages * page_bytes - 1), min_size=1, max_size=20))
    )
    found = scattered(offsets, page_bytes, pages, seed=3)
    assert (found % page_bytes == offsets % page_bytes).all()
    moved = {a // page_bytes: b // page_bytes for a, b in zip(offsets, found, strict=True)}
    assert len(set(moved.values())) == len(moved)
    assert found.max() < pages * page_bytes
