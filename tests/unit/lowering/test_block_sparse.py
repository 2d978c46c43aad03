"""What does a mask of blocks leave of a workload: scores, bytes of the cache, facts, bound?"""

import pytest

from archsim import api
from archsim.ir.tensor import Role
from archsim.lowering.lower import describe, lower
from archsim.lowering.spec import load_workload

BLOCK, LOCAL, FIRST = 64, 4, 1


def workload(phase, model="llama-3-8b", **mask):
    mask = {"block": BLOCK, "local": LOCAL, "global": FIRST} | mask
    return {
        "schema": "archsim.workload/1", "name": "sparse", "model": {"preset": model},
        "phase": phase, "attention": {"block_sparse": mask},
    }  # fmt: skip


def graph(*args, **mask):
    return lower(load_workload(workload(*args, **mask))[0])


def ops(of, op_class):
    return [op for block in of.blocks for op in block.ops if op.op_class == op_class]


def dense(phase):
    return lower(load_workload({k: v for k, v in workload(phase).items() if k != "attention"})[0])


PREFILL = {"kind": "prefill", "batch": 2, "tokens": 2048}
# rows of 1, 2, 3, 4 blocks, then five each: four local ones and the first
SCORED = 1 + 2 + 3 + 4 + (2048 // BLOCK - 4) * 5


def test_a_prompt_scores_the_blocks_of_the_mask_and_no_others():
    sparse = graph(PREFILL)
    (score,), (softmax,), (value,) = (
        ops(sparse, c) for c in ("attention_score", "softmax", "attention_value")
    )
    points = 2 * 32 * SCORED * BLOCK**2  # two sequences of 32 heads
    assert softmax.points() == points
    assert score.macs() == value.macs() == points * 128
    assert score.queries == BLOCK
    whole = 2 * 32 * 2048**2
    assert dense(PREFILL).macs() - sparse.macs() == 32 * 2 * 128 * (whole - points)
    # a causal mask is left in each row's own block
    assert sparse.macs() - sparse.facts["macs_causal"] == (
        32 * 2 * 128 * 2 * 32 * (2048 // BLOCK) * (BLOCK * (BLOCK - 1) // 2)
    )
    assert score.live_points() == score.points() - 2 * 32 * 32 * BLOCK * (BLOCK - 1) // 2 * 128


def test_a_decode_step_reads_the_blocks_of_the_last_row():
    sparse = graph({"kind": "decode", "context": [2048, 2049, 130]})
    (score,) = ops(sparse, "attention_score")
    # 32 blocks: 4 local and the first; of 33 the last has one token; of 3 all are seen
    keys = {5 * BLOCK: 1, 4 * BLOCK + 1: 1, 130: 1}
    assert {dict(g.extents)["N"]: g.count // 8 for g in score.groups} == keys
    per_token = 2 * 8 * 128 * 2  # keys and values of 8 heads in 16 bit
    assert sparse.read_bytes(Role.KV_CACHE) == 32 * per_token * sum(keys)
    assert sparse.facts["kv_cache_bytes"] == 32 * per_token * (2048 + 2049 + 130)
    alone = graph({"kind": "decode", "context": 2049})
    assert sparse.facts["macs_per_token"] == alone.facts["macs_per_token"] == alone.macs()


def test_a_chunk_reaches_what_any_of_its_rows_sees():
    sparse = graph({"kind": "prefill", "tokens": 2 * BLOCK, "context_before": 20 * BLOCK})
    (score,) = ops(sparse, "attention_score")
    # rows 20 and 21 see block 0, blocks 17 to 21 between them, five each
    assert score.groups[0].count == 2 * 8
    assert dict(score.groups[0].extents)["N"] == 5 * BLOCK
    assert score.reads[1].touched == 6 * BLOCK * 8 * 128


def test_an_encoder_sees_blocks_on_both_sides_and_its_first_block_sees_all():
    sparse = graph({"kind": "encode", "tokens": 512}, "bert-base", local=2)
    (score,) = ops(sparse, "attention_score")
    # of 8 blocks: the first sees 8; the second 0, 1, 2; the last 0, 6, 7; others 0 and three
    blocks = {8: 1, 3: 2, 4: 5}
    assert {dict(g.extents)["N"] // BLOCK: g.count // 12 for g in score.groups} == blocks
    assert not score.causal


def test_sequences_that_decode_and_prompts_in_one_step_have_their_own_rows():
    phase = {
        "kind": "mixed", "decode": {"batch": 3, "context": 1000}, "prefill": [{"tokens": 1024}]
    }  # fmt: skip
    scores = ops(graph(phase), "attention_score")
    # row 15 of a context of 1000 holds 40 tokens
    assert [op.points() for op in scores] == [
        3 * 32 * (4 * BLOCK + 40) * 128,
        32 * (1 + 2 + 3 + 4 + 12 * 5) * BLOCK**2 * 128,
    ]


@pytest.mark.parametrize("hardware", ["npu", "h100"])
def test_time_bytes_and_bound_fall_with_the_mask(hardware):
    phase = {"kind": "decode", "batch": 16, "context": 16384}
    sparse = api.run(hardware, workload(phase), fidelity="analytic", advice=False).result
    plain = api.run(
        hardware,
        "llama-3-8b",
        phase="decode",
        batch=16,
        context=16384,
        fidelity="analytic",
        advice=False,
    ).result
    assert sparse["time_ps"] < plain["time_ps"] / 2
    assert sparse["bound_ps"] < plain["bound_ps"] / 2
    read = [m["traffic"]["hbm"]["kv_cache_read_bytes"] for m in (sparse, plain)]
    assert read[0] * 16384 == read[1] * 5 * BLOCK


def test_a_mask_that_leaves_nothing_out_says_so():
    facts = describe(load_workload(workload(PREFILL))[0])
    assert facts["macs"] == graph(PREFILL).macs()
    for phase in (PREFILL, {"kind": "decode", "context": 256}):
        (warning,) = graph(phase, local=32).facts["warnings"]
        assert warning == ("W101", "attention.block_sparse has no effect: no block is left out")
        assert graph(PREFILL).facts["warnings"] == []
