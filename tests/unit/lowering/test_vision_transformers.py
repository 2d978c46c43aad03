"""Is the graph of a vision Transformer its patches, an encoder and a head on the first token?"""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.core.errors import ArchsimError
from archsim.core.yamlread import read_text
from archsim.ir.tensor import Role
from archsim.lowering.hf.base import read_config
from archsim.lowering.lower import lower
from archsim.lowering.model import load_model
from archsim.lowering.spec import load_workload

BASE = {
    "architectures": ["ViTForImageClassification"], "attention_probs_dropout_prob": 0.0,
    "encoder_stride": 16, "hidden_act": "gelu", "hidden_size": 768, "image_size": 224,
    "intermediate_size": 3072, "layer_norm_eps": 1e-12, "model_type": "vit",
    "num_attention_heads": 12, "num_channels": 3, "num_hidden_layers": 12, "patch_size": 16,
    "qkv_bias": True, "id2label": {str(i): f"class {i}" for i in range(1000)},
}  # fmt: skip


def build(batch=1, **config):
    model = {"config": {"architecture": "vit", **config}}
    data = {"schema": "archsim.workload/1", "name": "toy", "model": model}
    return lower(load_workload(data, batch=batch)[0])


def read(**config):
    return read_config(read_text(json.dumps(config, indent=2), "config.json"))


@st.composite
def models(draw):
    heads, patch = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    sides = st.integers(patch, 4 * patch)
    return {
        "input": [draw(st.integers(1, 3)), draw(sides), draw(sides)], "patch": patch,
        "layers": draw(st.integers(1, 3)), "hidden": heads * draw(st.integers(1, 4)),
        "heads": heads, "ffn": draw(st.integers(1, 6)), "qkv_bias": draw(st.booleans()),
        "classes": draw(st.integers(0, 3)), "pooler": draw(st.booleans()),
    }  # fmt: skip


@given(models(), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_macs_and_parameters_are_their_closed_forms(m, batch):
    channels, high, wide = m["input"]
    h, f, patch = m["hidden"], m["ffn"], m["patch"]
    patches = (high // patch) * (wide // patch)
    tokens, taps = patches + 1, channels * patch * patch
    layer = 4 * h * h + 2 * h * f
    macs = patches * taps * h + m["layers"] * (tokens * layer + 2 * tokens * tokens * h)
    macs += m["pooler"] * h * h + m["classes"] * h
    biases = 3 * h * m["qkv_bias"] + h + f + h
    parameters = (taps + 1) * h + h + tokens * h + m["layers"] * (layer + biases + 4 * h) + 2 * h
    parameters += m["pooler"] * (h + 1) * h + m["classes"] * (h + 1)
    graph = build(batch, **m)
    assert graph.macs() == batch * macs
    assert graph.facts["macs_per_input"] == macs
    assert graph.facts["parameters"] == parameters
    assert graph.stored_bytes(Role.WEIGHT) == 2 * parameters


@given(models(), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_every_tensor_is_used_and_what_is_read_was_written(m, batch):
    graph = build(batch, **m)
    written = {a.tensor for _, op in graph.ops() for a in op.writes}
    read = {a.tensor for _, op in graph.ops() for a in op.reads}
    assert set(graph.tensors) == written | read
    outside = {n for n in read - written if graph.tensors[n].role is not Role.WEIGHT}
    assert outside == {"input"}


def test_the_released_config_is_the_model_that_ships():
    assert read(**BASE) == load_model("vit-b-16").model


def test_a_bare_model_has_a_pooler_and_no_classes():
    found = read(**BASE | {"architectures": ["ViTModel"]})
    assert (found.pooler, found.classes) == (True, 0)


def test_labels_are_counted_or_two():
    config = {key: value for key, value in BASE.items() if key != "id2label"}
    assert read(**config).classes == 2
    assert read(**config, num_labels=7).classes == 7


def test_another_head_is_refused_at_its_line():
    config = {"model_type": "vit", "architectures": ["ViTForMaskedImageModeling"]}
    config |= {k: BASE[k] for k in ("hidden_size", "num_hidden_layers", "num_attention_heads",
                                    "intermediate_size", "image_size", "patch_size")}  # fmt: skip
    with pytest.raises(ArchsimError) as caught:
        read(**config)
    assert caught.value.exit_code == 4
    assert caught.value.render().splitlines()[0] == (
        "config.json:3:20: error[E301]: ViTForMaskedImageModeling has no builder: "
        "ViTForImageClassification, ViTModel have"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 5}, "5 heads do not divide a width of 8"),
        ({"patch": 9}, "a patch of 9 does not fit an image of 8 x 8"),
    ],
)
def test_numbers_that_disagree_are_refused(change, message):
    sound = {"input": [3, 8, 8], "patch": 4, "layers": 1, "hidden": 8, "heads": 2, "ffn": 8}
    build(**sound)
    with pytest.raises(ArchsimError, match=message):
        build(**sound | change)
