"""Is a study that was run in shards, and merged, the study that one machine would have run?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archsim.dse.executors.limit import out_of_time
from archsim.dse.export import csv_lines, jsonl_lines
from archsim.dse.merge import merge
from archsim.dse.point import Outcome, Task
from archsim.dse.store import Store
from archsim.dse.study import Study
from archsim.testing.studies import Formulas, plan_of

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 3
DESIGNS = [{"a": 2}, {"a": 1, "b": 2}, {"b": 5}, {}, *({"a": 4, "b": b} for b in range(2, 13))]
PLAN = plan_of({"shape": {"choices": DESIGNS}}, objectives=[{"metric": "metrics.cost"}])


def cost(settings: Any, fidelity: str) -> dict[str, float] | None:
    product = settings.get("a", 7) * settings.get("b", 3)
    return None if product == 20 else {"metrics.cost": float(product)}


def run(folder: Path, shard: int | None = None) -> Formulas:
    executor = Formulas(cost)
    said = None if shard is None else f"{shard}/{COUNT}"
    with Store.open(folder, spec_sha=PLAN.sha256, shard=said) as store:
        part = None if shard is None else (shard, COUNT)
        found = Study(PLAN, store, executor, shard=part).run()
        if found.complete:
            store.finish()
    return executor


def table(folder: Path) -> str:
    with Store.read(folder) as store:
        assert store.complete
        return "".join([*csv_lines(store), *jsonl_lines(store)])


def test_shards_merged_are_the_study_run_in_one_piece(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    parts = [tmp_path / str(i) for i in range(1, COUNT + 1)]
    for i, part in enumerate(parts, 1):
        run(part, i)
    merge(parts, tmp_path / "merged")
    assert table(tmp_path / "merged") == table(tmp_path / "whole")
    with Store.read(tmp_path / "merged") as store:
        described = store.get(PLAN.task({}, PLAN.spec.fidelity).key)
        numbers = sorted(point.number for point in store.points())
    assert described is not None
    assert numbers == list(range(len(DESIGNS))), "the fourth design is the described machine"
    assert run(tmp_path / "merged").ran == []


def test_an_answer_is_worth_more_than_a_time_limit_that_another_shard_ran_into(
    tmp_path: Path,
) -> None:
    task = Task({}, (), {}, "tile", 0, (1.0,), "base", timeout_s=1.0)
    late, found = out_of_time(task, 6.0), Outcome(task.key, "ok", {"x": 1}, wall_s=0.9)
    for name, outcome in (("a", late), ("b", found), ("c", late)):
        with Store.open(tmp_path / name, shard=f"{'abc'.index(name) + 1}/3") as store:
            store.put(task, outcome, -1)
            store.finish()
    merge([tmp_path / name for name in "abc"], tmp_path / "merged")
    with Store.read(tmp_path / "merged") as store:
        assert store.get(task.key) == found
        assert store.wall_s() == 0.9
