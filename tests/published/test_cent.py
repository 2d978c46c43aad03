"""Are the published times and energies of CENT's tokens met, and are odd rows told?"""

import pytest

from archsim.core.errors import Unsupported
from archsim.validation.adapters.cent import ENERGY, LATENCY, PHYSICAL, RATE, Cent
from archsim.validation.suite import HERE, read_table

ROWS = {
    (row["Model"], row["Pipeline parallelism"], row["Tensor parallelism"], row["Phase"]): row
    for row in read_table(HERE / "tables" / "cent_results.csv")
}
PROMPTS = [("Llama2-7B", "8", "1"), ("Llama2-7B", "32", "1"), ("Llama2-7B", "1", "8"),
           ("Llama2-13B", "1", "20")]  # fmt: skip
ODD = {
    "Model": ("GPT3-175B", 'model "GPT3-175B" is not one of Llama2-7B, Llama2-13B, Llama2-70B'),
    "Phase": ("training", 'phase "training" is not one of prefill, decoding, end2end'),
    "Tensor parallelism": ("3", "pipeline 8 x tensor 3 on 8 devices: their product is the number "
                           "of devices, or tensor 1 with a stage for each of 32 layers"),
}  # fmt: skip


@pytest.mark.parametrize("plan", PROMPTS, ids=str)
def test_tokens_of_prompts_take_what_is_published(plan):
    row = ROWS[(*plan, "prefill")]
    found = Cent().run(row)
    assert found[LATENCY] == pytest.approx(float(row[LATENCY]), rel=0.15)
    assert found[RATE] == pytest.approx(float(row[RATE]), rel=0.15)
    assert found[ENERGY] == pytest.approx(float(row[ENERGY]), rel=0.10)
    # the published count has 31 of the 32 channels of a device less: while all stages are full,
    # those of all devices, over what they give together
    less_w = 31 * 0.26375 * int(row["Device number"])
    assert found[PHYSICAL] - found[ENERGY] == pytest.approx(1000 * less_w / found[RATE], rel=0.02)


def test_time_and_energy_grow_with_the_context_and_stages_share_the_work():
    adapter = Cent()
    row = {**ROWS["Llama2-7B", "1", "8", "decoding"], "Seqlen": "1024"}
    found, short = adapter.run(row), adapter.run({**row, "Phase": "prefill"})
    assert found[LATENCY] > short[LATENCY]
    assert found[ENERGY] > short[ENERGY]
    assert found[RATE] == pytest.approx(512 / found[LATENCY])  # one token at a time


@pytest.mark.parametrize("column", ODD)
def test_what_cannot_be_expressed_is_unsupported_with_the_reason(column):
    value, why = ODD[column]
    with pytest.raises(Unsupported) as error:
        Cent().run({**ROWS["Llama2-7B", "8", "1", "prefill"], column: value})
    assert error.value.message == why
