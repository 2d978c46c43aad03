"""Is the error helpful? Every mistake in a workload, with its full text, line and column."""

from textwrap import dedent

import pytest

from archsim.core.errors import ArchsimError
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload

HEAD = "schema: archsim.workload/1\nname: w\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(source, text=None, **flags):
    if text is not None:
        with open(source, "w") as file:
            file.write(text)
    with pytest.raises(ArchsimError) as caught:
        lower(load_workload(source, **flags)[0])
    assert caught.value.exit_code == 3
    return caught.value.render()


def check(found, expected):
    assert found == dedent(expected).strip("\n")


def test_e003_no_such_name():
    expected = """
        error[E003]: no file, no shipped workload and no model "lama-3-8b"
              = help: did you mean "llama-3-8b"?
        """
    check(refused("lama-3-8b"), expected)


def test_e101_an_unknown_key():
    expected = """
        w.yaml:3:1: error[E101]: unknown key "modle" at the top level
            3 | modle: {preset: gpt2-small}
              | ^^^^^
              = help: did you mean "model"?  (archsim schema workload lists all keys)
        """
    check(refused("w.yaml", HEAD + "modle: {preset: gpt2-small}\n"), expected)


def test_e102_no_model():
    expected = """
        w.yaml:3:1: error[E102]: model needs exactly one of preset, hf_config, topology, onnx, graph, stream, networks; got none
            3 | model: {}
              | ^^^^^
              = help: example `model: {preset: llama-3-8b}`
        """  # noqa: E501 - one line on the screen
    check(refused("w.yaml", HEAD + "model: {}\n"), expected)


def test_e102_a_phase_without_its_length():
    expected = """
        w.yaml:4:1: error[E102]: phase needs "context"
            4 | phase: {kind: decode, batch: 8}
              | ^^^^^
              = help: example `context: 2048`
        """
    text = "model: {preset: llama-3-8b}\nphase: {kind: decode, batch: 8}\n"
    check(refused("w.yaml", HEAD + text), expected)


def test_e102_a_model_of_tokens_without_a_phase():
    expected = """
        error[E102]: llama-3-8b needs a phase
              = help: --phase decode --batch 16 --context 2048, or --phase prefill --tokens 2048
        """
    check(refused("llama-3-8b"), expected)


def test_e102_a_flag_without_the_kind_of_phase():
    expected = """
        error[E102]: llama-3-8b needs a phase
              = help: --phase prefill --tokens 3
        """
    check(refused("llama-3-8b", tokens=3), expected)
    expected = """
        error[E102]: llama-3-8b needs a phase
              = help: --phase decode --batch 4 --context 2048, or --phase prefill --batch 4 --tokens 2048
        """  # noqa: E501 - one line on the screen
    check(refused("llama-3-8b", batch=4), expected)
    expected = """
        error[E102]: bert-base needs a phase
              = help: --phase encode --batch 2 --tokens 512
        """
    check(refused("bert-base", batch=2), expected)


def test_flags_of_another_phase_are_refused_by_their_names():
    expected = """
        --context 2048: error[E601]: prefill takes no --context
              = help: prefill takes --batch and --tokens
        --phase prefill: error[E102]: prefill needs --tokens
              = help: example `--tokens 2048`
        """
    check(refused("llama-3-70b", phase="prefill", context=2048), expected)
    expected = """
        --tokens 4: error[E601]: decode takes no --tokens
              = help: decode takes --batch and --context
        """
    check(refused("llama-3-8b-decode", tokens=4), expected)
    expected = """
        --context 3: error[E601]: no phase of bert-base takes --context
              = help: --phase encode --tokens 512
        """
    check(refused("bert-base", context=3), expected)
    expected = """
        --context 3: error[E601]: no phase of resnet-50 takes --context
              = help: resnet-50 takes --batch, and needs no --phase
        """
    check(refused("resnet-50", context=3), expected)


def test_a_setting_may_say_what_a_flag_leaves_out():
    spec, _ = load_workload("gpt2-small", phase="prefill", set_=["workload.phase.tokens=4"])
    assert spec.phase.to_data() == {"kind": "prefill", "batch": 1, "tokens": 4}
    spec, _ = load_workload("gpt2-small", tokens=4, set_=["workload.phase.kind=prefill"])
    assert spec.phase.to_data() == {"kind": "prefill", "batch": 1, "tokens": 4}


