"""Is the error helpful? Mistakes in a config.json, a topology and an op graph, with full text."""

import json
from textwrap import dedent

import pytest

from archsim.core.errors import ArchsimError
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload

LLAMA = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 8, "vocab_size": 9,
}  # fmt: skip
TOPOLOGY = "Layer, M, N, K,\n"
GRAPH = "schema: archsim.graph/1\nops:\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(name, text, code=3, **flags):
    with open(name, "w") as file:
        file.write(text)
    with pytest.raises(ArchsimError) as caught:
        lower(load_workload(name, **flags)[0])
    assert caught.value.exit_code == code
    return caught.value.render()


def config(code=3, **fields):
    text = json.dumps(fields, indent=2)
    return refused("config.json", text, code, phase="prefill", tokens=4)


def check(found, expected):
    assert found == dedent(expected).strip("\n")


def test_e301_an_unknown_model_type():
    expected = """
        config.json:2:17: error[E301]: model_type "lama" has no builder
            2 |   "model_type": "lama"
              |                 ^^^^^^
              = help: closest: llama; supported: bert, deepseek_v3, falcon, gemma3_text, gpt2, gpt_oss, llama, mistral, mixtral, opt, qwen2, qwen3, qwen3_moe, vit
        """  # noqa: E501 - one line on the screen
    check(config(4, model_type="lama"), expected)


def test_e301_a_variant_without_a_builder():
    expected = """
        config.json:8:26: error[E301]: add_cross_attention: cross-attention has no builder
            8 |   "add_cross_attention": true
              |                          ^^^^
        """
    gpt2 = {
        "model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 8,
        "vocab_size": 9, "add_cross_attention": True,
    }  # fmt: skip
    check(config(4, **gpt2), expected)


def test_e102_no_model_type():
    expected = """
        config.json:1:1: error[E102]: the file needs "model_type"
            1 | {
              | ^
              = help: supported: bert, deepseek_v3, falcon, gemma3_text, gpt2, gpt_oss, llama, mistral, mixtral, opt, qwen2, qwen3, qwen3_moe, vit
        """  # noqa: E501 - one line on the screen
    check(config(hidden_size=3), expected)


def test_all_mistakes_of_a_config_come_together():
    expected = """
        config.json:1:1: error[E102]: the file needs "vocab_size"
            1 | {
              | ^
              = help: example `vocab_size: 32000`
        config.json:3:18: error[E105]: hidden_size expects a whole number, got "4096"
            3 |   "hidden_size": "4096",
              |                  ^^^^^^
              = help: write it like `4096`
        config.json:4:24: error[E107]: num_hidden_layers must be greater than 0, got 0
            4 |   "num_hidden_layers": 0,
              |                        ^
        """
    fields = {**LLAMA, "hidden_size": "4096", "num_hidden_layers": 0}
    del fields["vocab_size"]
    check(config(**fields), expected)


def test_e108_an_unknown_activation():
    expected = """
        config.json:8:17: error[E108]: hidden_act "gleu" is not one of gelu, gelu_fast, gelu_new, gelu_python, gelu_pytorch_tanh, relu, silu, swish
            8 |   "hidden_act": "gleu"
              |                 ^^^^^^
              = help: did you mean "gelu"?
        """  # noqa: E501 - one line on the screen
    check(config(**LLAMA, hidden_act="gleu"), expected)


def test_e202_heads_that_do_not_divide():
    expected = """
        config.json:8:26: error[E202]: 3 key-value heads do not divide 4 heads
            8 |   "num_key_value_heads": 3
              |                          ^
        """
    check(config(**LLAMA, num_key_value_heads=3), expected)
    expected = """
        config.json:5:26: error[E202]: 5 attention heads do not divide a hidden size of 64
            5 |   "num_attention_heads": 5,
              |                          ^
        """
    check(config(**LLAMA | {"num_attention_heads": 5}), expected)


