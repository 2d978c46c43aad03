"""Does a released `config.json` of each family come out with its checkpoint's parameters?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from archsim.core.errors import ArchsimError, Unsupported
from archsim.core.yamlread import read_text
from archsim.lowering.hf.base import read_config

MIXTRAL = {
    "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
    "num_experts_per_tok": 2, "num_local_experts": 8, "sliding_window": None, "vocab_size": 32000,
}  # fmt: skip
QWEN2 = {
    "model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944,
    "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4,
    "vocab_size": 152064, "sliding_window": 131072, "use_sliding_window": False,
    "max_window_layers": 28, "tie_word_embeddings": False,
}  # fmt: skip
QWEN3 = {
    "model_type": "qwen3", "hidden_size": 5120, "intermediate_size": 25600, "head_dim": 128,
    "num_attention_heads": 64, "num_hidden_layers": 64, "num_key_value_heads": 8,
    "vocab_size": 151936, "tie_word_embeddings": False, "attention_bias": False,
}  # fmt: skip
QWEN3_MOE = {
    "model_type": "qwen3_moe", "hidden_size": 4096, "intermediate_size": 12288, "head_dim": 128,
    "num_attention_heads": 64, "num_hidden_layers": 94, "num_key_value_heads": 4,
    "vocab_size": 151936, "tie_word_embeddings": False, "num_experts": 128,
    "num_experts_per_tok": 8, "moe_intermediate_size": 1536, "decoder_sparse_step": 1,
    "mlp_only_layers": [],
}  # fmt: skip
DEEPSEEK_V3 = {
    "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432,
    "num_attention_heads": 128, "num_hidden_layers": 61, "num_key_value_heads": 128,
    "vocab_size": 129280, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 256, "n_shared_experts": 1,
    "num_experts_per_tok": 8, "moe_intermediate_size": 2048, "first_k_dense_replace": 3,
    "n_group": 8, "topk_group": 4, "moe_layer_freq": 1,
}  # fmt: skip
GPT_OSS = {
    "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "head_dim": 64,
    "num_attention_heads": 64, "num_hidden_layers": 36, "num_key_value_heads": 8,
    "vocab_size": 201088, "num_local_experts": 128, "experts_per_token": 4, "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 18, "attention_bias": True,
    "quantization_config": {"quant_method": "mxfp4"},
}  # fmt: skip
GEMMA3 = {
    "model_type": "gemma3_text", "hidden_size": 1152, "intermediate_size": 6912, "head_dim": 256,
    "num_attention_heads": 4, "num_hidden_layers": 26, "num_key_value_heads": 1,
    "vocab_size": 262144, "hidden_activation": "gelu_pytorch_tanh", "sliding_window": 512,
    "sliding_window_pattern": 6,
}  # fmt: skip
FALCON_40B = {
    "model_type": "falcon", "hidden_size": 8192, "num_hidden_layers": 60,
    "num_attention_heads": 128, "num_kv_heads": 8, "new_decoder_architecture": True,
    "vocab_size": 65024, "bias": False, "alibi": False,
}  # fmt: skip
FALCON_7B_OLD = {
    "model_type": "falcon", "hidden_size": 4544, "n_layer": 32, "n_head": 71, "multi_query": True,
    "parallel_attn": True, "vocab_size": 65024, "bias": False, "alibi": False,
}  # fmt: skip

# parameters of the classes in transformers 5.23 built from these fields (meta tensors, no weights)
PARAMETERS: list[tuple[dict[str, Any], int]] = [
    (MIXTRAL, 46_702_792_704),
    (QWEN2, 7_615_616_512),
    (QWEN3, 32_762_123_264),
    (QWEN3_MOE, 235_093_634_560),
    # the class keeps the choice biases of 58 layers as buffers: not parameters there, but stored
    (DEEPSEEK_V3, 671_026_404_352 + 58 * 256),
    (GPT_OSS, 116_829_156_672),
    (GEMMA3, 999_885_952),
    (FALCON_40B, 41_303_293_952),
    (FALCON_7B_OLD, 6_921_720_704),
]
KV_ELEMENTS = {  # of one token over all layers
    "mixtral": 2 * 32 * 8 * 128,
    "qwen2": 2 * 28 * 4 * 128,
    "qwen3": 2 * 64 * 8 * 128,
    "qwen3_moe": 2 * 94 * 4 * 128,
    "deepseek_v3": 61 * (512 + 64),
    "gpt_oss": 2 * 36 * 8 * 64,
    "gemma3_text": 2 * 26 * 256,
    "falcon": 2 * 60 * 8 * 64,
}


def model(config: dict[str, Any]) -> Any:
    return read_config(read_text(json.dumps(config, indent=2), "config.json"))


@pytest.mark.parametrize(("config", "parameters"), PARAMETERS, ids=lambda v: str(v)[:30])
def test_parameters_are_those_of_the_released_class(config, parameters):
    assert model(config).parameters() == parameters


@pytest.mark.parametrize("kind", KV_ELEMENTS)
def test_a_token_adds_its_keys_and_values_to_the_cache(kind):
    config = next(c for c, _ in PARAMETERS if c["model_type"] == kind)
    assert model(config).kv_elements_per_token() == KV_ELEMENTS[kind]


def test_windows_alternate_as_layer_types_say():
    assert model(GPT_OSS).window_pattern == (True, False)
    assert model(GEMMA3).window_pattern == (True, True, True, True, True, False)
    assert model(QWEN2).sliding_window is None


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (MIXTRAL | {"model_type": "llama"}, "num_local_experts: a llama has no experts"),
        (FALCON_40B | {"alibi": True}, "alibi: its positions have no builder"),
        (DEEPSEEK_V3 | {"moe_layer_freq": 2}, "moe_layer_freq 2 has no builder"),
        (QWEN3_MOE | {"mlp_only_layers": [5]}, "mlp_only_layers [5]"),
        (GPT_OSS | {"layer_types": ["full_attention"]}, "layer_types names 1 layers of 36"),
        (GPT_OSS | {"layer_types": ["chunked_attention"] * 36}, "chunked_attention has no builder"),
    ],
)
def test_a_variant_without_a_builder_is_refused_at_its_field(config, reason):
    with pytest.raises(Unsupported) as caught:
        model(config)
    assert reason in caught.value.render()
    assert "config.json:" in caught.value.render()


def test_more_experts_a_token_than_there_are_is_refused():
    with pytest.raises(ArchsimError) as caught:
        model(MIXTRAL | {"num_experts_per_tok": 9})
    assert caught.value.exit_code == 3
