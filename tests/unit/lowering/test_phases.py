"""Are several steps, chunks of prompts, and both kinds of work in one step what they say?"""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim import api
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload

TOY = {
    "architecture": "transformer", "layers": 3, "hidden": 24, "heads": 4, "kv_heads": 2,
    "head_dim": 8, "ffn": 40, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 50,
}  # fmt: skip
MLA = {"q_lora_rank": 12, "kv_lora_rank": 10, "qk_nope_head_dim": 6, "qk_rope_head_dim": 2,
       "v_head_dim": 5}  # fmt: skip
MOE = {"experts": 8, "top_k": 2, "ffn": 16}
TOKEN = 3 * 2 * 2 * 8 * 2  # layers, keys and values, heads, width, bytes


def workload(phase, routing=None, **changes):
    data = {
        "schema": "archsim.workload/1",
        "name": "toy",
        "model": {"config": {**TOY, **changes}},
        "phase": phase,
        "routing": routing or {},
    }
    return load_workload(data)[0]


def graph(phase, routing=None, **changes):
    return lower(workload(phase, routing, **changes))


def decode(context, **more):
    return {"kind": "decode", "context": context, **more}


def prefill(tokens, **more):
    return {"kind": "prefill", "tokens": tokens, **more}


def mixed(sequences, *chunks):
    return {"kind": "mixed", "decode": sequences, "prefill": list(chunks)}


def op(found, name, block="layer"):
    return next(o for b, o in found.ops() if (b.name, o.name) == (block, name))


def names(found, block="layer"):
    return [o.name for b, o in found.ops() if b.name == block]


# several steps


def test_each_step_has_blocks_of_its_own_and_starts_from_the_tokens_of_the_one_before():
    found = graph(decode(16, batch=2, steps=3))
    assert [(b.name, b.count) for b in found.blocks] == [
        ("embed", 1), ("layer", 3), ("head", 1),
        ("embed@2", 1), ("layer@2", 3), ("head@2", 1),
        ("embed@3", 1), ("layer@3", 3), ("head@3", 1),
    ]  # fmt: skip
    assert names(found, "embed@2") == ["sample", "embed"]
    assert names(found, "layer@2") == names(found)
    sample = op(found, "sample", "embed@3")
    assert [a.tensor for a in sample.reads] == ["step2/logits"]
    assert [a.tensor for a in sample.writes] == ["step3/ids"]
    assert op(found, "embed", "embed@3").reads[0].tensor == "step3/ids"


@given(
    contexts=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    steps=st.integers(1, 4),
    window=st.sampled_from([None, 1, 5]),
    latent=st.booleans(),
)
@settings(deadline=None)
def test_steps_are_the_steps_alone_at_contexts_that_grow(contexts, steps, window, latent):
    changes = {"sliding_window": window, "mla": MLA if latent else None}
    together = graph(decode(contexts, steps=steps), **changes)
    alone = [graph(decode([c + i for c in contexts]), **changes) for i in range(steps)]
    assert together.macs() == sum(g.macs() for g in alone)
    for role in (Role.KV_CACHE, Role.WEIGHT):
        assert together.read_bytes(role) == sum(g.read_bytes(role) for g in alone)
        assert together.write_bytes(role) == sum(g.write_bytes(role) for g in alone)
    assert together.facts["output_tokens"] == steps * len(contexts)
    for role in (Role.KV_CACHE, Role.WEIGHT):
        assert together.stored_bytes(role) == alone[-1].stored_bytes(role)


def test_one_step_is_what_no_number_of_steps_is():
    one, none = (graph(decode(16, **more)) for more in ({"steps": 1}, {}))
    assert (one.blocks, dict(one.tensors)) == (none.blocks, dict(none.tensors))


def test_steps_grow_past_a_window_in_a_cache_of_one_shape():
    found = graph(decode([3, 5], steps=3), sliding_window=6)
    assert found.tensors["kv.keys"].shape == ((5 + 6) * 2, 8)
    assert [dict(g.extents)["N"] for g in op(found, "attn.score").groups] == [3, 5]
    assert [dict(g.extents)["N"] for g in op(found, "attn.score", "layer@3").groups] == [5, 6]


def test_each_step_draws_its_experts_anew_and_a_seed_says_them_all():
    phase = decode(16, batch=5, steps=6)
    drawn = [o.groups for _, o in graph(phase, moe=MOE).ops() if o.name == "moe.up"]
    again = [o.groups for _, o in graph(phase, moe=MOE).ops() if o.name == "moe.up"]
    assert drawn == again
    assert len(set(drawn)) > 1
    assert drawn[0] == op(graph(decode(16, batch=5), moe=MOE), "moe.up").groups