def test_a_flag_on_a_workload_of_many_sizes_points_to_the_file():
    text = "model: {preset: gpt2-small}\nphase:\n  kind: mixed\n"
    text += "  decode: {context: 8}\n  prefill: [{tokens: 8}]\n"
    expected = """
        --tokens 4: error[E601]: mixed takes no --tokens
              = help: mixed takes its sizes from a file
        """
    check(refused("w.yaml", HEAD + text, tokens=4), expected)


def test_a_phase_that_a_model_has_not_is_said_before_its_sizes():
    expected = """
        --phase encode: error[E108]: phase "encode" is not one of infer
              = help: vit-b-16 has one phase, which needs no --phase
        """
    check(refused("vit-b-16", phase="encode"), expected)
    expected = """
        --phase encode: error[E108]: phase "encode" is not one of decode, prefill, mixed, train
              = help: those are what llama-3-8b's model does
        """
    check(refused("llama-3-8b", phase="encode"), expected)


def test_settings_of_a_workload_are_named_as_they_are_typed():
    expected = """
        --set workload.foo=1: error[E601]: no such setting
              = help: known in workload: attention, description, dtypes, kv, model, name, parallel, phase, routing, schema, scores, sparsity, transform
        """  # noqa: E501 - one line on the screen
    check(refused("llama-3-8b-decode", set_=["workload.foo=1"]), expected)
    expected = """
        --set workload.phase.contxt=1: error[E601]: no such setting
              = help: did you mean `workload.phase.context`?
        """
    check(refused("llama-3-8b-decode", set_=["workload.phase.contxt=1"]), expected)
    check(refused("llama-3-8b-decode", set_=["phase.contxt=1"]), expected)


def test_e107_more_tokens_than_positions():
    expected = """
        w.yaml:4:32: error[E107]: 2048 tokens exceed the 1024 positions of the model
            4 | phase: {kind: decode, context: 2048}
              |                                ^^^^
        """
    text = "model: {preset: gpt2-small}\nphase: {kind: decode, context: 2048}\n"
    check(refused("w.yaml", HEAD + text), expected)


def test_e107_more_tokens_than_positions_by_a_flag():
    expected = "--context 4096: error[E107]: 4096 tokens exceed the 1024 positions of the model"
    check(refused("gpt2-small", phase="decode", context=4096), expected)


def test_e107_no_context_in_a_list():
    expected = """
        w.yaml:4:32: error[E107]: an empty list says nothing to run
            4 | phase: {kind: decode, context: []}
              |                                ^
        """
    text = "model: {preset: gpt2-small}\nphase: {kind: decode, context: []}\n"
    check(refused("w.yaml", HEAD + text), expected)


def test_e108_a_preset_that_does_not_exist():
    expected = """
        w.yaml:3:17: error[E108]: preset "llama-3-9b" is not a shipped model
            3 | model: {preset: llama-3-9b}
              |                 ^^^^^^^^^^
              = help: did you mean "llama-3-8b"?
        """
    check(refused("w.yaml", HEAD + "model: {preset: llama-3-9b}\n"), expected)


def test_e108_a_phase_that_the_model_has_not():
    expected = """
        w.yaml:4:15: error[E108]: phase "encode" is not one of decode, prefill, mixed, train
            4 | phase: {kind: encode, tokens: 8}
              |               ^^^^^^
              = help: those are what w's model does
        """
    text = "model: {preset: llama-3-8b}\nphase: {kind: encode, tokens: 8}\n"
    check(refused("w.yaml", HEAD + text), expected)


def test_e108_an_element_type_that_does_not_exist():
    expected = """
        w.yaml:4:19: error[E108]: weights "bf61" is not one of bf16, fp16, fp32, fp4, fp8, fp8_e4m3, fp8_e5m2, int16, int2, int3, int32, int4, ...
            4 | dtypes: {weights: bf61}
              |                   ^^^^
              = help: did you mean "bf16"?
        """  # noqa: E501 - one line on the screen
    text = "model: {preset: gpt2-small}\ndtypes: {weights: bf61}\n"
    check(refused("w.yaml", HEAD + text), expected)


