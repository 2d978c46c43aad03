"""Is the graph of a Transformer the one that its numbers describe?"""

import pytest

from archsim.ir.op import Kind
from archsim.ir.tensor import Role
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload

TOY = {
    "architecture": "transformer", "layers": 3, "hidden": 24, "heads": 4, "kv_heads": 2,
    "head_dim": 8, "ffn": 40, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 50,
}  # fmt: skip
DECODE = {"kind": "decode", "batch": 2, "context": 16}
PREFILL = {"kind": "prefill", "batch": 2, "tokens": 5}


def graph(phase=None, dtypes=None, **changes):
    data = {
        "schema": "archsim.workload/1",
        "name": "toy",
        "model": {"config": {**TOY, **changes}},
        "phase": phase or DECODE,
        "dtypes": dtypes or {},
    }
    return lower(load_workload(data)[0])


def names(found, block="layer"):
    return [op.name for b, op in found.ops() if b.name == block]


def op(found, name):
    return next(o for _, o in found.ops() if o.name == name)


def test_a_gated_rotary_decoder_layer_has_these_ops_in_this_order():
    assert names(graph()) == [
        "attn_norm", "attn.qkv", "attn.rope", "attn.kv_append", "attn.score", "attn.softmax",
        "attn.value", "attn.out", "attn.residual",
        "ffn_norm", "ffn.gate", "ffn.up", "ffn.act", "ffn.down", "ffn.residual",
    ]  # fmt: skip


def test_embedding_comes_before_and_the_head_after_the_layers_that_repeat():
    found = graph()
    assert [(b.name, b.count) for b in found.blocks] == [("embed", 1), ("layer", 3), ("head", 1)]
    assert found.blocks[1].carry == (("hidden", "hidden.out"),)
    assert names(found, "embed") == ["embed"]
    assert names(found, "head") == ["final_norm", "lm_head"]


def test_projections_that_are_not_fused_are_each_followed_by_their_rotation():
    assert names(graph(fused_qkv=False))[1:7] == [
        "attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.rope_q", "attn.rope_k", "attn.kv_append",
    ]  # fmt: skip


@pytest.mark.parametrize("phase", [DECODE, PREFILL])
def test_fused_and_separate_projections_are_the_same_work_and_bytes(phase):
    one, three = graph(phase), graph(phase, fused_qkv=False)
    assert one.macs() == three.macs()
    assert one.read_bytes(Role.WEIGHT) == three.read_bytes(Role.WEIGHT)
    assert one.facts["parameters"] == three.facts["parameters"]


def test_an_encoder_keeps_no_cache_and_has_its_norms_where_they_are_asked_for():
    phase = {"kind": "encode", "batch": 2, "tokens": 5}
    rest = {"ffn_matrices": 2, "position": "learned", "positions": 9, "norm": "layer"}
    found = graph(phase, encoder=True, lm_head=False, final_norm=False, norm_first=False, **rest)
    assert names(found) == [
        "attn.qkv", "attn.score", "attn.softmax", "attn.value", "attn.out", "attn.residual",
        "attn_norm", "ffn.up", "ffn.act", "ffn.down", "ffn.residual", "ffn_norm",
    ]  # fmt: skip
    assert [b.name for b in found.blocks] == ["embed", "layer"]
    assert found.stored_bytes(Role.KV_CACHE) == 0
    assert not any(o.causal for _, o in found.ops())


