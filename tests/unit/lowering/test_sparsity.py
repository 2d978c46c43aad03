"""Do stated zeros, forms of scores and asked-for logits change the graph as they say?"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.api import run
from archsim.core.errors import InputError
from archsim.ir.tensor import DType, Role, Sparsity
from archsim.lowering.lower import lower
from archsim.lowering.sparsity import WeightRule
from archsim.lowering.spec import load_workload


def graph(preset="llama-3-8b", phase=None, **more):
    data = {
        "schema": "archsim.workload/1", "name": "w", "model": {"preset": preset},
        "phase": phase or {"kind": "prefill", "tokens": 64}, **more,
    }  # fmt: skip
    return lower(load_workload(data)[0])


@pytest.mark.parametrize(
    ("rule", "elements", "expected"),
    [
        ({"pattern": "2:4"}, 64, 64 + 8),  # 32 of 16 bits, and 2 bits each
        ({"density": 0.25, "index_bytes": 2}, 64, 32 + 32),
        ({"density": 0.5, "block": 16, "index_bytes": 1}, 64, 64 + 2),  # two blocks
        ({"density": 1.0, "index_bytes": 0}, 64, 128),
        ({"pattern": "1:8"}, 16, 4 + 1),  # two of 16 bits, and 3 bits each
    ],
)
def test_what_is_stored_is_the_kept_elements_and_where_they_stand(rule, elements, expected):
    assert DType("bf16", 16, sparse=WeightRule(**rule).form).bytes(elements) == expected


@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=20),
    st.integers(1, 8), st.integers(1, 8), st.integers(1, 40), st.integers(0, 20),
    st.sampled_from([(0, 0), (32, 8), (128, 20)]),
)  # fmt: skip
def test_tiles_hold_at_least_what_the_tensor_holds(tiles, kept, more, block, index, scales):
    form = DType("x", 4, *scales, sparse=Sparsity(kept, kept + more, block, index))
    whole = sum(tiles)
    assert sum(form.bytes(n) for n in tiles) >= form.bytes(whole)
    assert form.bytes(whole) >= int(form.stored_bits * whole / 8 * (1 - 1e-9))
    assert form.bytes_of(np.array(tiles)).tolist() == [form.bytes(n) for n in tiles]


def test_only_the_weights_that_a_rule_names_are_thin():
    rules = {"weights": [{"tensors": "ffn.*.weight", "pattern": "2:4"}]}
    dense, thin = graph(), graph(sparsity=rules)
    sizes = {
        name: thin.tensors[name].bytes / tensor.bytes
        for name, tensor in dense.tensors.items()
        if tensor.role is Role.WEIGHT
    }
    assert {ratio for name, ratio in sizes.items() if name.startswith("ffn.")} == {0.5625}
    assert {ratio for name, ratio in sizes.items() if not name.startswith("ffn.")} == {1.0}
    assert thin.macs() == dense.macs()


def test_rules_that_name_nothing_are_warned_of():
    found = graph(
        sparsity={
            "weights": [{"tensors": "ffm.*", "pattern": "2:4"}],
            "activations": [{"tensors": "nope", "zeros": 0.5}],
        },
        dtypes={"mixed": [{"tensors": "none.*", "dtype": "int8"}]},
    )
    assert found.facts["warnings"] == [
        ("W101", 'dtypes.mixed[0] has no effect: no weight or activation is named "none.*"'),
        ("W101", "sparsity.weights[0] has no effect: no such tensor"),
        ("W101", "sparsity.activations[0] has no effect: no such tensor"),
    ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"pattern": "4:2"}, '"4:2" is no pattern N:M'),
        ({"pattern": "2:4", "density": 0.5}, "needs exactly one of pattern, density"),
        ({}, "needs exactly one of pattern, density"),
        ({"density": 0.5, "index_bytes": 0.3}, "index_bytes: 0.3 is no whole number of bits"),
    ],
)
def test_a_rule_that_says_nothing_sound_is_refused(rule, message):
    with pytest.raises(InputError) as caught:
        graph(sparsity={"weights": [rule]})
    assert message in caught.value.render()


def test_logits_of_all_positions_are_one_row_a_token():
    last, every = (
        graph(phase={"kind": "prefill", "tokens": 64, "logits": n}) for n in ("last", "all")
    )
    heads = [next(op for _, op in g.ops() if op.name == "lm_head") for g in (last, every)]
    assert [op.ranks["M"] for op in heads] == [1, 64]


@pytest.mark.parametrize("preset", ["llama-2-7b", "yi-6b"])
def test_scores_of_all_heads_at_once_multiply_each_by_the_channels_of_all(preset):
    apart, once = graph(preset), graph(preset, scores="block_diagonal")
    one, all_ = (next(op for _, op in g.ops() if op.name == "attn.score") for g in (apart, once))
    assert all_.macs() == 32 * one.macs()
    assert (all_.ranks["M"], all_.ranks["N"], all_.ranks["K"]) == (32 * 64, 64, 4096)
    assert all_.repeated == {"llama-2-7b": 1, "yi-6b": 8}[preset]
    rest = once.macs() - apart.macs()
    assert rest == 32 * (all_.macs() - one.macs())  # layers
    assert once.read_bytes(Role.KV_CACHE) == apart.read_bytes(Role.KV_CACHE)


def test_scores_without_several_heads_are_warned_of():
    found = graph("resnet-50", phase={"kind": "infer"}, scores="block_diagonal")
    text = "scores has no effect: no product of scores has several heads"
    assert ("W101", text) in found.facts["warnings"]


@pytest.mark.parametrize("zeros", [0.99, 0.9999, 0.99999, 0.999999999])
def test_a_share_of_zeros_below_one_leaves_some_that_are_not(zeros):
    made = graph(sparsity={"activations": [{"zeros": zeros}]})
    shares = {t.zeros for t in made.tensors.values() if t.role is Role.ACTIVATION}
    assert all(0.98 < share < 1 for share in shares)


def test_an_engine_that_skips_nearly_all_zeros_still_runs():
    work = {
        "schema": "archsim.workload/1", "name": "w",
        "model": {"layers": [{"name": "fc", "m": 64, "n": 64, "k": 64}]},
        "sparsity": {"activations": [{"zeros": 0.99999}]},
    }  # fmt: skip
    found = run("npu", work, set_=["engines.array.skips=both"], fidelity="analytic")
    assert found.ops[0]["macs"] == 64 * 64  # one of the reduction is left
