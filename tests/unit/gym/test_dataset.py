"""Is what agents do kept as it was, whatever ends them, and do the example agents play?"""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import archsim
from archsim.core.errors import InputError
from archsim.gym.asker import Recent
from archsim.gym.trajectories import FILE, rows, to_parquet

AGENTS = Path(__file__).parents[3] / "examples" / "agents"
TINY = str(AGENTS / "tiny.yaml")


@pytest.fixture(scope="module")
def recent():
    """Answers of designs, which are the same whoever asks: the only thing that tests share."""
    return Recent()


def played(folder, recent, fresh=False, seed=0):
    """Rows of an episode of a drawn agent."""
    env = archsim.gym.Logged(archsim.gym.make(TINY, recent=recent), folder, fresh=fresh)
    env.action_space.seed(seed)
    seen, _ = env.reset()
    made, over = [], False
    while not over:
        action = env.action_space.sample()
        after, reward, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        made.append((seen, action, reward, after, info))
        seen = after
    env.close()
    return made


def test_rows_are_the_steps_and_parquet_is_the_same(tmp_path, recent):
    made = played(tmp_path / "a", recent)
    found = list(rows(tmp_path / "a"))
    assert [row["step"] for row in found] == list(range(8))
    assert [row["truncated"] for row in found] == [False] * 7 + [True]
    for row, (seen, action, reward, after, info) in zip(found, made, strict=True):
        assert np.array_equal(np.array(row["observation"], np.float32), seen)
        assert np.array_equal(np.array(row["next_observation"], np.float32), after)
        assert (row["action"], row["reward"]) == (action.tolist(), reward)
        assert {key: row[key] for key in ("key", "settings", "metrics")} == {
            key: info[key] for key in ("key", "settings", "metrics")
        }
    to_parquet(tmp_path / "a", tmp_path / "a.parquet")
    assert list(rows(tmp_path / "a.parquet")) == found
    played(tmp_path / "b", recent)  # the same actions
    to_parquet(tmp_path / "b", tmp_path / "b.parquet")
    for name in ("{}/" + FILE, "{}.parquet"):
        one, other = ((tmp_path / name.format(which)).read_bytes() for which in "ab")
        assert one == other
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "a.parquet", "b", "b.parquet"]


def test_a_folder_is_not_written_over_and_a_cut_line_is_left_out(tmp_path, recent):
    played(tmp_path, recent)
    file = tmp_path / FILE
    whole = file.read_text()
    file.write_text(whole + whole[:50])
    assert len(list(rows(tmp_path))) == 8
    with pytest.raises(InputError) as refused:
        played(tmp_path, recent)
    assert refused.value.message == f"{tmp_path} has trajectories"
    played(tmp_path, recent, fresh=True, seed=1)
    assert len(list(rows(tmp_path))) == 8
    assert file.read_text() != whole


@pytest.mark.parametrize("name", ["random", "genetic", "bandit"])
def test_example_agents_play_and_beat_the_machine_as_described(name, recent, monkeypatch, capsys):
    make, several = archsim.gym.make, archsim.gym.make_parallel
    monkeypatch.setattr(archsim.gym, "make", lambda spec: make(spec, recent=recent), raising=False)
    monkeypatch.setattr(
        archsim.gym, "make_parallel", lambda spec: several(spec, recent=recent), raising=False
    )
    runpy.run_path(str(AGENTS / f"{name}_agent.py"))["main"]([TINY, "--designs", "20"])
    last = capsys.readouterr().out.splitlines()[-1]
    assert float(last.split("best reward")[1].split()[0]) > 0
