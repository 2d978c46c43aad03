"""Is latent attention the work that its widths describe, absorbed and written out?"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.ir.op import Kind
from archsim.ir.tensor import Role
from archsim.lowering.lower import describe, lower
from archsim.lowering.spec import load_workload

TOY = {
    "architecture": "transformer", "layers": 3, "hidden": 24, "heads": 4, "kv_heads": 4,
    "head_dim": 8, "ffn": 40, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 50,
}  # fmt: skip


def graph(mla, phase):
    data = {
        "schema": "archsim.workload/1",
        "name": "toy",
        "model": {"config": {**TOY, "mla": mla}},
        "phase": phase,
    }
    return lower(load_workload(data)[0])


def op(found, name):
    return next(o for _, o in found.ops() if o.name == name)


@st.composite
def widths(draw):
    return {
        "q_lora_rank": draw(st.one_of(st.none(), st.integers(1, 20))),
        **{
            key: draw(st.integers(1, 20))
            for key in ("kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim")
        },
    }


def queries(mla, tokens):
    """MACs from the residual stream to the queries, by hand."""
    wide = 4 * (mla["qk_nope_head_dim"] + mla["qk_rope_head_dim"])
    rank = mla["q_lora_rank"]
    return tokens * (24 * rank + rank * wide if rank else 24 * wide)


def rest(mla, tokens, sampled):
    """MACs of what does not depend on the form: latent, output, feed-forward part, head."""
    layer = 24 * (mla["kv_lora_rank"] + mla["qk_rope_head_dim"])
    layer += 4 * mla["v_head_dim"] * 24 + 3 * 24 * 40
    return 3 * tokens * layer + sampled * 50 * 24


@given(mla=widths(), batch=st.integers(1, 4), context=st.integers(1, 20))
@settings(deadline=None)
def test_a_decode_step_lowers_its_queries_to_the_latent(mla, batch, context):
    found = graph(mla, {"kind": "decode", "batch": batch, "context": context})
    rank, rope = mla["kv_lora_rank"], mla["qk_rope_head_dim"]
    lowered = rank * (mla["qk_nope_head_dim"] + mla["v_head_dim"])  # a query, and a result raised
    attention = context * (rank + rope + rank)
    own = 3 * (queries(mla, batch) + batch * 4 * (lowered + attention))
    assert found.macs() == own + rest(mla, batch, batch)
    assert found.macs() == batch * found.facts["macs_per_token"]


@given(mla=widths(), batch=st.integers(1, 4), tokens=st.integers(2, 9), before=st.integers(0, 9))
@settings(deadline=None)
def test_a_prompt_raises_the_latents_of_all_that_it_attends_to(mla, batch, tokens, before):
    phase = {"kind": "prefill", "batch": batch, "tokens": tokens, "context_before": before}
    found = graph(mla, phase)
    nope, rope, value = (mla[f"{k}_head_dim"] for k in ("qk_nope", "qk_rope", "v"))
    seen = before + tokens
    raised = batch * seen * mla["kv_lora_rank"] * 4 * (nope + value)
    attention = batch * 4 * tokens * seen * (nope + rope + value)
    own = 3 * (queries(mla, batch * tokens) + raised + attention)
    assert found.macs() == own + rest(mla, batch * tokens, batch)


@given(mla=widths(), absorb=st.sampled_from(["always", "never"]), tokens=st.integers(1, 5))
@settings(deadline=None)
def test_a_form_that_is_asked_for_is_taken_in_every_phase(mla, absorb, tokens):
    phases = (
        {"kind": "decode", "context": 7},
        {"kind": "prefill", "tokens": tokens, "context_before": 7 - tokens},
    )
    for phase in phases:
        found = graph({**mla, "absorb": absorb}, phase)
        names = {o.name for _, o in found.ops()}
        assert ("attn.k_up" in names) == (absorb == "always")
        assert ("attn.kv_up" in names) == (absorb == "never")
        assert found.stored_bytes(Role.WEIGHT) == 2 * found.facts["parameters"]


def test_the_cache_is_key_and_value_at_once():
    mla = {"q_lora_rank": 12, "kv_lora_rank": 10, "qk_nope_head_dim": 6, "qk_rope_head_dim": 2,
           "v_head_dim": 5}  # fmt: skip
    found = graph(mla, {"kind": "decode", "batch": 2, "context": 16})
    score, value = op(found, "attn.score"), op(found, "attn.value")
    assert score.reads[1].tensor == value.reads[1].tensor == "kv.latent"
    assert score.ranks == {"B": 2, "M": 4, "N": 16, "K": 12}
    assert value.ranks == {"B": 2, "M": 4, "N": 10, "K": 16}
    assert found.read_bytes(Role.KV_CACHE) == found.stored_bytes(Role.KV_CACHE)
    assert op(found, "attn.kv_append").kind is Kind.MOVE
    assert found.write_bytes(Role.KV_CACHE) == 2 * found.facts["kv_bytes_per_token"]


def test_a_token_of_deepseek_leaves_576_elements_a_layer():
    assert describe("deepseek-v3")["kv_bytes_per_token"] == 70_272 == 61 * (512 + 64) * 2


@pytest.mark.parametrize("tokens", [1, 2])
def test_deepseek_counts_as_its_paper_says(tokens):
    """DeepSeek-V3 (2024), section 4.2: widths; the sum is of one token that attends to `tokens`."""
    h, heads, rank, rope, nope, value, q_rank = 7168, 128, 512, 64, 128, 128, 1536
    attention = h * q_rank + q_rank * heads * (nope + rope) + h * (rank + rope)
    attention += heads * rank * (nope + value) + heads * value * h
    attention += heads * tokens * (2 * rank + rope)
    experts = h * 256 + 3 * h * 2048 * (8 + 1)
    expected = 61 * attention + 3 * 3 * h * 18432 + 58 * experts + 129280 * h
    found = lower(load_workload("deepseek-v3", phase="decode", context=tokens)[0])
    assert found.macs() == expected
