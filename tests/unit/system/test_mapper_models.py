"""Is a model no slower where its tiles are searched, whatever the fused vector ops take?"""

from functools import cache

import pytest

from archsim import api
from archsim.system.mapper_rule import filled

PREFILL = {"phase": "prefill", "batch": 1, "tokens": 1024}


def machine(name, objective=""):
    """A machine that is searched for an objective; without one as it is shipped."""
    data = api.load_hardware(name).to_data()
    if objective:
        own = {"objective": objective, "cache": False, "budget": 100_000}
        data["mapping"] = [
            {**rule, **own} if rule.get("dataflow") == "auto" else rule
            for rule in filled(data["mapping"])
        ]
    return data


@cache
def ran(name, objective=""):
    """GPT-2's prefill: time, and times by op."""
    run = api.run(machine(name, objective), "gpt2-small", fidelity="tile", advice=False, **PREFILL)
    return run.result["time_ps"], {row["op"]: row["time_ps"] for row in run.ops}


@pytest.mark.parametrize("name", ["npu", "tpu-v4"])
def test_a_search_for_time_is_no_slower_than_one_for_energy_or_than_the_default(name):
    fastest = ran(name, "latency")[0]
    assert fastest <= ran(name, "energy")[0]
    assert fastest <= ran(name)[0]


def test_results_that_crowd_at_a_vector_unit_are_in_the_prediction():
    plan = api.place_only(machine("npu", "latency"), "gpt2-small", **PREFILL)
    stages, times = {s.path: s for b in plan.blocks for s in b.stages}, ran("npu", "latency")[1]
    stage, layers = stages["layer/ffn.up"], 12  # its GELU takes longer than its product
    assert stage.vector is not None
    assert times["layer/ffn.up"] / layers == pytest.approx(
        stage.searched.time_s * 1e12, rel=0.12
    )  # fmt: skip
