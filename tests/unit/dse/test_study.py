"""Does the loop ask, answer, tell and sum up as it says, whoever runs and whenever it ends?"""

from dataclasses import replace
from random import Random
from threading import Event

import pytest
from scipy import stats

import archsim
from archsim import api
from archsim.core.errors import InputError
from archsim.core.yamlio import dump_yaml
from archsim.dse.again import again
from archsim.dse.agreement import kendall, spearman
from archsim.dse.executors.limit import out_of_time, quarantined
from archsim.dse.kept import kept
from archsim.dse.pareto import best, crowding, front, hypervolume, ranks, usual_reference
from archsim.dse.point import Outcome
from archsim.dse.spec import load_explore
from archsim.dse.study import Memory, Study, going_on
from archsim.testing.studies import Formulas, plan_of

OBJECTIVES = [{"metric": "metrics.cost"}, {"metric": "metrics.gain", "direction": "maximize"}]
SPACE = {"a": list(range(1, 9)), "b": [1, 2, 4]}


def both(settings, fidelity):
    """Cost of a and b, and a gain that b = 2 trebles; a = 8 does not fit."""
    a, b = settings.get("a", 5), settings.get("b", 1)
    if a == 8:
        return None
    near = 0.01 * (a % 2) if fidelity == "analytic" else 0.0
    return {"metrics.cost": a * b + near, "metrics.gain": a * (3 if b == 2 else 1)}


def found_by(plan, memory=None, **how):
    executor = Formulas(both, **{k: v for k, v in how.items() if k != "shard"})
    memory = memory if memory is not None else Memory()
    study = Study(plan, memory, executor, shard=how.get("shard"), ended=executor.ended)
    return study.run(), executor, memory


def test_the_front_is_of_designs_that_keep_the_constraints_and_that_none_dominates():
    plan = plan_of(SPACE, objectives=OBJECTIVES, constraints=["metrics.cost <= 12"])
    found, executor, _ = found_by(plan)
    assert len(found.rows) == 24
    assert len(executor.ran) == 25  # and the machine as described
    assert found.counts == {
        "kept": 16, "broken": 5, "infeasible": 3, "failed": 0, "quarantined": 0
    }  # fmt: skip
    assert [(row.settings["a"], row.settings["b"]) for row in found.front] == [
        (1, 1), (1, 2), (2, 2), (3, 2), (4, 2), (5, 2), (6, 2),
    ]  # fmt: skip
    assert found.described.metrics["metrics.cost"] == 5
    assert [row.settings for row in found.dominating] == [{"a": 2, "b": 2}]


def test_what_was_answered_is_not_run_again():
    plan = plan_of(SPACE, objectives=OBJECTIVES)
    first, executor, memory = found_by(plan)
    again, idle, _ = found_by(plan, memory)
    assert len(executor.ran) == 25
    assert idle.ran == []
    assert again.summary() == first.summary()
    assert (again.ran, again.cached) == (0, 24)


def test_an_outcome_that_says_more_of_its_run_than_of_the_design_is_sought_again():
    plan = plan_of(
        {"a": [1, 2, 3, 4, 5]}, objectives=OBJECTIVES, execution={"timeout_per_point": "2 s"}
    )
    tasks = [plan.task({"a": a}, plan.spec.fidelity) for a in (1, 2, 3, 4, 5)]
    memory = Memory()
    outcomes = [
        quarantined(tasks[0], 2),
        Outcome(tasks[1].key, "failed", {}, error={"code": "", "message": "internal fault"}),
        out_of_time(replace(tasks[2], timeout_s=1)),
        out_of_time(tasks[3]),
        Outcome(tasks[4].key, "failed", {}, error={"code": "E202", "message": "refused"}),
    ]
    for number, (task, outcome) in enumerate(zip(tasks, outcomes, strict=True)):
        memory.put(task, outcome, number)
    found, _, _ = found_by(plan, memory)
    assert [row.status for row in found.rows] == ["ok", "ok", "ok", "failed", "failed"]
    assert (found.ran, found.cached) == (3, 2)


