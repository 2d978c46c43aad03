"""Is the error helpful where numbers of a Transformer contradict each other?"""

import pytest

from archsim.core.errors import ArchsimError
from archsim.lowering.spec import load_workload

TOY = {
    "architecture": "transformer", "layers": 2, "hidden": 24, "heads": 4, "kv_heads": 2,
    "head_dim": 8, "ffn": 40, "ffn_matrices": 3, "activation": "silu", "norm": "rms",
    "position": "rope", "vocab": 50,
}  # fmt: skip
MLA = {"kv_lora_rank": 5, "qk_nope_head_dim": 4, "qk_rope_head_dim": 2, "v_head_dim": 3}
MOE = {"experts": 4, "top_k": 2, "ffn": 10}
LEARNED = {"position": "learned", "positions": 8}

CASES = [
    ({"kv_heads": 3}, "E202", "3 key-value heads do not divide 4 heads"),
    ({"rotary_dim": 9}, "E107", "rotary_dim 9 exceeds the 8 elements of a head"),
    ({"rotary_dim": 4, "position": "none"}, "E202",
     "rotary_dim 4 is of rope, and position is none"),
    ({"position": "relative"}, "E202", "position relative disagrees with relative_buckets: 0"),
    ({"relative_buckets": 6}, "E202", "position rope disagrees with relative_buckets: 6"),
    ({"sliding_window": 9, **LEARNED}, "E107", "a window of 9 is longer than the 8 positions"),
    ({"sliding_window": 9, "window_pattern": [False]}, "E202",
     "no layer of window_pattern has the sliding_window 9"),
    ({"sliding_window": 9, "window_pattern": []}, "E107", "an empty list says nothing to run"),
    ({"window_pattern": [True, False]}, "E202",
     "window_pattern is of a sliding_window, and there is none"),
    ({"dense_layers": 1}, "E202", "dense_layers is of a model with experts, and there are none"),
    ({"moe_every": 2}, "E202", "moe_every is of a model with experts, and there are none"),
    ({"moe": MOE, "dense_layers": 2}, "E107",
     "dense_layers 2 and moe_every 1 leave no layer of 2 with experts"),
    ({"parallel_norms": 2}, "E202", "parallel_norms: 2 needs block: parallel"),
    ({"block": "parallel", "norm_first": False}, "E202", "block: parallel needs norm_first"),
    ({"sandwich_norms": True, "norm_first": False}, "E202", "sandwich_norms needs norm_first"),
    ({"lm_head_bias": True, "lm_head": False}, "E202", "lm_head_bias needs an LM head"),
    ({"mla": MLA, "qk_norm": "rms"}, "E202", "latent attention does not go with qk_norm"),
    ({"mla": MLA, "attention_sinks": True}, "E202",
     "latent attention does not go with attention_sinks"),
    ({"mla": MLA, "rotary_dim": 4}, "E202", "latent attention does not go with rotary_dim"),
    ({"mla": MLA, "encoder": True}, "E202", "latent attention does not go with an encoder"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "code", "message"), CASES)
def test_a_contradiction_is_named(changes, code, message):
    data = {"schema": "archsim.workload/1", "name": "toy", "model": {"config": {**TOY, **changes}}}
    with pytest.raises(ArchsimError) as caught:
        load_workload(data)
    assert caught.value.exit_code == 3
    assert f"error[{code}]: {message}\n" in caught.value.render() + "\n"