def test_e201_a_file_that_does_not_exist():
    expected = """
        w.yaml:3:20: error[E201]: hf_config names "no/config.json", which does not exist
            3 | model: {hf_config: no/config.json}
              |                    ^^^^^^^^^^^^^^
        """
    check(refused("w.yaml", HEAD + "model: {hf_config: no/config.json}\n"), expected)


def test_e202_two_models():
    expected = """
        w.yaml:3:1: error[E202]: model needs exactly one of preset, hf_config, topology, onnx, graph, stream, networks; got preset, topology
            3 | model: {preset: llama-3-8b, topology: a.csv}
              | ^^^^^
              = help: example `model: {preset: llama-3-8b}`
        """  # noqa: E501 - one line on the screen
    text = "model: {preset: llama-3-8b, topology: a.csv}\n"
    check(refused("w.yaml", HEAD + text), expected)


def test_e202_a_batch_that_disagrees_with_the_contexts():
    expected = """
        w.yaml:4:1: error[E202]: batch 8 disagrees with 2 contexts
            4 | phase: {kind: decode, batch: 8, context: [1, 2]}
              | ^^^^^
              = help: drop batch, or list one context for each sequence
        """
    text = "model: {preset: llama-3-8b}\nphase: {kind: decode, batch: 8, context: [1, 2]}\n"
    check(refused("w.yaml", HEAD + text), expected)


def test_e204_a_file_of_a_later_version():
    expected = """
        w.yaml:1:9: error[E204]: schema archsim.workload/2 is newer than this version reads
            1 | schema: archsim.workload/2
              |         ^^^^^^^^^^^^^^^^^^
              = help: this version reads `schema: archsim.workload/1`
        """
    text = "schema: archsim.workload/2\nname: w\nmodel: {preset: gpt2-small}\n"
    check(refused("w.yaml", text), expected)


def test_e601_a_setting_that_does_not_exist():
    expected = """
        --set workload.phase.bacth=3: error[E601]: no such setting
              = help: did you mean `workload.phase.batch`?
        """
    check(refused("llama-3-8b-decode", set_=["phase.bacth=3"]), expected)


TOY = """model:
  config:
    {architecture: transformer, layers: 2, hidden: 64, heads: 4, kv_heads: 4, head_dim: 16,
     ffn: 8, ffn_matrices: 3, activation: silu, norm: rms, position: rope, vocab: 9}
phase: {kind: decode, context: 8}
"""


def test_e107_a_size_beyond_any_model():
    expected = """
        w.yaml:5:52: error[E107]: model.config.hidden must be 1000000000 or less, got 1000000000000
            5 |     {architecture: transformer, layers: 2, hidden: 1000000000000, heads: 4, kv_heads: 4, head_dim: 16,
              |                                                    ^^^^^^^^^^^^^
        """  # noqa: E501 - one line on the screen
    check(refused("w.yaml", HEAD + TOY.replace("hidden: 64", "hidden: 1000000000000")), expected)


def test_e107_more_layers_than_can_be_gone_through():
    expected = """
        w.yaml:5:41: error[E107]: model.config.layers must be 10000 or less, got 10001
            5 |     {architecture: transformer, layers: 10001, hidden: 64, heads: 4, kv_heads: 4, head_dim: 16,
              |                                         ^^^^^
        """  # noqa: E501 - one line on the screen
    check(refused("w.yaml", HEAD + TOY.replace("layers: 2", "layers: 10001")), expected)


def test_e107_a_product_beyond_64_bits_names_the_op():
    expected = """
        error[E107]: w has more points than 64 bits count
              = help: head/lm_head has most of them: 1.0e+24
        """
    text = TOY.replace("hidden: 64", "hidden: 1000000000").replace("vocab: 9", "vocab: 1000000000")
    check(refused("w.yaml", HEAD + text, batch=1_000_000), expected)


def test_an_element_type_that_is_neither_a_name_nor_a_mapping():
    text = f"{HEAD}model: {{preset: gpt2-small}}\nphase: {{kind: prefill, tokens: 8}}\n"
    expected = """
        w.yaml:5:19: error[E105]: weights expects a name or a mapping, got -4
            5 | dtypes: {weights: -4}
              |                   ^^
        """
    check(refused("w.yaml", text + "dtypes: {weights: -4}\n"), expected)
