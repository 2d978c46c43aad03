"""Do environments keep the contracts of gymnasium and PettingZoo, and are designs run once?"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test

import archsim
from archsim.dse.constraint import constraint
from archsim.dse.evaluate import evaluate
from archsim.dse.executors.limit import quarantined
from archsim.dse.executors.serial import Serial
from archsim.dse.export import csv_lines
from archsim.dse.objective import Objective
from archsim.dse.plan import prepare
from archsim.dse.point import Outcome
from archsim.dse.spec import load_explore
from archsim.dse.store import Store
from archsim.dse.study import Study
from archsim.gym.asker import Asker, Recent
from archsim.gym.design import DesignEnv
from archsim.gym.judge import LIMIT, Judge, ratio
from archsim.testing.studies import plan_of

WORK = {"model": "gpt2-small", "phase": "decode", "batch": 1, "context": 16}
SPACE = {
    "memory.hbm.bandwidth": ["0.5 TB/s", "1 TB/s", "2 TB/s"],
    "engines.array.count": [2, 4, 8],
    "memory.hbm.capacity": ["1 MB", "80 GiB"],
}


def study(hardware="npu", **said):
    return {
        "schema": "archsim.explore/1", "name": "tiny", "hardware": hardware, "workloads": [WORK],
        "fidelity": "analytic", **said,
    }  # fmt: skip


def game(kind, hardware, **said):
    return {"schema": "archsim.gym/1", "name": "t", "kind": kind, "study": study(hardware), **said}


CONTINUOUS = {
    "memory.hbm.bandwidth": {"log_range": ["0.5 TB/s", "4 TB/s"]}, "engines.array.count": [2, 4],
}  # fmt: skip
CASES = {
    "levels": study(space=SPACE, constraints=["metrics.area_mm2.total <= 850 mm^2"]),
    "a continuum": study(space=CONTINUOUS),
    "controller": game("controller", "npu-hbm2", steps=3),
    "mapping": game("mapping", "npu"),
    "placement": game("placement", "npu-host"),
}


def formula(settings):
    """Twice the time with half the clock; a = 8 does not fit."""
    a, b = settings.get("a", 1), settings.get("b", 1)
    return None if a == 8 else {"metrics.time_s": 1.0 / a, "metrics.energy_j.total": 4.0 * b}


def chosen(plan, action):
    """Settings of a level of each dimension."""
    values = [one.levels[i] for one, i in zip(plan.space.dimensions, action, strict=True)]
    return plan.space.settings(values)


def levels(plan, settings):
    """The action that chooses these settings."""
    return [one.levels.index(settings[one.path]) for one in plan.space.dimensions]


def asked(found):
    return [dict(row.settings) for row in found.rows]


def by_formula(task):
    metrics = formula(task.settings)
    if metrics is None:
        return Outcome(task.key, "infeasible", {}, error={"code": "E401", "message": "too large"})
    return Outcome(task.key, "ok", metrics)


def played(space, constraints=(), steps=4):
    """A game whose designs are answered by the formula."""
    goals = [{"metric": "metrics.time_s"}, {"metric": "metrics.energy_j.total"}]
    plan = plan_of(space, objectives=goals, constraints=list(constraints))
    asker = Asker(plan, run=by_formula)
    weighted = [(one, 0.5) for one in plan.spec.objectives]
    names = [one.metric for one in plan.spec.objectives]
    judge = Judge(asker.described({}), names, weighted, plan.constraints, LIMIT)
    return DesignEnv(asker, judge, steps)


@pytest.mark.parametrize("name", CASES)
def test_gymnasium_finds_nothing_wrong(name):
    check_env(archsim.gym.make(CASES[name]))


def test_pettingzoo_finds_nothing_wrong_and_components_are_agents():
    env = archsim.gym.make_parallel(CASES["levels"])
    parallel_api_test(env, num_cycles=20)
    assert env.owned == {"memory.hbm": (0, 2), "engines.array": (1,)}


def test_agents_together_choose_what_one_would():
    said = {"bytes": ["memory.*"], "macs": ["engines.*"]}
    spec = {"schema": "archsim.gym/1", "name": "t", "study": CASES["levels"], "agents": said}
    recent = Recent()
    several, one = (
        archsim.gym.make_parallel(spec, recent=recent), archsim.gym.make(spec, recent=recent)
    )  # fmt: skip
    several.reset()
    one.reset()
    seen, rewards, _, _, infos = several.step({"bytes": np.array([2, 1]), "macs": np.array([0])})
    alone = one.step(np.array([2, 0, 1]))
    assert infos["macs"]["settings"] == alone[4]["settings"] == {
        "memory.hbm.bandwidth": "2 TB/s", "engines.array.count": 2, "memory.hbm.capacity": "80 GiB",
    }  # fmt: skip
    assert set(rewards.values()) == {alone[1]}
    assert np.array_equal(seen["bytes"], alone[0])
    assert (several.whole.asker.ran, one.unwrapped.asker.ran) == (2, 0)  # the answers are shared


def test_a_store_of_a_study_answers_and_stays_as_it_was(tmp_path):
    said = study(space=SPACE, search={"sampler": "random", "evaluations": 3})
    plan = prepare(*load_explore(said))
    with Store.open(tmp_path) as store:
        found = Study(plan, store, Serial()).run()
        before = list(csv_lines(store))
        new = next(a for a in np.ndindex(3, 3, 2) if chosen(plan, a) not in asked(found))
        env = archsim.gym.make(said, answers=store)
        env.reset()
        env.step(np.array(new))
        for row in found.rows:
            assert env.step(np.array(levels(plan, row.settings)))[4]["key"] == row.key
        assert env.unwrapped.asker.ran == 1  # the one that the study did not ask for
        assert list(csv_lines(store)) == before


def test_what_is_remembered_has_a_bound_and_the_last_ones_stay():
    env = played({"a": [1, 2, 4], "b": [1, 2]}, steps=9)
    env.asker.recent = Recent(most=2)
    env.reset()
    for action in ([0, 0], [1, 0], [0, 0], [2, 0], [0, 0], [1, 0]):
        env.step(np.array(action))
    assert (env.asker.asked, env.asker.ran) == (7, 1 + 4)  # [1, 0] was forgotten, [0, 0] was not


def test_an_answer_of_a_study_that_is_none_for_good_is_asked_again():
    env = played({"a": [1, 2]})
    task = env.asker.plan.task({"a": 2}, env.asker.plan.spec.fidelity)
    env.asker.answers = SimpleNamespace(get={task.key: quarantined(task, 2)}.get)
    env.reset()
    assert env.step([1])[4]["status"] == "ok"


def test_a_step_answers_what_a_bare_evaluation_does():
    env = archsim.gym.make(CASES["levels"])
    env.reset()
    _, _, _, _, info = env.step(np.array([2, 1, 1]))
    task = env.unwrapped.asker.plan.task(info["settings"], "analytic")
    assert (task.key, dict(evaluate(task).metrics)) == (info["key"], info["metrics"])


def test_a_repeated_design_is_not_run_again_and_an_episode_ends_with_its_steps():
    env = played({"a": [1, 2, 8], "b": [1, 2]})
    first = env.reset(seed=3)
    steps = [env.step(np.array([1, 1])) for _ in range(4)]
    assert (env.asker.asked, env.asker.ran) == (5, 2)  # the machine as described is the other one
    assert [step[3] for step in steps] == [False, False, False, True]
    assert not any(step[2] for step in steps)  # a limit of steps truncates
    assert [step[0][3] for step in steps] == [0.75, 0.5, 0.25, 0.0]
    with pytest.raises(ResetNeeded):
        env.step(np.array([0, 0]))
    assert np.array_equal(first[0], env.reset(seed=4)[0])


def test_reward_is_the_mean_power_of_two_and_nothing_is_worse_than_no_answer():
    env = played({"a": [1, 2, 8], "b": [1, 2]}, ["metrics.time_s >= 0.75 s"])
    env.reset()
    assert env.step(np.array([0, 0]))[1] == 0  # as described
    assert env.step(np.array([0, 1]))[1] == -0.5  # twice the energy
    seen, reward, _, _, info = env.step(np.array([1, 0]))  # half the time, a third too little
    assert (seen[:3].tolist(), info["violations"]) == ([-1, 0, 0], [pytest.approx(1 / 3)])
    assert reward == pytest.approx(0.5 - LIMIT / 3)
    seen, reward, _, _, info = env.step(np.array([2, 0]))
    assert (reward, info["status"], seen[:3].tolist()) == (-LIMIT, "infeasible", [0, 0, 0])
    lacking = Outcome("", "ok", {"metrics.energy_j.total": 1.0})
    assert env.judge.reward(lacking) == -LIMIT  # an objective that the design has no number for
    assert env.judge.seen(lacking) == [0, -2]
    worst = Judge(
        {"x": 1.0}, ["x"], [(Objective(metric="x"), 1.0)], (constraint("x <= 1"),), LIMIT
    )  # fmt: skip
    assert worst.reward(Outcome("", "ok", {"x": 1e30})) == -LIMIT


@pytest.mark.parametrize("action", [[-1, 0], [0, 2], [0.5, 0], [0], [float("nan"), 0]])
def test_an_action_that_is_none_is_refused_and_not_counted(action):
    env = played({"a": [1, 2, 8], "b": [1, 2]})
    env.reset()
    with pytest.raises(InvalidAction):
        env.step(np.array(action))
    assert env.step(np.array([0, 0]))[0][3] == 0.75


def test_shares_beyond_the_ends_are_the_ends_and_none_is_refused():
    env = played({"a": {"range": [1, 2]}, "b": [1, 2]})
    env.reset()
    assert env.step(np.array([-0.5, -0.5]))[4]["settings"] == {"a": 1.0, "b": 1}
    with pytest.raises(InvalidAction):
        env.step(np.array([np.nan, 0.0]))


def test_ratios_are_finite_whatever_numbers_are():
    cases = [(4, 1), (0, 1), (1, 0), (0, 0), (-3, 2), (1e300, 1e-300)]
    assert [ratio(*case) for case in cases] == [2, -1, 1, 0, -5, LIMIT]