def test_a_position_table_is_exceeded_by_the_last_step():
    changes = {"position": "learned", "positions": 18}
    assert graph(decode(16, steps=3), **changes).facts["context"] == 18
    with pytest.raises(Exception, match="19 tokens exceed the 18 positions"):
        graph(decode(16, steps=4), **changes)


# chunks of prompts


def test_a_chunk_attends_to_what_is_cached_of_it_and_to_itself():
    found = graph(prefill(5, batch=2, context_before=11))
    score = op(found, "attn.score")
    assert score.ranks == {"B": 4, "M": 2 * 5, "N": 16, "K": 8}
    assert (score.queries, score.causal, score.reach) == (5, True, None)
    assert found.tensors["kv.keys"].shape == (4, 16, 8)
    assert found.read_bytes(Role.KV_CACHE) == 2 * 16 * TOKEN
    assert found.write_bytes(Role.KV_CACHE) == 2 * 5 * TOKEN
    assert found.facts["output_tokens"] == 2
    assert found.facts["context"] == 16


@given(
    tokens=st.integers(1, 12),
    before=st.integers(0, 12),
    window=st.sampled_from([None, 1, 4, 30]),
    latent=st.booleans(),
)
@settings(deadline=None)
def test_what_the_mask_discards_is_what_no_mapping_must_compute(tokens, before, window, latent):
    changes = {"sliding_window": window, "mla": MLA if latent else None}
    found = graph(prefill(tokens, context_before=before, batch=2), **changes)
    dead = sum(b.count * (o.points() - o.live_points()) for b, o in found.ops() if o.is_mac)
    assert found.facts["macs"] - found.facts["macs_causal"] == dead


@given(tokens=st.integers(2, 9), cut=st.integers(1, 8), window=st.sampled_from([None, 4]))
@settings(deadline=None)
def test_a_prompt_in_chunks_computes_what_the_whole_one_does_and_a_head_more(tokens, cut, window):
    cut = min(cut, tokens - 1)
    whole = graph(prefill(tokens), sliding_window=window)
    first = graph(prefill(cut), sliding_window=window)
    second = graph(prefill(tokens - cut, context_before=cut), sliding_window=window)
    head = 50 * 24
    assert (
        first.facts["macs_causal"] + second.facts["macs_causal"] - head
        == (whole.facts["macs_causal"])
    )
    assert first.write_bytes(Role.KV_CACHE) + second.write_bytes(Role.KV_CACHE) == (
        whole.write_bytes(Role.KV_CACHE)
    )


def test_a_chunk_of_one_token_is_a_decode_step():
    chunk, step = graph(prefill(1, context_before=15, batch=2)), graph(decode(16, batch=2))
    assert {op.phase for _, op in chunk.ops()} == {"prefill"}
    same = tuple(replace(b, ops=tuple(replace(op, phase="decode") for op in b.ops))
                 for b in chunk.blocks)  # fmt: skip
    assert (same, dict(chunk.tensors)) == (step.blocks, dict(step.tensors))


def test_in_a_mixed_step_attention_is_of_a_phase_and_what_is_shared_of_both():
    found = graph(mixed({"batch": 3, "context": 40}, {"tokens": 5}))
    ops = {op.name: op.phase for _, op in found.ops()}
    assert ops["attn.score"] == ops["attn.value"] == "decode"
    assert ops["attn.prefill1.softmax"] == "prefill"
    assert ops["attn.out"] == ops["attn.kv_append"] == "mixed"


def test_a_window_leaves_of_the_cached_tokens_those_that_the_first_new_one_sees():
    found = graph(prefill(3, context_before=20), sliding_window=5)
    assert op(found, "attn.score").ranks["N"] == 3 + 5 - 1
    assert op(found, "attn.score").reach == 5


def test_latents_of_the_cached_tokens_are_raised_again_with_those_of_a_chunk():
    found = graph(prefill(3, context_before=20), mla=MLA)
    assert op(found, "attn.kv_up").ranks == {"B": 1, "M": 23, "N": 4 * (6 + 5), "K": 10}
    assert op(found, "attn.score").ranks == {"B": 4, "M": 3, "N": 23, "K": 8}


# both at once

PARTS = ({"batch": 3, "context": 16}, {"tokens": 5, "context_before": 7}, {"tokens": 4, "batch": 2})


def alone(sequences, *chunks, **changes):
    return [graph({"kind": "decode", **sequences}, **changes)] + [
        graph({"kind": "prefill", **chunk}, **changes) for chunk in chunks
    ]


