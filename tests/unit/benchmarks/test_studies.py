"""Do the studies of pods try what they say, and judge what they find as they say?"""

import pytest

from archsim.lowering.model import load_model
from archsim.system.spec import load_hardware
from benchmarks import degraded, palm_plans, plans_405b, pods
from benchmarks.tables import counted, write_csv


@pytest.fixture(scope="module")
def tpu():
    return load_hardware("tpu-v4-64")[0].to_data()


def palm_row(tpu, phase, layout, attention, weights="bf16", batch=64):
    plans = [
        plan for plan in palm_plans.plans(64, batch)
        if (plan["layout"], plan["attention"]) == (layout, attention)
    ]  # fmt: skip
    model = {**load_model("palm-540b").model.to_data(), "heads": palm_plans.HEADS}
    case = {"phase": phase, "weights": weights, "chips": 64, "batch": batch, "plan": plans[0]}
    return palm_plans.measured(case, tpu, model)


def test_every_plan_of_palm_takes_all_chips_and_divides_the_batch():
    for chips in palm_plans.SHAPES:
        for batch in palm_plans.BATCHES:
            for plan in palm_plans.plans(chips, batch):
                assert plan["tensor"] * plan["data"] == chips
                assert batch % plan["data"] == 0
                dims = plan.get("tensor_dims", (plan["tensor"],))
                assert dims == palm_plans.SHAPES[plan["tensor"]] or dims == (plan["tensor"],)


def test_one_sequence_leaves_only_layouts_that_deal_out_no_sequences():
    found = {(p["layout"], p["attention"]) for p in palm_plans.plans(64, 1)}
    assert found == {("1d", "heads"), ("2d", "heads")}
    assert list(palm_plans.plans(128, 1)) == []


def test_mfu_is_that_of_the_paper_for_its_latency():
    # Pope et al. 2023, table 2: 64 tokens of batch 64 in 1.82 s are an MFU of 14 %; 512 x 2048
    # tokens of prompts in 85.2 s one of 76 %
    decode = {"phase": "decode", "chips": 64, "batch": 64}
    prefill = {"phase": "prefill", "chips": 64, "batch": 512}
    assert palm_plans.mfu(decode, 1.82 / 64) == pytest.approx(0.14, abs=0.005)
    assert palm_plans.mfu(prefill, 85.2) == pytest.approx(0.76, abs=0.005)


def test_the_frontier_holds_what_no_other_plan_beats():
    points = [(1.0, 0.2), (2.0, 0.1), (2.0, 0.3), (3.0, 0.3), (4.0, 0.5)]
    rows = [{"latency_s": s, "mfu": share} for s, share in points]
    found = [(r["latency_s"], r["mfu"]) for r in palm_plans.frontier(rows)]
    assert found == [(1.0, 0.2), (2.0, 0.3), (4.0, 0.5)]


def test_the_fastest_plan_is_looked_for_among_those_that_fit():
    like = {"phase": "decode", "weights": "bf16", "chips": 64, "batch": 64}
    rows = [{**like, "layout": name, "latency_s": s}
            for name, s in (("a", None), ("b", 2.0), ("c", 1.0))]  # fmt: skip
    assert [row["layout"] for row in palm_plans.fastest(rows)] == ["c"]


def test_a_line_says_from_which_batch_on_a_layout_is_the_fastest():
    like = {"phase": "prefill", "weights": "bf16", "chips": 64}
    rows = [{**like, "layout": name, "batch": n} for n, name in ((64, "x"), (1, "2d"), (4, "2d"))]
    assert list(palm_plans.changes(rows)) == [
        "prefill on 64 chips, bf16: 2d from batch 1, x from batch 64"
    ]


