"""Does a released `config.json` become the model that ships under its name?"""

import json

import pytest

from archsim.core.errors import InputError, Unsupported
from archsim.core.yamlread import read_text
from archsim.lowering.hf.base import model_types, read_config
from archsim.lowering.lower import describe, lower
from archsim.lowering.model import load_model
from archsim.lowering.spec import load_workload
from tests.unit.lowering.test_hf_families import PARAMETERS

# fields of the released files that decide sizes, with some that do not
LLAMA_2_7B = {
    "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 4096,
    "intermediate_size": 11008, "max_position_embeddings": 4096, "model_type": "llama",
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 32,
    "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": None,
    "tie_word_embeddings": False, "torch_dtype": "float16", "vocab_size": 32000,
}  # fmt: skip
LLAMA_3_8B = LLAMA_2_7B | {
    "attention_bias": False, "intermediate_size": 14336, "num_key_value_heads": 8,
    "rope_theta": 500000.0, "torch_dtype": "bfloat16", "vocab_size": 128256,
}  # fmt: skip
LLAMA_3_70B = LLAMA_3_8B | {
    "hidden_size": 8192, "intermediate_size": 28672, "num_attention_heads": 64,
    "num_hidden_layers": 80,
}  # fmt: skip
GPT2 = {
    "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2",
    "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024,
    "layer_norm_epsilon": 1e-05, "vocab_size": 50257,
}  # fmt: skip
OPT_66B = {
    "_remove_final_layer_norm": False, "activation_function": "relu", "do_layer_norm_before": True,
    "ffn_dim": 36864, "hidden_size": 9216, "max_position_embeddings": 2048, "model_type": "opt",
    "num_attention_heads": 72, "num_hidden_layers": 64, "torch_dtype": "float16",
    "vocab_size": 50272, "word_embed_proj_dim": 9216,
}  # fmt: skip
BERT = {
    "architectures": ["BertForMaskedLM"], "hidden_act": "gelu", "hidden_size": 768,
    "intermediate_size": 3072, "max_position_embeddings": 512, "model_type": "bert",
    "num_attention_heads": 12, "num_hidden_layers": 12, "pad_token_id": 0,
    "position_embedding_type": "absolute", "type_vocab_size": 2, "vocab_size": 30522,
}  # fmt: skip
MISTRAL = {
    "model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "sliding_window": 4096, "vocab_size": 32000, "hidden_act": "silu",
}  # fmt: skip
RELEASED = {
    "llama-2-7b": LLAMA_2_7B, "llama-3-8b": LLAMA_3_8B, "llama-3-70b": LLAMA_3_70B,
    "gpt2-small": GPT2, "opt-66b": OPT_66B, "bert-base": BERT,
}  # fmt: skip


def model(config):
    return read_config(read_text(json.dumps(config, indent=2), "config.json"))


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_config_is_the_shipped_model(name):
    assert model(RELEASED[name]) == load_model(name).model


def test_mistral_7b_has_its_published_parameters():
    found = model(MISTRAL)
    assert found.parameters() == 7_241_732_096  # mistralai/Mistral-7B-v0.1, released checkpoint
    assert found.sliding_window == 4096


def test_every_model_type_is_covered():
    configs = (*RELEASED.values(), MISTRAL, *(config for config, _ in PARAMETERS))
    assert {config["model_type"] for config in configs} | {"vit"} == set(model_types())


def test_heads_of_their_own_width_and_absent_key_heads_are_understood():
    found = model(LLAMA_3_8B | {"head_dim": 64, "num_key_value_heads": None})
    assert (found.head_dim, found.kv_heads) == (64, 32)


@pytest.mark.parametrize(
    ("old", "new"),
    [("n_embd", "hidden_size"), ("n_head", "num_attention_heads"), ("n_layer", "num_hidden_layers"),
     ("n_positions", "max_position_embeddings")],
)  # fmt: skip
def test_gpt2_fields_may_have_their_new_names(old, new):
    config = {k: v for k, v in GPT2.items() if k != "n_ctx"}
    renamed = {new if key == old else key: value for key, value in config.items()}
    assert model(renamed) == load_model("gpt2-small").model


def test_an_inner_width_is_four_times_the_hidden_one_where_absent():
    assert model(GPT2 | {"n_inner": None}).ffn == 3072
    assert model(GPT2 | {"n_inner": 1000}).ffn == 1000


@pytest.mark.parametrize("name", ["swish", "silu"])
def test_activations_have_several_names(name):
    assert model(LLAMA_3_8B | {"hidden_act": name}).activation == "silu"
    assert model(BERT | {"hidden_act": "gelu_pytorch_tanh"}).activation == "gelu_tanh"


def test_opt_with_norms_last_has_none_at_the_end():
    found = model(OPT_66B | {"do_layer_norm_before": False})
    assert (found.norm_first, found.final_norm) == (False, False)


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [(OPT_66B, "word_embed_proj_dim", 512), (GPT2, "add_cross_attention", True),
     (BERT, "position_embedding_type", "relative_key"), (BERT, "is_decoder", True)],
)  # fmt: skip
def test_a_variant_without_a_builder_is_unsupported_at_its_field(config, field, value):
    with pytest.raises(Unsupported) as caught:
        model(config | {field: value})
    assert caught.value.exit_code == 4
    assert f'"{field}"' in caught.value.diagnostics[0].source_line


def test_fields_that_contradict_each_other_are_refused():
    with pytest.raises(InputError, match="7 attention heads do not divide a hidden size of 4096"):
        model(LLAMA_2_7B | {"num_attention_heads": 7})
    with pytest.raises(InputError, match="5 key-value heads do not divide 32 heads"):
        model(LLAMA_2_7B | {"num_key_value_heads": 5})


def test_a_bare_config_is_described_like_a_shipped_model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_3_8B))
    for source in (tmp_path, tmp_path / "config.json"):
        found, shipped = describe(source), describe("llama-3-8b")
        for key in ("parameters", "macs_per_token", "kv_bytes_per_token", "context", "layers"):
            assert found[key] == shipped[key]


# every field of the released file of meta-llama/Meta-Llama-3-8B
WHOLE = LLAMA_3_8B | {
    "attention_dropout": 0.0, "bos_token_id": 128000, "eos_token_id": 128001,
    "initializer_range": 0.02, "transformers_version": "4.40.0.dev0", "use_cache": True,
}  # fmt: skip


def warned(folder, config):
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    graph = lower(load_workload(file, phase="decode", context=8)[0])
    return graph.facts["warnings"]


def test_a_field_that_nothing_reads_and_that_may_cost_is_said(tmp_path):
    assert warned(tmp_path, WHOLE) == []
    assert warned(tmp_path, WHOLE | {"sliding_window": None, "use_sliding_window": False}) == []
    one = warned(tmp_path, WHOLE | {"final_logit_softcapping": 30.0})
    text = "final_logit_softcapping of config.json has no effect: nothing reads it"
    assert one == [("W101", text)]
    two = warned(tmp_path, WHOLE | {"sliding_window": 4, "quantization_config": {"bits": 4}})
    text = "quantization_config, sliding_window of config.json have no effect: nothing reads them"
    assert two == [("W101", text)]


def test_what_nothing_reads_is_still_said_of_a_workload_that_stands_alone(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(WHOLE | {"sliding_window": 4}))
    spec, _ = load_workload(file, phase="decode", context=8)
    assert spec.model.ignored == ("sliding_window",)
    again, _ = load_workload(spec.to_data())
    assert again == spec
    assert lower(again).facts["warnings"] == lower(spec).facts["warnings"] != []