def test_linear_work_is_done_once_over_all_tokens_and_attention_by_part():
    found = graph(mixed(*PARTS))
    assert names(found) == [
        "attn_norm", "attn.qkv", "attn.rope", "attn.kv_append",
        "attn.score", "attn.softmax", "attn.value",
        "attn.prefill1.score", "attn.prefill1.softmax", "attn.prefill1.value",
        "attn.prefill2.score", "attn.prefill2.softmax", "attn.prefill2.value",
        "attn.out", "attn.residual",
        "ffn_norm", "ffn.gate", "ffn.up", "ffn.act", "ffn.down", "ffn.residual",
    ]  # fmt: skip
    tokens = 3 + 5 + 2 * 4
    for name in ("attn.qkv", "attn.out", "ffn.up", "ffn.down"):
        assert op(found, name).ranks["M"] == tokens
    assert op(found, "lm_head", "head").ranks["M"] == 3 + 1 + 2
    scores = [op(found, f"attn.{part}score") for part in ("", "prefill1.", "prefill2.")]
    assert [o.ranks for o in scores] == [
        {"B": 6, "M": 2, "N": 16, "K": 8}, {"B": 2, "M": 10, "N": 12, "K": 8},
        {"B": 4, "M": 8, "N": 4, "K": 8},
    ]  # fmt: skip
    assert [(o.queries, o.causal) for o in scores] == [(1, False), (5, True), (4, True)]


VARIANTS = {
    "plain": {},
    "position none": {"position": "none"},
    "learned": {"position": "learned", "positions": 40},
    "normed heads": {"qk_norm": "rms", "fused_qkv": False},
    "no last norm": {"final_norm": False},
    "window": {"sliding_window": 6},
    "parallel": {"block": "parallel"},
    "latent": {"mla": MLA},
    "latent, absorbed": {"mla": {**MLA, "absorb": "always"}},
    "latent, written out": {"mla": {**MLA, "absorb": "never"}},
    "latent without query ranks": {"mla": {**MLA, "q_lora_rank": None}},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_mixed_step_is_its_parts_but_weights_are_read_once(name):
    changes = VARIANTS[name]
    found, apart = graph(mixed(*PARTS), **changes), alone(*PARTS, **changes)
    assert found.macs() == sum(g.macs() for g in apart)
    assert found.facts["macs_causal"] == sum(g.facts["macs_causal"] for g in apart)
    assert found.facts["output_tokens"] == sum(g.facts["output_tokens"] for g in apart)
    for measure in ("read_bytes", "write_bytes", "stored_bytes"):
        parts = sum(getattr(g, measure)(Role.KV_CACHE) for g in apart)
        assert getattr(found, measure)(Role.KV_CACHE) == parts
    assert found.stored_bytes(Role.WEIGHT) == 2 * found.facts["parameters"]
    assert found.read_bytes(Role.WEIGHT) < sum(g.read_bytes(Role.WEIGHT) for g in apart)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_part_of_the_mixed_result_is_written(name):
    found = graph(mixed(*PARTS), **VARIANTS[name])
    whole = found.tensors["attn.mixed"].elements
    parts = [
        access.touched or whole
        for block, o in found.ops()
        for access in o.writes
        if block.name == "layer" and access.tensor == "attn.mixed"
    ]
    assert sum(parts) == whole
    written = {a.tensor for _, o in found.ops() for a in o.writes}
    read = {a.tensor for _, o in found.ops() for a in o.reads}
    outside = {n for n in read - written if found.tensors[n].role is Role.ACTIVATION}
    assert outside == set()


def test_tokens_of_all_parts_are_routed_together():
    found = graph(mixed(*PARTS), moe=MOE)
    routed = sum(g.count * dict(g.extents)["M"] for g in op(found, "moe.up").groups)
    assert routed == 2 * (3 + 5 + 2 * 4)


@pytest.mark.parametrize("hardware", ["npu", "h100"])
@pytest.mark.parametrize(
    "phase", [decode([9, 30], steps=2), prefill(6, context_before=20), mixed(*PARTS)],
    ids=["steps", "chunk", "mixed"],
)  # fmt: skip
@pytest.mark.parametrize("changes", [{}, {"mla": MLA, "moe": MOE}], ids=["heads", "latent"])
def test_every_phase_runs_whole_on_a_machine(hardware, phase, changes):
    work = workload(phase, **changes)
    result = api.run(hardware, work.to_data(), advice=False).result
    assert result["time_ps"] >= result["bound_ps"] > 0
