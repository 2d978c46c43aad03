"""Is a layer as one pipeline worth what SN40L's authors measured (MICRO 2024, section VI)?"""

import pytest

from archsim.core.errors import Unsupported
from archsim.validation.adapters._sn40l import DECODE, PREFILL, fused, workload
from archsim.validation.adapters.sn40l import FOOTPRINT, OTHER, SWITCHING, VALUE, Sn40l
from archsim.validation.runner import validate
from archsim.validation.suite import HERE, read_table

ROWS = read_table(HERE / "tables" / "sn40l_results.csv")


@pytest.mark.parametrize(
    ("phase", "low", "high", "hardware"),
    [(PREFILL, 1.5, 3.0, (1.0, 1.1)), (DECODE, 1.0, 13.0, (1.4, 8.0))],
)
def test_fusion_and_launches_by_the_chip_are_inside_the_published_ranges(
    phase, low, high, hardware
):
    found = fused(workload("llama-2-7b", phase, 4096))
    assert low <= found.fusion <= high
    assert hardware[0] <= found.hardware <= hardware[1]
    assert found.launches_fused == 32 + 2
    assert found.launches > 11  # theirs, of a prompt: a layer is more than one kernel there


def test_fusion_without_launches_gains_only_what_no_longer_passes_memory():
    free = ("engines.fabric.host_launch=0 s", "engines.fabric.hardware_launch=0 s")
    found = fused(workload("llama-2-7b", PREFILL, 4096), free)
    assert found.fused_s == found.hardware_s
    assert 1.5 < found.fusion < 3


def test_experts_come_from_memory_behind_the_chip_faster_than_from_a_host():
    row = next(r for r in ROWS if r["metric"] == SWITCHING)
    got = Sn40l().run(row)
    assert got[VALUE] == pytest.approx(1000 / 32)  # 1 TB/s of a node over its host link
    assert got[OTHER] == pytest.approx(1000 / 64)


def test_a_node_of_gpus_holds_forty_seven_experts():
    row = next(r for r in ROWS if r["metric"] == FOOTPRINT)
    assert Sn40l().run(row) == {VALUE: 19}


def test_an_end_of_a_range_holds_on_its_inner_side():
    adapter = Sn40l()
    low, high = (
        next(r for r in ROWS if r["metric"].endswith(f"range {end}")) for end in ("low", "high")
    )
    assert adapter.inside(VALUE, low, 1.5, 1.5)
    assert not adapter.inside(VALUE, low, 1.5, 1.49)
    assert adapter.inside(VALUE, high, 3, 3)
    assert not adapter.inside(VALUE, high, 3, 3.01)
    assert adapter.inside(VALUE, next(r for r in ROWS if r["metric"] == SWITCHING), 1, 2) is None


def test_what_is_not_public_is_unsupported_with_the_reason():
    result = validate("sn40l", limit=2)
    assert (result.rows, result.unsupported, result.passed) == (2, 2, False)
    reasons = {case.reason for case in result.cases}
    assert reasons == {"prompt lengths, router and DGX decode times are not public"}


def test_a_row_of_another_table_that_nobody_knows_is_unsupported_by_name():
    with pytest.raises(Unsupported, match='no run gives "speed of light"'):
        Sn40l().run({"metric": "speed of light"})