def test_a_repeated_design_is_run_once():
    search = {"sampler": "random", "evaluations": 100, "population": 10}
    found, executor, _ = found_by(plan_of(SPACE, objectives=OBJECTIVES, search=search))
    assert found.asked == 100
    assert len(executor.ran) == len(set(executor.ran)) == len(found.rows) + 1 <= 25


def test_shards_are_parts_of_the_whole_that_do_not_overlap():
    plan = plan_of(SPACE, objectives=OBJECTIVES)
    whole, _, _ = found_by(plan)
    parts = [found_by(plan, shard=(i, 3))[0] for i in (1, 2, 3)]
    keys = [row.key for part in parts for row in part.rows]
    assert sorted(keys) == sorted(row.key for row in whole.rows)
    assert all(part.rows for part in parts)


def test_a_round_at_lower_fidelity_keeps_the_best_share_and_tells_how_alike_it_orders():
    plan = plan_of(SPACE, objectives=OBJECTIVES, screen={"fidelity": "analytic", "keep": 0.25})
    found, executor, _ = found_by(plan)
    assert len(found.rows) == 6  # of 24
    assert len(executor.ran) == 25 + 7
    assert [one["from"] + one["to"] for one in found.agreement] == ["analytictile"] * 2
    assert all(
        one["designs"] == 6 and one["spearman"] == pytest.approx(1) for one in found.agreement
    )


def test_designs_that_break_a_constraint_go_on_only_where_room_is_left():
    plan = plan_of(SPACE, objectives=OBJECTIVES, constraints=["metrics.cost <= 1"])
    found, _, _ = found_by(plan)
    chosen = going_on(found.rows, 3 / 24)
    assert [(row.settings["a"], row.settings["b"]) for row in chosen] == [(1, 1), (1, 2), (2, 1)]


def test_a_search_ends_when_its_hypervolume_stalls():
    search = {
        "sampler": "nsga2", "evaluations": 400, "population": 10, "stop": {"hypervolume_stall": 3},
    }  # fmt: skip
    found, _, _ = found_by(plan_of(SPACE, objectives=OBJECTIVES, search=search))
    assert found.asked < 400
    assert found.volumes[-1] == found.volumes[-4]
    assert found.volumes == sorted(found.volumes)


def test_a_metric_that_no_run_has_is_told_after_the_first_design():
    plan = plan_of(SPACE, objectives=[{"metric": "metrics.costs"}])
    executor = Formulas(both)
    with pytest.raises(InputError) as refused:
        Study(plan, Memory(), executor).run()
    assert len(executor.ran) == 1
    assert refused.value.message == (
        'objective uses "metrics.costs", which a run at fidelity tile does not have'
    )
    assert refused.value.diagnostics[0].help == 'did you mean "metrics.cost"?'


def test_an_end_leaves_a_study_that_says_so():
    found, _, _ = found_by(plan_of(SPACE, objectives=OBJECTIVES), most=7, ended=Event())
    assert not found.complete


def test_ranks_room_and_volume_are_those_of_the_books():
    points = [(1, 5), (2, 3), (4, 1), (3, 4), (5, 5), (1, 5)]
    assert ranks(points) == [0, 0, 0, 1, 2, 0]
    assert front(points) == [0, 1, 2, 5]
    assert crowding([(0, 4), (1, 2), (4, 0)]) == [float("inf"), 2.0, float("inf")]
    assert best(points, 4) == [0, 1, 2, 5]
    assert hypervolume([(1, 2), (2, 1)], (3, 3)) == 3


def test_without_a_reference_volumes_are_measured_from_beyond_the_worst_so_that_ends_count():
    assert usual_reference([(0, -4), (10, -6)]) == (11, -3.8)
    assert usual_reference([(10, 0)]) == (11, 0)


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_fronts_are_what_is_left_undominated_round_by_round(objectives):
    chance = Random(objectives)
    points = [tuple(chance.randrange(6) for _ in range(objectives)) for _ in range(60)]
    left, wanted = set(range(60)), {}
    while left:
        own = {i for i in left if not any(dominates(points[k], points[i]) for k in left)}
        wanted |= dict.fromkeys(own, len(set(wanted.values())))
        left -= own
    assert ranks(points) == [wanted[i] for i in range(60)]
    assert front(points) == [i for i in range(60) if wanted[i] == 0]


