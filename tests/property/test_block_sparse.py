"""Is attention over blocks the masked attention, and are its counts those of the mask?"""

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.testing.functional_attention_blocks import mask
from archsim.testing.proofs_of_blocks import HEADS, block_mappings, masks, verify_blocks


@settings(max_examples=200, deadline=None)
@given(blocks=masks, total=st.integers(1, 14), before=st.integers(0, 13), causal=st.booleans())
def test_counts_of_blocks_are_those_of_the_mask(blocks, total, before, causal):
    before = min(before, total - 1) if causal else 0
    size = blocks.block
    keys, new = total * size, (total - before) * size
    seen = [
        sum(blocks.sees(i, j, causal=causal) for j in range(total)) for i in range(before, total)
    ]
    assert [blocks.row(i, total, causal=causal) for i in range(before, total)] == seen
    rows = blocks.rows(new, keys, causal=causal)
    assert rows == tuple(sorted((n, seen.count(n)) for n in set(seen)))
    if causal:
        by_token = mask(blocks, keys, new, causal=True)
        reached = sum(by_token[:, j * size : (j + 1) * size].any() for j in range(total))
        assert blocks.reached(new, keys) == reached * size
        assert blocks.attended(keys) == by_token[-1].sum()
        assert blocks.attended(keys - size + 1) == by_token[-size].sum()


@settings(max_examples=150, deadline=None)
@given(mapping=block_mappings())
def test_rows_of_blocks_are_masked_attention_at_any_tiling(mapping):
    verify_blocks(mapping, mapping, 0)
    of, causal = mapping.masked, not mapping.masked.encoder
    scored = sum(
        of.blocks.sees(i, j, causal=causal)
        for i in range(of.before, of.total)
        for j in range(of.total)
    )
    heads = HEADS * of.batch * of.rows
    assert mapping.problem.points == heads * scored * of.blocks.block**2
