"""Do options of the KV cache change what is stored, read and computed by what they say?"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim import api
from archsim.ir.tensor import Role
from archsim.lowering.lower import describe, lower
from archsim.lowering.spec import load_workload

TOY = {
    "architecture": "transformer", "layers": 3, "hidden": 24, "heads": 4, "kv_heads": 2,
    "head_dim": 8, "ffn": 40, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 50,
}  # fmt: skip
MLA = {"q_lora_rank": 12, "kv_lora_rank": 12, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4,
       "v_head_dim": 5}  # fmt: skip
DECODE = {"kind": "decode", "batch": 4, "context": 16}
MIXED = {"kind": "mixed", "decode": {"batch": 4, "context": 16}, "prefill": [{"tokens": 6}]}


def workload(kv, phase=None, dtypes=None, **changes):
    data = {
        "schema": "archsim.workload/1",
        "name": "toy",
        "model": {"config": {**TOY, **changes}},
        "phase": phase or DECODE,
        "dtypes": dtypes or {},
        "kv": kv,
    }
    return load_workload(data)[0]


def graph(kv, phase=None, dtypes=None, **changes):
    return lower(workload(kv, phase, dtypes, **changes))


def op(found, name):
    return next(o for _, o in found.ops() if o.name == name)


def cached(found):
    return [m(Role.KV_CACHE) for m in (found.stored_bytes, found.read_bytes, found.write_bytes)]


# formats


def test_keys_and_values_have_widths_and_scales_of_their_own():
    found = graph({"k_bits": 4, "v_bits": 8, "group": 8, "scale_bits": 20})
    keys, values = (found.tensors[f"kv.{n}"].dtype for n in ("keys", "values"))
    assert (keys.bits, keys.group, keys.scale_bits, keys.computes_as) == (4, 8, 20, "bf16")
    assert (values.bits, values.group, values.scale_bits) == (8, 8, 20)
    each = 3 * 2 * 8  # layers, heads, width
    token = each * 4 // 8 + each * 8 // 8 + 2 * (each // 8) * 20 // 8
    assert found.facts["kv_bytes_per_token"] == token
    assert cached(found) == [4 * 16 * token, 4 * 16 * token, 4 * token]


def test_what_is_not_said_is_the_form_of_the_whole_cache():
    found = graph({"v_bits": 4}, dtypes={"kv_cache": "fp8", "activations": "fp16"})
    assert found.tensors["kv.keys"].dtype.name == "fp8"
    assert found.tensors["kv.values"].dtype.bits == 4
    assert found.tensors["kv.values"].dtype.computes_as == "fp16"
    assert graph({"k_bits": 4, "group": 4}).tensors["kv.keys"].dtype.scale_bits == 16


def test_sixteen_bits_are_the_bytes_of_no_options():
    plain, same = graph({}), graph({"k_bits": 16, "v_bits": 16})
    assert cached(plain) == cached(same)
    assert plain.facts["kv_bytes_per_token"] == same.facts["kv_bytes_per_token"]


def test_a_latent_is_narrowed_as_a_key():
    plain, narrow = (graph(kv, mla=MLA) for kv in ({}, {"k_bits": 4}))
    assert cached(narrow) == [size // 4 for size in cached(plain)]
    assert narrow.facts["kv_bytes_per_token"] * 4 == plain.facts["kv_bytes_per_token"]


# heads and windows


@pytest.mark.parametrize("heads", [1, 4])
def test_other_heads_make_another_model(heads):
    found, other = graph({"heads": heads}), graph({}, kv_heads=heads)
    assert found.blocks == other.blocks
    assert found.facts == other.facts


@pytest.mark.parametrize("phase", [DECODE, {"kind": "prefill", "tokens": 16}])
def test_a_window_is_that_of_a_model_with_one_and_no_warning(phase):
    found, other = graph({"window": 5}, phase), graph({}, phase, sliding_window=5)
    assert found.blocks == other.blocks
    assert found.facts["warnings"] == []
    assert [code for code, _ in other.facts["warnings"]] == ["W102"]


def test_a_window_replaces_that_of_layers_that_have_one():
    pattern = {"sliding_window": 9, "window_pattern": [True, False, False]}
    found = graph({"window": 5}, **pattern)
    keys = [o.ranks["N"] for _, o in found.ops() if o.op_class == "attention_score"]
    assert sorted(keys) == [5, 16]


# a choice of tokens


def test_a_choice_scores_every_key_at_a_part_of_its_width_and_attends_to_the_best():
    found = graph({"kept": 0.25, "select_width": 3})
    assert op(found, "attn.select").ranks == {"B": 8, "M": 1, "N": 16, "K": 3}
    assert op(found, "attn.select").reads[1].touched == 8 * 16 * 3
    assert op(found, "attn.score").ranks["N"] == 4
    assert op(found, "attn.value").ranks["K"] == 4
    assert op(found, "attn.score").reads[1].touched == 8 * 4 * 8
    assert {o.op_class for _, o in found.ops() if ".select" in o.name or ".choose" in o.name} == {
        "kv_select"
    }
    assert "attn.select.index" in {a.tensor for a in op(found, "attn.softmax").reads}
    assert op(graph({"kept": 0.25}), "attn.select").ranks["K"] == 2  # a quarter of 8


def test_a_choice_stores_all_and_reads_a_part():
    plain, some = graph({}), graph({"kept": 0.5})
    assert cached(some)[0] == cached(plain)[0]
    assert cached(some)[1] == cached(plain)[1] // 2
    assert cached(some)[2] == cached(plain)[2]
    assert graph({"kept": 1.0}).blocks == plain.blocks


def test_the_share_of_a_context_is_rounded_up_as_it_is_written():
    lengths = graph({"kept": 0.1}, {"kind": "decode", "context": [30, 31, 1]})
    assert [dict(g.extents)["N"] for g in op(lengths, "attn.score").groups] == [1, 3, 4]


def test_a_choice_within_a_window_scores_what_the_window_leaves():
    found = graph({"kept": 0.5, "window": 8})
    assert op(found, "attn.select").ranks["N"] == 8
    assert op(found, "attn.score").ranks["N"] == 4


def test_latents_are_chosen_among_too():
    found = graph({"kept": 0.25}, mla=MLA)
    assert op(found, "attn.select").ranks == {"B": 4, "M": 1, "N": 16, "K": 4}
    assert op(found, "attn.score").ranks == {"B": 4, "M": 4, "N": 4, "K": 16}


# a prefix that sequences share


@given(
    contexts=st.lists(st.integers(4, 12), min_size=2, max_size=6).filter(lambda c: len(c) % 2 == 0),
    prefix=st.integers(1, 3),
    pairs=st.booleans(),
    steps=st.integers(1, 2),
    latent=st.booleans(),
)
@settings(deadline=None)
def test_a_shared_prefix_is_stored_and_read_once_and_computed_by_all(
    contexts, prefix, pairs, steps, latent
):
    phase = {"kind": "decode", "context": contexts, "steps": steps}
    kv = {"shared_prefix": prefix, **({"sharers": 2} if pairs else {})}
    changes = {"mla": MLA} if latent else {}
    plain, shared = graph({}, phase, **changes), graph(kv, phase, **changes)
    groups = len(contexts) // 2 if pairs else 1
    spared = (len(contexts) - groups) * prefix * plain.facts["kv_bytes_per_token"]
    assert cached(shared)[0] == cached(plain)[0] - spared
    assert cached(shared)[1] == cached(plain)[1] - steps * spared
    assert cached(shared)[2] == cached(plain)[2]
    assert shared.macs() == plain.macs()


def test_queries_of_a_group_meet_the_keys_of_its_prefix_in_one_product():
    found = graph({"shared_prefix": 10, "sharers": 2})
    score, value = op(found, "attn.score"), op(found, "attn.value")
    assert [(g.count, dict(g.extents)) for g in score.groups] == [
        (2 * 2, {"M": 2 * 2, "N": 10}), (4 * 2, {"M": 2, "N": 6}),
    ]  # fmt: skip
    assert [(g.count, dict(g.extents)) for g in value.groups] == [
        (2 * 2, {"M": 2 * 2, "K": 10}), (4 * 2, {"M": 2, "K": 6}),
    ]  # fmt: skip
    assert score.ranks == {"B": 12, "M": 4, "N": 10, "K": 8}
    softmax, join = op(found, "attn.softmax"), op(found, "attn.join")
    assert softmax.points() == 4 * 4 * 16
    assert softmax.rows() == 2 * 4 * 4  # each row in two parts
    assert join.ranks == {"M": 4 * 4, "N": 8}
    assert [a.tensor for a in join.reads] == ["attn.partial"]
    assert [a.tensor for a in join.writes] == ["attn.mixed"]


def test_nothing_is_shared_in_layers_whose_window_cuts_a_context():
    pattern = {"sliding_window": 9, "window_pattern": [True, False, False]}
    found = graph({"shared_prefix": 10}, **pattern)
    joins = [b.name for b, o in found.ops() if o.name.endswith("attn.join")]
    assert len(joins) == 1


def test_only_what_decodes_in_a_mixed_step_chooses_and_shares():
    for kv in ({"kept": 0.5}, {"shared_prefix": 10}):
        found, plain = graph(kv, MIXED), graph({}, MIXED)
        for name in ("score", "softmax", "value"):
            assert op(found, f"attn.prefill1.{name}") == op(plain, f"attn.prefill1.{name}")


@pytest.mark.parametrize("key", ["kept", "shared_prefix"])
def test_options_of_decoding_are_reported_to_have_no_effect_on_a_prompt(key):
    kv = {"kept": 0.5} if key == "kept" else {"shared_prefix": 3}
    found, plain = (graph(k, {"kind": "prefill", "tokens": 6}) for k in (kv, {}))
    assert found.blocks == plain.blocks
    text = f"kv.{key} has no effect: it is of sequences that decode"
    assert found.facts["warnings"] == [("W101", text)]


# whole workloads


OPTIONS = {
    "formats": {"k_bits": 4, "v_bits": 8, "group": 8},
    "choice": {"kept": 0.3},
    "sharing": {"shared_prefix": 10, "sharers": 2},
    "window": {"window": 6},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("hardware", ["npu", "h100"])
@pytest.mark.parametrize("changes", [{}, {"mla": MLA}], ids=["heads", "latent"])
def test_every_option_runs_whole_on_a_machine(name, hardware, changes):
    kv = {**OPTIONS[name], **({"v_bits": 4} if changes and name == "formats" else {})}
    result = api.run(hardware, workload(kv, **changes).to_data(), advice=False).result
    assert result["time_ps"] >= result["bound_ps"] > 0


@pytest.mark.parametrize("hardware", ["npu", "h100"])
@pytest.mark.parametrize(
    ("kv", "read"),
    [
        ({}, 4 * 512),
        ({"window": 128}, 4 * 128),
        ({"shared_prefix": 384, "sharers": 2}, 2 * 384 + 4 * 128),
        ({"kept": 0.25, "select_width": 16}, 4 * 128 + 4 * 512 * 16 // 128),
    ],
)
def test_a_machine_reads_of_the_cache_what_is_said_to_the_byte(hardware, kv, read):
    wide = {"hidden": 256, "head_dim": 64}
    work = workload(kv, {"kind": "decode", "batch": 4, "context": 512}, **wide)
    (memory,) = api.run(hardware, work.to_data(), advice=False).result["traffic"].values()
    assert memory["kv_cache_read_bytes"] == read * lower(work).facts["kv_bytes_per_token"]


def test_options_are_written_with_the_workload_and_read_again():
    work = workload({"kept": 0.3, "k_bits": 4})
    assert load_workload(work.to_data())[0] == work
    assert work.to_data()["kv"] == {"kept": 0.3, "k_bits": 4}


def test_a_model_is_described_with_its_options():
    data = workload({"heads": 1, "k_bits": 8, "v_bits": 8}).to_data()
    del data["phase"]
    assert describe(data)["kv_bytes_per_token"] == 3 * 2 * 8


def test_what_is_of_a_step_does_not_describe_a_model():
    data = workload({"shared_prefix": 9, "sharers": 4, "window": 5}).to_data()
    del data["phase"]
    assert describe(data)["macs_per_token"] == describe(workload({"window": 5}))["macs_per_token"]


def test_w101_options_of_a_model_without_a_cache():
    data = workload({"k_bits": 4}).to_data() | {"model": {"preset": "resnet-50"}, "dtypes": {}}
    found = lower(load_workload(data | {"phase": {"kind": "infer"}})[0])
    text = "kv has no effect: the model keeps no KV cache"
    assert found.facts["warnings"] == [("W101", text)]