def test_contradictions_of_experts_point_at_the_field_and_say_what_would_do():
    expected = """
        config.json:10:26: error[E107]: top_k 9 exceeds the 8 experts
           10 |   "num_experts_per_tok": 9
              |                          ^
              = help: top_k: 1 to 8
        """
    mixtral = LLAMA | {"model_type": "mixtral", "num_key_value_heads": 2}
    check(config(**mixtral, num_local_experts=8, num_experts_per_tok=9), expected)


def test_a_patch_that_does_not_fit_its_image_is_pointed_at():
    expected = """
        config.json:7:17: error[E107]: a patch of 9 does not fit an image of 8 x 8
            7 |   "patch_size": 9,
              |                 ^
        """
    vit = {
        "model_type": "vit", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 8, "patch_size": 9, "image_size": 8,
    }  # fmt: skip
    check(refused("config.json", json.dumps(vit, indent=2)), expected)


def test_all_mistakes_of_a_topology_come_together():
    expected = """
        layers.csv:2:7: error[E105]: n expects a positive whole number, got "x"
            2 | a, 1, x, 3,
              |       ^
        layers.csv:3:1: error[E102]: a gemm layer has 3 numbers (m, n, k), got 2
            3 | b, 1, 2,
              | ^
        layers.csv:4:1: error[E101]: a gemm layer has 3 numbers (m, n, k), got 4
            4 | c, 1, 2, 3, 4,
              | ^
        """
    text = TOPOLOGY + "a, 1, x, 3,\nb, 1, 2,\nc, 1, 2, 3, 4,\n"
    check(refused("layers.csv", text), expected)


def test_e107_a_filter_larger_than_its_input():
    expected = """
        layers.csv:1:1: error[E107]: c1: a window of 8 x 8 does not fit an input of 4 x 4
            1 | c1, 4, 4, 8, 8, 3, 1, 1,
              | ^^
        """
    check(refused("layers.csv", "c1, 4, 4, 8, 8, 3, 1, 1,\n"), expected)


def test_e102_a_topology_without_layers():
    expected = "layers.csv: error[E102]: the file needs at least one layer"
    check(refused("layers.csv", TOPOLOGY), expected)


def test_all_mistakes_between_ops_come_together():
    expected = """
        ops.yaml:4:24: error[E002]: op "a" is given twice
            4 |   - {kind: gemm, name: a, m: 1, n: 2, k: 3, after: b}
              |                        ^
        ops.yaml:4:52: error[E201]: a comes after op "b", which does not come before it
            4 |   - {kind: gemm, name: a, m: 1, n: 2, k: 3, after: b}
              |                                                    ^
              = help: earlier ops: a
        ops.yaml:5:52: error[E202]: c reads 16 elements of a, which writes 2
            5 |   - {kind: move, name: c, rows: 4, cols: 4, after: a}
              |                                                    ^
        """
    text = """\
  - {kind: gemm, name: a, m: 1, n: 2, k: 3}
  - {kind: gemm, name: a, m: 1, n: 2, k: 3, after: b}
  - {kind: move, name: c, rows: 4, cols: 4, after: a}
"""
    check(refused("ops.yaml", GRAPH + text), expected)


def test_e108_an_op_of_no_kind():
    expected = """
        ops.yaml:3:12: error[E108]: kind "gem" is not one of attention, collective, conv, gather, gemm, move, vector
            3 |   - {kind: gem, name: a, m: 1, n: 2, k: 3}
              |            ^^^
              = help: did you mean "gemm"?
        """  # noqa: E501 - an exact message
    check(refused("ops.yaml", GRAPH + "  - {kind: gem, name: a, m: 1, n: 2, k: 3}\n"), expected)


def test_e202_an_op_graph_has_no_batch_of_its_own():
    expected = "--batch 2: error[E202]: an op graph has its batch in its own extents"
    text = GRAPH + "  - {kind: move, name: a, rows: 1, cols: 2}\n"
    check(refused("ops.yaml", text, batch=2), expected)
