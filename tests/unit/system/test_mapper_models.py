"""Is a model no slower where its tiles are searched, whatever the fused vector ops take?"""

from functools import cache

import pytest

from archsim import api
from archsim.system.mapper_rule import filled

PREFILL = {"phase": "prefill", "batch": 1, "tokens": 1024}


@cache
def planned(name, objective=""):
    """GPT-2's prefill: time, stages, and times by op; without an objective as it is shipped."""
    data = api.load_hardware(name).to_data()
    if objective:
        own = {"objective": objective, "cache": False, "budget": 100_000}
        data["mapping"] = [
            {**rule, **own} if rule.get("dataflow") == "auto" else rule
            for rule in filled(data["mapping"])
        ]
    plan = api.place_only(data, "gpt2-small", **PREFILL)
    run = api.run(data, "gpt2-small", fidelity="tile", advice=False, **PREFILL)
    stages = {s.path: s for b in plan.blocks for s in b.stages}
    return run.result["time_ps"], stages, {row["op"]: row["time_ps"] for row in run.ops}


@pytest.mark.parametrize("name", ["npu", "tpu-v4"])
def test_a_search_for_time_is_no_slower_than_one_for_energy_or_than_the_default(name):
    fastest = planned(name, "latency")[0]
    assert fastest <= planned(name, "energy")[0]
    assert fastest <= planned(name)[0]


def test_results_that_crowd_at_a_vector_unit_are_in_the_prediction():
    _, stages, times = planned("npu", "latency")
    stage, layers = stages["layer/ffn.up"], 12  # its GELU takes longer than its product
    assert stage.vector is not None
    assert times["layer/ffn.up"] / layers == pytest.approx(
        stage.searched.time_s * 1e12, rel=0.12
    )  # fmt: skip
