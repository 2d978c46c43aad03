"""Is a constraint refused before anything runs where no design keeps it, and only there?"""

import pytest

from archsim.core.document import Document
from archsim.core.errors import InputError
from archsim.core.yamlio import load_spec
from archsim.dse.hopeless import refuse_hopeless
from archsim.dse.plan import prepare
from archsim.dse.spec import ExploreSpec

RATES = {"memory.hbm.bandwidth": {"range": ["1 TB/s", "2 TB/s"]}}
BATCH = {"workload.phase.batch": {"int_range": [1, 500]}}  # too many plans to make all


def told(space, limit, **search):
    data = {
        "schema": "archsim.explore/1", "name": "s", "hardware": "npu",
        "workloads": ["gpt2-small-prefill"], "space": space, "constraints": [limit],
        "search": {"sampler": "random", "evaluations": 30_000, **search},
    }  # fmt: skip
    plan = prepare(*load_spec(Document(data, {}), ExploreSpec))
    try:
        refuse_hopeless(plan)
    except InputError as refused:
        return refused.message
    return ""


def test_a_continuum_is_asked_at_its_ends_and_between():
    assert told(RATES, "metrics.time_s <= 1 ns") == (
        'constraint "metrics.time_s <= 1 ns" cannot be met: the least of 258 designs at the ends '
        "of all ranges and between is 1.33 ms"
    )


def test_of_many_plans_all_corners_are_asked_and_only_some_designs_between():
    said = told({**RATES, **BATCH}, "metrics.area_mm2.total <= 4 mm^2", evaluations=100)
    assert "the least of 30 designs at the ends of all ranges and between is 32.73 mm2" in said


@pytest.mark.parametrize(
    ("space", "limit"),
    [
        (RATES, "metrics.time_s <= 1 s"),
        (RATES, "metrics.memory_peak_bytes.sram <= 1 B"),  # no bound says anything of it
        # the small end does not hold the model: the best that fits lies at no corner
        ({"memory.hbm.capacity": {"range": ["1 MiB", "4 GiB"]}}, "metrics.time_s <= 1 ns"),
    ],
)
def test_what_some_design_may_keep_is_not_refused(space, limit):
    assert told(space, limit) == ""
