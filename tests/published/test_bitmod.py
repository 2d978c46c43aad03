"""Do arrays whose speed depends on the bits of a weight come out as BitMoD's simulator has them?"""

import functools

import pytest

from archsim.core.errors import Unsupported
from archsim.validation import validate
from archsim.validation.adapters.bitmod import BitMod

MODELS = ("OPT-1.3B", "Phi-2B", "Yi-6B", "Llama-2-7B", "Llama-2-13B", "Llama-3-8B")
PROMPT, TOKEN = "cycles_discriminative", "cycles_per_token"
GENERATED = 20  # tokens of a generative task


@functools.cache
def suite():
    return validate("bitmod")


@functools.cache
def found(accelerator, model):
    name = f"{accelerator} {model}"
    ran = {case.metric: case.got for case in suite().cases if case.id == name}
    return ran or BitMod().run({"accelerator": accelerator, "model": model})


def generative(run):
    return run[PROMPT] + GENERATED * run[TOKEN]


def mean(ratio):
    return sum(map(ratio, MODELS)) / len(MODELS)


def test_every_metric_of_the_table_is_inside_its_tolerance():
    result = suite()
    assert result.rows == 20
    assert result.passed, result.metrics()
    errors = {name: round(m["mape_pct"], 1) for name, m in result.metrics().items()}
    assert errors == {
        PROMPT: 4.2, TOKEN: 3.7, "total_uJ_disc": 7.0, "total_uJ_per_token": 2.6,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("better", "than", "prompts", "generation"),
    [
        ("BitMoD_lossless", "FP16", 1.99, 2.41),
        ("BitMoD_lossy", "ANT_lossy", 1.72, 1.66),
        ("BitMoD_lossy", "OliVe_lossy", 1.56, 1.39),
    ],
)
def test_mean_speedups_are_near_the_headlines(better, than, prompts, generation):
    """Within a tenth: an 8-bit KV cache is multiplied in four cycles, whatever weights take."""
    got = mean(lambda m: found(than, m)[PROMPT] / found(better, m)[PROMPT])
    assert got == pytest.approx(prompts, rel=0.1)
    got = mean(lambda m: generative(found(than, m)) / generative(found(better, m)))
    assert got == pytest.approx(generation, rel=0.1)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"accelerator": "TPU", "model": "Yi-6B"}, 'accelerator "TPU" is not one of'),
        ({"accelerator": "FP16", "model": "GPT-9"}, 'model "GPT-9" is none that ships'),
        ({"accelerator": "ANT_lossy", "model": "OPT-66B"}, "for opt-66b are not published"),
    ],
)
def test_rows_that_cannot_be_expressed_say_why(row, reason):
    with pytest.raises(Unsupported, match=reason):
        BitMod().run(row)
