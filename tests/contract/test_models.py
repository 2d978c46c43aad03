"""Does every shipped model come out as its own file says, and as closed forms written here say?"""

import pytest

from archsim.ir.tensor import Role
from archsim.lowering.architectures.base import architectures
from archsim.lowering.lower import describe, lower, models
from archsim.lowering.model import load_model
from archsim.lowering.spec import load_workload

# layers, hidden, heads, kv heads, head width, ffn, ffn matrices, vocabulary: from the papers
DECODERS = {
    "gpt2-small": (12, 768, 12, 12, 64, 3072, 2, 50257),
    "gpt2-medium": (24, 1024, 16, 16, 64, 4096, 2, 50257),
    "gpt2-large": (36, 1280, 20, 20, 64, 5120, 2, 50257),
    "gpt2-xl": (48, 1600, 25, 25, 64, 6400, 2, 50257),
    "gpt3-small": (12, 768, 12, 12, 64, 3072, 2, 50257),
    "gpt3-medium": (24, 1024, 16, 16, 64, 4096, 2, 50257),
    "gpt3-large": (24, 1536, 16, 16, 96, 6144, 2, 50257),
    "gpt3-xl": (24, 2048, 16, 16, 128, 8192, 2, 50257),
    "gpt3-2.7b": (32, 2560, 32, 32, 80, 10240, 2, 50257),
    "gpt3-6.7b": (32, 4096, 32, 32, 128, 16384, 2, 50257),
    "gpt3-13b": (40, 5120, 40, 40, 128, 20480, 2, 50257),
    "gpt3-30b": (48, 7168, 56, 56, 128, 28672, 2, 50257),
    "gpt3-175b": (96, 12288, 96, 96, 128, 49152, 2, 50257),
    "llama-2-7b": (32, 4096, 32, 32, 128, 11008, 3, 32000),
    "llama-2-13b": (40, 5120, 40, 40, 128, 13824, 3, 32000),
    "llama-2-70b": (80, 8192, 64, 8, 128, 28672, 3, 32000),
    "llama-3-8b": (32, 4096, 32, 8, 128, 14336, 3, 128256),
    "llama-3-70b": (80, 8192, 64, 8, 128, 28672, 3, 128256),
    "llama-3.1-405b": (126, 16384, 128, 8, 128, 53248, 3, 128256),
    "llama-65b": (80, 8192, 64, 64, 128, 22016, 3, 32000),
    "mistral-7b": (32, 4096, 32, 8, 128, 14336, 3, 32000),
    "opt-1.3b": (24, 2048, 32, 32, 64, 8192, 2, 50272),
    "opt-6.7b": (32, 4096, 32, 32, 128, 16384, 2, 50272),
    "mt-530b": (105, 20480, 128, 128, 160, 81920, 2, 50257),
    "opt-30b": (48, 7168, 56, 56, 128, 28672, 2, 50272),
    "opt-66b": (64, 9216, 72, 72, 128, 36864, 2, 50272),
    "yi-6b": (32, 4096, 32, 4, 128, 11008, 3, 64000),
    "qwen3-32b": (64, 5120, 64, 8, 128, 25600, 3, 151936),
    "falcon-40b": (60, 8192, 128, 8, 64, 32768, 2, 65024),
    "falcon-180b": (80, 14848, 232, 8, 64, 59392, 2, 65024),
    "phi-2": (32, 2560, 32, 32, 80, 10240, 2, 51200),
    "palm-540b": (118, 18432, 48, 1, 256, 73728, 3, 256000),
    "palm-62b": (64, 8192, 32, 1, 256, 32768, 3, 256000),
    "palm-8b": (32, 4096, 16, 1, 256, 16384, 3, 256000),
}
BATCH, LENGTH = 3, 96


def build(name, **phase):
    return lower(load_workload(name, **phase)[0])


def whole(name, phase):
    model = {"preset": name}
    return {"schema": "archsim.workload/1", "name": name, "model": model, "phase": phase}


def linear_weights(name):
    """Elements of the matrices of all layers."""
    layers, h, heads, kv, d, ffn, matrices, _ = DECODERS[name]
    return layers * (h * heads * d + 2 * h * kv * d + heads * d * h + matrices * h * ffn)


@pytest.mark.parametrize("name", models())
def test_a_model_meets_what_its_own_file_expects(name):
    file, facts = load_model(name), describe(name)
    expect = file.expect
    assert file.name == name
    assert file.source
    assert file.description
    assert abs(facts["parameters"] - expect.parameters) <= expect.within
    assert facts["kv_bytes_per_token"] == (expect.kv_bytes_per_token or facts["kv_bytes_per_token"])
    if expect.macs_per_token:
        assert facts["macs_per_token"] == expect.macs_per_token.value
        assert facts["context"] == expect.macs_per_token.context
    else:
        assert facts["macs_per_input"] == expect.macs