def test_query_heads_that_share_a_key_head_are_rows_of_one_product():
    ranks = op(graph(), "attn.score").ranks
    assert ranks == {"B": 2 * 2, "M": 4 // 2, "N": 16, "K": 8}
    assert op(graph(kv_heads=1), "attn.score").ranks == {"B": 2, "M": 4, "N": 16, "K": 8}
    assert op(graph(kv_heads=4), "attn.score").ranks == {"B": 8, "M": 1, "N": 16, "K": 8}


def test_prefill_computes_the_whole_square_and_says_what_the_mask_discards():
    found = graph(PREFILL)
    assert op(found, "attn.score").ranks == {"B": 4, "M": 2 * 5, "N": 5, "K": 8}
    assert all(op(found, f"attn.{n}").causal for n in ("score", "softmax", "value"))
    square, triangle = 5 * 5, 5 * 6 // 2
    masked = 3 * 2 * 4 * 8 * 2 * (square - triangle)  # layers, batch, heads, width, two products
    assert found.macs() - found.facts["macs_causal"] == masked


def test_only_prompts_are_masked():
    prefill, decode = (op(graph(p), "attn.softmax").primitives for p in (PREFILL, DECODE))
    assert prefill["add"] == decode["add"] + 1


def test_the_head_sees_the_last_token_of_each_sequence_only():
    found = graph(PREFILL)
    assert op(found, "lm_head").ranks == {"B": 1, "M": 2, "N": 50, "K": 24}
    last = op(found, "final_norm").reads[0]
    assert last.touched == 2 * 24
    assert last.dims[0].terms == (("M", 5),)
    assert last.dims[0].offset == 4
    assert found.facts["output_tokens"] == 2


def test_decode_reads_the_context_and_appends_one_token_of_each_sequence():
    found = graph()
    token = 2 * 2 * 8 * 2  # keys and values, heads, width, bytes
    assert found.read_bytes(Role.KV_CACHE) == 3 * 2 * 16 * token
    assert found.write_bytes(Role.KV_CACHE) == 3 * 2 * token
    assert op(found, "attn.kv_append").kind is Kind.MOVE
    assert found.facts["kv_bytes_per_token"] == 3 * token


def test_prefill_reads_the_keys_and_values_that_it_wrote():
    found = graph(PREFILL)
    assert found.read_bytes(Role.KV_CACHE) == found.write_bytes(Role.KV_CACHE)
    assert found.read_bytes(Role.KV_CACHE) == found.stored_bytes(Role.KV_CACHE)


def test_a_ragged_batch_is_one_op_with_a_group_for_each_length():
    found = graph({"kind": "decode", "context": [7, 3, 7]})
    score, value = op(found, "attn.score"), op(found, "attn.value")
    assert [(g.count, dict(g.extents)) for g in score.groups] == [(2, {"N": 3}), (4, {"N": 7})]
    assert [(g.count, dict(g.extents)) for g in value.groups] == [(2, {"K": 3}), (4, {"K": 7})]
    softmax = op(found, "attn.softmax")
    assert [(g.count, dict(g.extents)) for g in softmax.groups] == [(4, {"N": 3}), (8, {"N": 7})]
    assert found.tensors["kv.keys"].shape == (17 * 2, 8)
    assert found.macs() == sum(
        graph({"kind": "decode", "batch": 1, "context": c}).macs() for c in (7, 3, 7)
    )


def test_contexts_that_are_alike_are_a_regular_batch():
    listed, batched = (
        graph({"kind": "decode", **c}) for c in ({"context": [9, 9]}, {"batch": 2, "context": 9})
    )
    assert listed.blocks == batched.blocks


def test_a_sliding_window_bounds_what_decode_attends_to():
    found = graph(sliding_window=10)
    assert op(found, "attn.score").ranks["N"] == 10
    assert found.facts["warnings"] == [
        ("W102", "tokens attend to a sliding window of 10, not to 16")
    ]
    assert found.facts["macs_per_token"] * 2 == found.macs()
    ragged = graph({"kind": "decode", "context": [4, 11, 12]}, sliding_window=10)
    assert [g.count for g in op(ragged, "attn.score").groups] == [2, 4]


def test_a_sliding_window_discards_more_of_a_prompt():
    found = graph(PREFILL, sliding_window=2)
    kept = 1 + 2 + 2 + 2 + 2
    assert found.macs() - found.facts["macs_causal"] == 3 * 2 * 4 * 8 * 2 * (25 - kept)


def test_tied_weights_exist_once():
    tied, own = graph(tied=True), graph()
    assert own.facts["parameters"] - tied.facts["parameters"] == 50 * 24
    assert own.stored_bytes(Role.WEIGHT) - tied.stored_bytes(Role.WEIGHT) == 50 * 24 * 2
    assert tied.macs() == own.macs()


def test_an_embedding_reads_one_row_a_token_and_never_more_than_there_are():
    assert op(graph(), "embed").reads[1].touched == 2 * 24
    many = graph({"kind": "prefill", "batch": 20, "tokens": 5})
    assert op(many, "embed").reads[1].touched is None


def test_a_position_row_is_read_once_however_many_sequences_use_it():
    learned = {"position": "learned", "positions": 20}

    def rows(phase):
        return op(graph(phase, **learned), "positions").reads[1].touched

    assert rows(PREFILL) == 5 * 24
    assert rows(DECODE) == 24
    assert rows({"kind": "decode", "context": [3, 3, 8]}) == 2 * 24


def test_each_role_has_its_element_type():
    found = graph(dtypes={"weights": "int4", "activations": "fp16", "kv_cache": "fp8"})
    kinds = {t.role: t.dtype.name for t in found.tensors.values()}
    assert kinds == {
        Role.WEIGHT: "int4", Role.ACTIVATION: "fp16", Role.KV_CACHE: "fp8", Role.INDEX: "int32",
    }  # fmt: skip


def test_biases_are_parameters_that_their_product_reads():
    plain = graph()
    biased = graph(qkv_bias=True, out_bias=True, ffn_bias=True)
    per_layer = (4 + 2 * 2) * 8 + 24 + 2 * 40 + 24
    assert biased.facts["parameters"] - plain.facts["parameters"] == 3 * per_layer
    assert biased.read_bytes(Role.WEIGHT) - plain.read_bytes(Role.WEIGHT) == 3 * per_layer * 2
    assert [a.tensor for a in op(biased, "attn.qkv").reads][2:] == ["attn.qkv.bias"]


def test_a_large_batch_costs_no_memory_to_describe():
    found = graph({"kind": "decode", "batch": 1_000_000, "context": 2048})
    assert op(found, "attn.score").ranks["B"] == 2_000_000