def dominates(a, b):
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def test_rank_correlations_are_those_of_scipy():
    a, b = [1.0, 2.0, 2.0, 3.0, 5.0, 4.0], [2.0, 1.0, 3.0, 3.0, 6.0, 7.0]
    assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert kendall(a, [1.0] * 6) is None


def test_a_sweep_answers_as_single_runs_do(tmp_path):
    space = {"engines.array.count": [4, 8], "workload.phase.batch": [1, 2]}
    work = {"model": "gpt2-small", "phase": "decode", "batch": 1, "context": 64}
    table = archsim.sweep("npu", work, space=space, fidelity="analytic")
    assert list(table["workload.phase.batch"]) == [1, 2, 1, 2]
    run = api.run(
        "npu", "gpt2-small", phase="decode", batch=2, context=64, fidelity="analytic",
        set_=["engines.array.count=8"], advice=False,
    )  # fmt: skip
    assert table["metrics.time_s"][3] == run.metrics["time_s"]
    assert table["metrics.energy_j.total"][3] == run.metrics["energy_j"]["total"]


def test_a_study_chooses_among_machines_and_keeps_a_folder_that_goes_on(tmp_path):
    data = {
        "schema": "archsim.explore/1", "name": "two", "fidelity": "bound",
        "space": {"hardware": ["npu", "npu-hbm2"], "workload": ["gpt2-small-prefill"]},
        "search": {"sampler": "grid"},
    }  # fmt: skip
    found = archsim.explore(data, output=tmp_path / "s", executor="serial")
    assert [row.settings["hardware"] for row in found.rows] == ["npu", "npu-hbm2"]
    assert len({row.key for row in found.rows}) == 2
    again = archsim.explore(data, output=tmp_path / "s", executor="serial")
    assert (again.ran, again.summary()) == (0, found.summary())
    spec, _ = load_explore(str(tmp_path / "s" / "explore.resolved.yaml"))
    assert [one.metric for one in spec.objectives] == ["metrics.time_s", "metrics.area_mm2.total"]


def test_machines_that_are_chosen_by_file_run_again_from_the_folder_as_they_ran(tmp_path):
    machine = api.load_hardware("npu").to_data() | {"clocks": {"core": "2 GHz"}}
    work = api.load_workload("gpt2-small", phase="decode", batch=1, context=64)[0].to_data()
    (tmp_path / "mine.yaml").write_text(dump_yaml(machine))
    (tmp_path / "study.yaml").write_text(dump_yaml({
        "schema": "archsim.explore/1", "name": "two", "fidelity": "analytic", "workloads": [work],
        "space": {"hardware": ["mine.yaml", "npu"]}, "search": {"sampler": "grid"},
    }))  # fmt: skip
    out = tmp_path / "out"
    found = archsim.explore(
        tmp_path / "study.yaml", set_=["engines.array.count=4"], output=out, executor="serial"
    )
    row = found.rows[0]
    (tmp_path / "mine.yaml").unlink()
    hardware = kept(f"{out}#{row.key}").resolved()["hardware"]
    assert hardware == api.load_hardware(machine, set_=["engines.array.count=4"]).to_data()
    study, _ = load_explore(out / "explore.resolved.yaml")
    (command,) = again(out, study.to_data(), row.settings, "analytic")
    words = command.split()
    run = api.run(words[2], words[3], fidelity=words[5], seed=int(words[7]), advice=False)
    assert run.metrics["time_s"] == row.metrics["metrics.time_s"]
    with pytest.raises(InputError, match="another study") as refused:
        archsim.explore(
            {"schema": "archsim.explore/1", "name": "other", "hardware": "npu", "fidelity": "bound",
             "workloads": [work], "space": {"engines.array.count": [8]},
             "search": {"sampler": "grid"}},
            output=out, executor="serial",
        )  # fmt: skip
    assert refused.value.code == "E703"