@pytest.mark.parametrize("name", models())
def test_every_phase_of_a_model_is_a_sound_graph(name):
    model = load_model(name).model
    for kind in architectures.get(model.architecture)(model).phases:
        sizes = {
            "decode": {"batch": 2, "context": 64},
            "prefill": {"tokens": 64},
            "encode": {"tokens": 64},
            "train": {"tokens": 64, "optimizer": "adam"},
            "infer": {"batch": 2},
            "mixed": {"decode": {"batch": 2, "context": 64}, "prefill": [{"tokens": 32}]},
        }
        graph = lower(load_workload(whole(name, {"kind": kind, **sizes[kind]}))[0])
        graph.check()
        assert graph.macs() > 0
        assert graph.facts["warnings"] == []
        assert graph.facts["source"] == load_model(name).source


def test_every_dense_decoder_that_ships_has_a_closed_form_here():
    shipped = {name: load_model(name).model for name in models()}
    dense = [
        name
        for name, model in shipped.items()
        if getattr(model, "encoder", None) is False and model.moe is None
    ]
    assert sorted(DECODERS) == sorted(dense)


@pytest.mark.parametrize("name", DECODERS)
def test_decode_macs_are_weights_times_sequences_plus_attention(name):
    layers, h, heads, _, d, *_, vocab = DECODERS[name]
    attention = layers * 2 * heads * d * LENGTH
    expected = BATCH * (linear_weights(name) + vocab * h + attention)
    assert build(name, phase="decode", batch=BATCH, context=LENGTH).macs() == expected


@pytest.mark.parametrize("name", DECODERS)
def test_prefill_macs_are_weights_times_tokens_plus_squares_and_one_head_a_sequence(name):
    layers, h, heads, _, d, *_, vocab = DECODERS[name]
    attention = layers * 2 * heads * d * LENGTH * LENGTH
    expected = BATCH * (LENGTH * linear_weights(name) + vocab * h + attention)
    assert build(name, phase="prefill", batch=BATCH, tokens=LENGTH).macs() == expected


@pytest.mark.parametrize("name", DECODERS)
def test_kv_bytes_are_two_vectors_a_head_layer_and_token(name):
    layers, _, _, kv, d, *_ = DECODERS[name]
    token = layers * 2 * kv * d * 2
    decode = build(name, phase="decode", batch=BATCH, context=LENGTH)
    assert decode.read_bytes(Role.KV_CACHE) == BATCH * LENGTH * token
    assert decode.write_bytes(Role.KV_CACHE) == BATCH * token
    assert decode.stored_bytes(Role.KV_CACHE) == BATCH * LENGTH * token
    prefill = build(name, phase="prefill", batch=BATCH, tokens=LENGTH)
    assert prefill.write_bytes(Role.KV_CACHE) == BATCH * LENGTH * token
    assert prefill.read_bytes(Role.KV_CACHE) == BATCH * LENGTH * token


@pytest.mark.parametrize("name", DECODERS)
def test_a_decode_step_touches_all_weights_but_the_rows_of_tables_it_does_not_look_up(name):
    model = load_model(name).model
    _, h, *_, vocab = DECODERS[name]
    graph = build(name, phase="decode", batch=BATCH, context=LENGTH)
    unused = (model.positions - 1) * h if model.positions else 0
    looked_up = BATCH * h
    touched = model.parameters() - unused
    if model.tied:  # the head reads the whole table, and the lookup some rows of it before
        touched += looked_up
    else:
        touched += looked_up - vocab * h
    assert graph.read_bytes(Role.WEIGHT) == 2 * touched
    assert graph.stored_bytes(Role.WEIGHT) == 2 * model.parameters()


def test_bert_encodes_in_weights_times_tokens_plus_squares_and_a_pooler():
    layers, h, tokens = 12, 768, 512
    linear = layers * (4 * h * h + 2 * h * 3072)
    attention = layers * 2 * h * tokens
    graph = build("bert-base", phase="encode", batch=BATCH, tokens=tokens)
    assert graph.macs() == BATCH * (tokens * (linear + attention) + h * h)


def test_resnet_is_its_layers_by_hand():
    """Table 1 of He et al. with the stride in the 3x3 convolution: per stage, output size."""
    macs = 112 * 112 * 64 * 3 * 49
    size, channels = 56, 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        macs += size * size * channels * width  # the first block reduces before its stride
        size //= stride
        macs += size * size * (9 * width * width + width * 4 * width + channels * 4 * width)
        channels = 4 * width
        macs += (count - 1) * size * size * (2 * channels * width + 9 * width * width)
    assert build("resnet-50").macs() == macs + 2048 * 1000