def test_palm_decodes_best_with_weights_in_place_and_prefills_best_with_weights_gathered(tpu):
    time_s = {
        (phase, layout): palm_row(tpu, phase, layout, "batch", "int8")["latency_s"]
        for phase in ("prefill", "decode")
        for layout in ("2d", "gathered_xy")
    }
    assert time_s["decode", "2d"] < time_s["decode", "gathered_xy"] / 10
    assert time_s["prefill", "gathered_xy"] < time_s["prefill", "2d"]


def test_a_plan_that_a_chip_cannot_hold_has_no_latency(tpu):
    row = palm_row(tpu, "prefill", "1d", "heads", batch=512)
    assert row["latency_s"] is None
    assert row["mfu"] is None


@pytest.mark.parametrize(("stages", "micro", "share"), [(1, 1, 0), (2, 2, 1 / 3), (8, 8, 7 / 15)])
def test_equal_stages_stand_still_while_the_pipeline_fills_and_drains(stages, micro, share):
    assert plans_405b.equal_stages(stages, micro) == pytest.approx(share)


def test_steps_that_follow_each_other_have_no_bubbles_but_those_of_tokens_that_wait():
    assert plans_405b.among_many("prefill", 4, 4) == pytest.approx(4 / 7)
    assert plans_405b.among_many("decode", 4, 4) == pytest.approx(4 / 7)
    assert plans_405b.among_many("prefill", 4, 1) == pytest.approx(1 / 4)
    assert plans_405b.among_many("decode", 4, 1) == 1


def test_plans_of_405b_take_sixteen_devices_and_bubbles_are_near_those_of_equal_stages():
    assert all(c["tensor"] * c["pipeline"] == 16 for c in plans_405b.cases())
    hardware = load_hardware(plans_405b.MACHINE)[0].to_data()
    case = {"phase": "prefill", "tensor": 4, "pipeline": 4, "microbatches": 8}
    row = plans_405b.measured(case, hardware)
    assert row["bubble"] == pytest.approx(3 / 11, abs=0.03)
    assert sum(row[kind] for kind in plans_405b.KINDS) == pytest.approx(1)
    assert 47 < row["held_gib"] < 80  # 811.7 GB of weights over 16, and what fits


def test_pods_are_paired_with_runs_of_every_chip_and_held_to_their_bars():
    once = pods.case(8, {"tensor": 8}) | {
        "time_ps": 5,
        "energy_j": 1.0,
        "wall_s": 1.0,
        "peak_mb": 9,
    }
    exact = once | {"what": "exact", "exact": True}
    assert pods.pairs([once, exact, pods.case(64, {"tensor": 8})]) == [(once, exact)]
    assert pods.equal(once, exact)
    assert not pods.equal(once, exact | {"time_ps": 6})
    assert pods.over([once, exact | {"wall_s": 99}]) == []
    slow = once | {"chips": 64, "wall_s": 11.0}
    large = once | {"chips": 4096, "wall_s": 50.0, "peak_mb": 1001.0}
    assert pods.over([slow, large]) == [slow, large]


def test_eight_chips_simulated_once_end_in_the_picosecond_of_all_eight():
    asked = pods.case(8, {"tensor": 2, "pipeline": 2, "data": 2, "microbatches": 4})
    assert pods.equal(pods.run(asked), pods.run({**asked, "exact": True}))


def test_a_job_survives_a_missing_link_and_not_a_missing_chip(tpu):
    job = "70B decode, 8 copies"
    link, chip = (degraded.measured(job, fault, tpu) for fault in ("link gone", "chip gone"))
    assert link["survives"]
    assert 1 < link["time_ratio"] < 2
    assert not chip["survives"]
    assert chip["why"] == (
        "the job does not survive: device 21 is missing, and the plan needs all 64"
    )


def test_tables_are_written_with_a_header_and_progress_yields_every_case(tmp_path):
    rows = list(counted("x", [{"a": 1, "b": 2}, {"a": 3, "b": 4}]))
    write_csv(tmp_path / "new" / "t.csv", rows)
    assert (tmp_path / "new" / "t.csv").read_text() == "a,b\n1,2\n3,4\n"
