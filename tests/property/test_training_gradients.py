"""Are the gradients that a training graph leaves those of the loss that it computes?"""

from dataclasses import replace

import numpy as np
import pytest

from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload
from archsim.testing.functional_training import Training

PLAIN = {
    "architecture": "transformer", "layers": 3, "hidden": 8, "heads": 4, "kv_heads": 2,
    "head_dim": 4, "ffn": 12, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 11,
}  # fmt: skip
MODELS = {
    "llama": {},
    "gpt2": {
        "position": "learned", "positions": 16, "norm": "layer", "ffn_matrices": 2,
        "activation": "gelu", "tied": True, "qkv_bias": True, "out_bias": True, "ffn_bias": True,
        "kv_heads": 4,
    },
    "falcon": {"block": "parallel", "parallel_norms": 2, "activation": "relu", "ffn_matrices": 2},
    "palm with head norms": {"block": "parallel", "qk_norm": "rms", "kv_heads": 1},
    "gemma": {
        "sandwich_norms": True, "sliding_window": 3, "window_pattern": [True, False],
        "activation": "gelu_tanh", "embedding_norm": True,
    },
    "norms behind": {
        "norm_first": False, "norm": "layer", "lm_head_bias": True, "final_norm": False
    },
}  # fmt: skip


def graph(name):
    data = {
        "schema": "archsim.workload/1", "name": "tiny",
        "model": {"config": {**PLAIN, **MODELS[name]}},
        "phase": {"kind": "train", "batch": 2, "tokens": 6},
    }  # fmt: skip
    return lower(load_workload(data)[0])


def worst(step, each=2):
    """Largest relative error of some gradients of every weight against small changes of it."""
    _, gradients = step.run()
    rng, found = np.random.default_rng(1), 0.0
    for name, weight in step.weights.items():
        for _ in range(each):
            at = tuple(rng.integers(0, n) for n in weight.shape)
            before, change = weight[at], []
            for small in (1e-5, -1e-5):
                weight[at] = before + small
                change.append(step.run()[0])
            weight[at] = before
            want = (change[0] - change[1]) / 2e-5
            found = max(found, abs(gradients[f"{name}.grad"][at] - want) / (1e-3 + abs(want)))
    return found


@pytest.mark.parametrize("model", MODELS)
def test_gradients_of_every_weight_are_those_of_small_changes(model):
    step = Training(graph(model))
    assert worst(step) < 1e-5
    assert len(step.gradients) == len(step.weights)


def swapped(given, wrong):
    """The graph with ops of its layers' backward block changed, or left out."""
    blocks = tuple(
        replace(b, ops=tuple(o for op in b.ops if (o := wrong(op))))
        if b.name == "layer.backward" else b
        for b in given.blocks
    )  # fmt: skip
    return replace(given, blocks=blocks)


def forgets_a_gradient(op):
    """A tensor that two ops read gets the gradient of one."""
    return replace(op, reads=op.reads[:1]) if op.name == "d.hidden.sum" else op


def forgets_delta(op):
    if op.name != "attn.softmax.dscores":
        return op
    return replace(op, name="attn.softmax.again", reads=op.reads[:1])


def reads_the_wrong_activation(op):
    if op.name != "ffn.up.dw":
        return op
    other = replace(op.reads[0], tensor="attn.normed")
    return replace(op, reads=(other, op.reads[1]))


def swaps_queries_and_keys(op):
    if op.name != "attn.score.dk":
        return op
    other = replace(op.reads[1], tensor="attn.mixed")
    return replace(op, reads=(op.reads[0], other))


@pytest.mark.parametrize(
    "wrong", [forgets_a_gradient, forgets_delta, reads_the_wrong_activation, swaps_queries_and_keys]
)
def test_a_mistake_in_the_backward_pass_is_caught(wrong):
    right = graph("llama")
    assert swapped(right, wrong) != right
    assert worst(Training(swapped(right, wrong))) > 1e-2
