"""Do Duplex's machines give what its paper says, where no grid of served batches is needed?"""

from pathlib import Path

import pytest

from archsim.core.errors import Unsupported
from archsim.validation.adapters import _duplex
from archsim.validation.adapters._duplex import Point
from archsim.validation.adapters.duplex import Duplex
from archsim.validation.suite import HERE, Tolerance, read_table

ROWS = {row["id"]: row for row in read_table(Path(HERE / "tables" / "duplex_results.csv"))}


@pytest.fixture(scope="module")
def adapter():
    return Duplex()


@pytest.mark.parametrize("row", [row for row in ROWS.values() if row["metric"] == "edap_norm"],
                         ids=lambda row: row["id"])  # fmt: skip
def test_energy_delay_and_area_are_those_of_the_figure(adapter, row):
    got = adapter.run(row)["want"]
    assert 0 < got <= 1
    tolerance = Tolerance(adapter.tolerance("want", row))
    assert not tolerance.gating or tolerance.holds(float(row["want"]), got)


def test_keys_and_values_of_opt_leave_room_for_the_published_batch(adapter):
    # 130.5 GB of weights and 4.83 GB a request in 4 x 80 GiB; 41 published, 44 by that arithmetic
    row = ROWS["DX09"]
    got = adapter.run(row)["want"]
    assert Tolerance(adapter.tolerance("want", row)).holds(float(row["want"]), got)
    assert got == (4 * 80 * 2**30 - 2 * 65.7e9) // (2048 * 2 * 64 * 9216 * 2)


def test_attention_of_grouped_queries_leaves_a_gpu_at_a_hundredth_of_its_peak():
    # two operations for each of 4 query heads and 2 bytes: 4 x 0.75 x 3.328 TB/s over 989.4 TFLOPS
    point = Point("gpu", "mixtral", 4, 1024, 1024, 32)
    found = _duplex.utilised_pct(point, ("attention_score", "attention_value"))
    assert found == pytest.approx(100 * 4 * 0.75 * 3.328 / 989.4, rel=0.02)


def test_slices_of_tokens_travel_between_nodes_where_experts_are_shared_in_them():
    # section VII-A: each device carries its eighth
    plans = {n: _duplex.plan_of(Point("duplex_pe_et", "grok", n, 256, 256, 32)) for n in (8, 16)}
    assert {n: plan["experts"] for n, plan in plans.items()} == {8: "shared", 16: "sliced"}


def test_points_that_rows_share_are_served_once(monkeypatch):
    asked = []
    monkeypatch.setattr(_duplex, "all_served", lambda points, *_: asked.extend(points) or {})
    Duplex().prepare(list(ROWS.values()), 2, None)
    assert len(asked) == len(set(asked)) == 4 * 3 * 3 * 3  # systems, models, lengths, batches


def test_rows_behind_the_fitted_hop_do_not_count(adapter):
    gating = {name for name, row in ROWS.items() if adapter.gates("want", row)}
    assert set(ROWS) - gating == {"DX01", "DX02", "DX03", "DX19", "DX21"}


def test_what_the_paper_does_not_have_is_told(adapter):
    row = {**ROWS["DX01"], "metric": "latency_ratio"}
    with pytest.raises(Unsupported, match='metric "latency_ratio" is not of the paper'):
        adapter.run(row)
    with pytest.raises(Unsupported, match='system "tpu" is not one of gpu, duplex'):
        _duplex.machine_of("tpu", 4)
