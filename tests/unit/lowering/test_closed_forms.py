"""Do the sums over ops equal the closed forms that know nothing of ops?"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.ir.tensor import Role
from archsim.lowering.lower import describe, lower
from archsim.lowering.spec import load_workload

BASE = {
    "architecture": "transformer", "head_dim": 4, "ffn_matrices": 3, "activation": "silu",
    "norm": "rms", "vocab": 11,
}  # fmt: skip
MLA = {
    "q_lora_rank": 6, "kv_lora_rank": 5, "qk_nope_head_dim": 4, "qk_rope_head_dim": 2,
    "v_head_dim": 3,
}  # fmt: skip


def model(**changes):
    toy = {"layers": 4, "hidden": 8, "heads": 4, "kv_heads": 2, "ffn": 12, "position": "rope"}
    return {**BASE, **toy, **changes}


def build(config, phase, kv=None):
    data = {"schema": "archsim.workload/1", "name": "toy", "model": {"config": config}}
    return lower(load_workload({**data, "phase": phase, "kv": kv or {}})[0])


@st.composite
def decoders(draw):
    kv_heads = draw(st.integers(1, 2))
    config = {
        **BASE, "layers": draw(st.integers(1, 5)), "hidden": draw(st.integers(1, 6)),
        "kv_heads": kv_heads, "heads": kv_heads * draw(st.integers(1, 3)),
        "ffn": draw(st.integers(1, 6)), "tied": draw(st.booleans()),
        "block": draw(st.sampled_from(["sequential", "parallel"])),
        "sandwich_norms": draw(st.booleans()), "lm_head_bias": draw(st.booleans()),
        "position": draw(st.sampled_from(["rope", "none"])),
    }  # fmt: skip
    if config["block"] == "parallel":
        config["parallel_norms"] = draw(st.sampled_from([1, 2]))
    if draw(st.booleans()):
        config["sliding_window"] = draw(st.integers(1, 9))
        config["window_pattern"] = draw(st.sampled_from([[True], [True, False], [False, True]]))
        if config["layers"] == 1:
            config["window_pattern"] = [True]
    if draw(st.booleans()):
        few = {"experts": draw(st.integers(1, 4)), "ffn": draw(st.integers(1, 5))}
        config["moe"] = {**few, "top_k": draw(st.integers(1, few["experts"]))}
        config["dense_layers"] = draw(st.integers(0, config["layers"] - 1))
    if draw(st.booleans()):
        absorb = draw(st.sampled_from(["decode", "always", "never"]))
        config["mla"] = {**MLA, "q_lora_rank": draw(st.sampled_from([None, 3])), "absorb": absorb}
    else:
        config["qk_norm"] = draw(st.sampled_from(["none", "rms", "layer"]))
        config["attention_sinks"] = draw(st.booleans())
    return config


def chunks():
    return st.fixed_dictionaries(
        {"batch": st.integers(1, 2), "tokens": st.integers(1, 5)},
        optional={"context_before": st.integers(0, 5)},
    )


def phases():
    lengths = st.lists(st.integers(1, 9), min_size=1, max_size=3)
    decode = st.fixed_dictionaries({"context": lengths})
    return st.one_of(
        st.builds(lambda d, n: {"kind": "decode", **d, "steps": n}, decode, st.integers(1, 3)),
        chunks().map(lambda c: {"kind": "prefill", **c}),
        st.builds(
            lambda d, c: {"kind": "mixed", "decode": d, "prefill": c},
            decode, st.lists(chunks(), min_size=1, max_size=2),
        ),
    )  # fmt: skip


@given(decoders(), phases())
@settings(max_examples=150, deadline=None)
def test_stored_weights_are_the_parameters_in_every_phase(config, phase):
    graph = build(config, phase)
    assert graph.stored_bytes(Role.WEIGHT) == 2 * graph.facts["parameters"]


@given(decoders(), phases())
@settings(max_examples=150, deadline=None)
def test_what_masks_and_windows_leave_is_the_same_by_op_and_in_closed_form(config, phase):
    graph = build(config, phase)
    live = sum(block.count * op.live_points() for block, op in graph.ops() if op.is_mac)
    assert live == graph.facts["macs_causal"]


@given(decoders(), st.integers(1, 12))
@settings(max_examples=150, deadline=None)
def test_the_work_of_one_token_is_that_of_a_step_of_one_sequence(config, context):
    graph = build(config, {"kind": "decode", "context": context})
    assert graph.macs() == graph.facts["macs_per_token"]


@given(decoders(), st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_a_token_leaves_in_the_cache_what_is_said(config, context):
    graph = build(config, {"kind": "decode", "context": context})
    assert graph.write_bytes(Role.KV_CACHE) == graph.facts["kv_bytes_per_token"]


def test_a_latent_that_is_never_absorbed_is_raised_for_the_whole_context():
    config = model(mla={**MLA, "absorb": "never"})
    short, long = (build(config, {"kind": "decode", "context": n}).macs() for n in (5, 6))
    raised = 5 * 4 * (4 + 3)  # latent x heads x (key + value)
    attended = 4 * (4 + 2 + 3)  # heads x (query + value)
    assert long - short == 4 * (raised + attended)


@pytest.mark.parametrize(
    ("name", "parameters", "kv_bytes"),
    [
        # 671,026,404,352 matrices and norms, and a bias of 256 for the choice in 58 layers
        ("deepseek-v3", 671_026_404_352 + 58 * 256, 61 * (512 + 64) * 2),
        ("gpt-oss-120b", 116_829_156_672, 36 * 2 * 8 * 64 * 2),
    ],
)
def test_shipped_models_have_the_parameters_and_cache_of_their_papers(name, parameters, kv_bytes):
    found = describe(name)
    assert found["parameters"] == parameters
    assert found["kv_bytes_per_token"] == kv_bytes
