"""Is a layer as one pipeline worth what SN40L's authors measured (MICRO 2024, section VI)?"""

import pytest

from archsim.core.errors import Unsupported
from archsim.serving.compose import compose
from archsim.validation.adapters._sn40l import DECODE, PREFILL, fused, workload
from archsim.validation.adapters.sn40l import FOOTPRINT, OTHER, SWITCHING, VALUE, Sn40l
from archsim.validation.suite import HERE, read_table

NODES = {"sn40l-8": 1000, "dgx-a100-host": 32, "dgx-h100-host": 64}  # GB/s to experts
ROWS = read_table(HERE / "tables" / "sn40l_results.csv")


@pytest.fixture(scope="module")
def adapter():
    return Sn40l()  # keeps what it has run


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


@pytest.mark.parametrize(
    ("output", "published"), [(20, {VALUE: 6.6, OTHER: 3.7}), (200, {VALUE: 4.2, OTHER: 2.7})]
)
def test_a_node_with_three_tiers_serves_a_composition_faster_than_nodes_with_host_links(
    adapter, output, published
):
    row = {"metric": f"Overall speedup BS=8 {output} output tokens"}
    got = adapter.run(row)
    # lengths of prompts are assumed: near, and in the published order
    assert got == pytest.approx(published, rel=0.35)
    assert got[VALUE] > got[OTHER] > 1
    assert not adapter.gates(VALUE, row)


def test_the_longer_the_answers_the_less_a_faster_switch_is_worth(adapter):
    short, long = (
        adapter.run({"metric": f"Overall speedup BS=8 {n} output tokens"}) for n in (20, 200)
    )
    expert = adapter.run({"metric": "Expert speedup BS=8 20 output tokens"})
    for column in (VALUE, OTHER):
        assert short[column] > long[column] > expert[column] > 1


def test_nodes_switch_at_the_speed_of_the_link_that_experts_come_over():
    found = {m: compose(m, "samba-coe", sweep=False).data["models"][0] for m in NODES}
    for machine, gb_per_s in NODES.items():
        per_s = 8 * found[machine]["weights_bytes"] / found[machine]["switch_s"]
        assert per_s == pytest.approx(gb_per_s * 1e9, rel=1e-3)


def fourier_convolution(points, channels):
    """A convolution by two Monarch transforms of points^2: products, twiddles, transposes.

    Complex numbers are pairs of reals, so that a transform of n points is a product with a real
    matrix of 2n x 2n (FlashFFTConv, Fu et al., ICLR 2024: order 2).
    """
    rows, cols, ops = channels * points, 2 * points, []
    steps = (
        ("gemm", "f1"), ("vector", "t1"), ("move", "x1"), ("gemm", "f2"), ("vector", "filter"),
        ("gemm", "i2"), ("vector", "t2"), ("move", "x2"), ("gemm", "i1"),
    )  # fmt: skip
    for kind, name in steps:
        size = {"rows": rows, "cols": cols}
        if kind == "gemm":
            size = {"m": rows, "n": cols, "k": cols}
        if kind == "vector":  # a complex product: four products and two sums for two reals
            size["primitives"] = {"mul": 2, "add": 1}
        after = [ops[-1]["name"]] if ops else []
        ops.append({"name": name, "kind": kind, "after": after, **size})
    config = {"architecture": "graph", "ops": ops}
    return {"schema": "archsim.workload/1", "name": "convolution", "model": {"config": config}}


def test_a_convolution_by_fourier_transforms_gains_more_of_fusion_the_shorter_it_is():
    found = [fused(fourier_convolution(n, c)) for n, c in ((32, 768), (64, 768), (1024, 96))]
    gains = [one.fusion for one in found]
    assert [one.launches for one in found] == [9, 9, 9]
    assert gains == pytest.approx([8.5, 7.4, 1.5], rel=0.05)
    assert found[0].unfused_s / found[0].hardware_s > 13


def test_the_published_convolution_is_unsupported_with_the_reason():
    row = next(r for r in ROWS if r["metric"].startswith("FlashFFTConv"))
    with pytest.raises(Unsupported, match="sizes of its convolution are not given"):
        Sn40l().run(row)


def test_a_row_of_another_table_that_nobody_knows_is_unsupported_by_name():
    with pytest.raises(Unsupported, match='no run gives "speed of light"'):
        Sn40l().run({"metric": "speed of light"})
