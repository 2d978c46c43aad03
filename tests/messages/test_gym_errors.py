"""Is the error helpful when an environment cannot be made as described?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from gymnasium.error import InvalidAction

import archsim
from archsim.core.errors import ArchsimError, InputError, MissingExtra
from archsim.gym.trajectories import rows

STUDY = """\
schema: archsim.explore/1
name: s
hardware: {hardware}
workloads: [{{model: gpt2-small, phase: decode, batch: 1, context: 16}}]
fidelity: analytic
"""
SPACE = """\
space:
  memory.hbm.bandwidth: [1 TB/s, 2 TB/s]
  engines.array.count: [4, 8]
"""
GAME = """\
schema: archsim.gym/1
name: g
kind: {kind}
study: s.yaml
"""
CASES = {
    "option of another kind": (
        ("npu-host", ""),
        ("placement", "steps: 4\n"),
        "g.yaml:1:1: error[E202]: steps says nothing of kind placement\n"
        "    1 | schema: archsim.gym/1\n"
        "      | ^\n"
        "      = help: leave it out",
    ),
    "unknown metric": (
        ("npu", SPACE),
        ("hardware", "observe: [metrics.time]\n"),
        'g.yaml:5:10: error[E701]: observe names "metrics.time", which a run at fidelity analytic '
        "does not have\n"
        "    5 | observe: [metrics.time]\n"
        "      |          ^\n"
        '      = help: did you mean "metrics.time_s"?',
    ),
    "weight of no objective": (
        ("npu", SPACE),
        ("hardware", "weights: {metrics.power_w.mean: 1.0}\n"),
        'g.yaml:5:10: error[E701]: weights name "metrics.power_w.mean", which is no objective of '
        "the study\n"
        "    5 | weights: {metrics.power_w.mean: 1.0}\n"
        "      |          ^\n"
        "      = help: its objectives are metrics.time_s, metrics.energy_j.total",
    ),
    "nothing to choose": (
        ("npu", ""),
        ("hardware", ""),
        "s.yaml:1:1: error[E102]: the space is empty: there is nothing to choose\n"
        "    1 | schema: archsim.explore/1\n"
        "      | ^\n"
        "      = help: example `space: {memory.hbm.bandwidth: [1 TB/s, 2 TB/s]}`",
    ),
    "a space where designs come of turns": (
        ("npu-host", SPACE),
        ("placement", ""),
        "s.yaml:6:1: error[E202]: kind placement makes the designs itself\n"
        "    6 | space:\n"
        "      | ^^^^^\n"
        "      = help: leave the space out",
    ),
    "one memory": (
        ("npu", ""),
        ("placement", ""),
        "error[E201]: no placement game on npu: the machine has one memory behind the chip\n"
        "      = help: a machine such as npu-host",
    ),
    "no banks": (
        ("npu", ""),
        ("controller", ""),
        "g.yaml:1:1: error[E201]: whose controller, on npu: 0 of its memories have a standard\n"
        "    1 | schema: archsim.gym/1\n"
        "      | ^\n"
        "      = help: a machine like npu-hbm2",
    ),
    "no parameter of a controller": (
        ("npu-hbm2", SPACE),
        ("controller", ""),
        "s.yaml:7:3: error[E202]: memory.hbm.bandwidth is no parameter of a controller\n"
        "    7 |   memory.hbm.bandwidth: [1 TB/s, 2 TB/s]\n"
        "      |   ^\n"
        "      = help: memory.<name>.controller.* and memory.<name>.mapping are; or take kind: "
        "hardware",
    ),
    "a base that does not fit": (
        ("npu", SPACE),
        ("hardware", "against: {memory.hbm.capacity: 1 MB}\n"),
        "error[E401]: the design of `against` gives no answer to measure others against: "
        "gpt2-small needs 238.01 MiB, hbm holds 976.56 KiB (short by 237.05 MiB)\n"
        "      = help: settings with which it runs: `against: {memory.hbm.capacity: 96 GiB}`",
    ),
}
SEVERAL = {
    "turns": (
        ("npu-host", ""),
        ("placement", ""),
        "g.yaml:3:7: error[E202]: kind placement is played by one agent\n"
        "    3 | kind: placement\n"
        "      |       ^^^^^^^^^\n"
        "      = help: one of: hardware, controller",
    ),
    "a dimension of nobody": (
        ("npu", SPACE),
        ("hardware", "agents: {memory: [memory.*]}\n"),
        "g.yaml:5:9: error[E202]: dimension engines.array.count needs one agent: no agent owns it\n"
        "    5 | agents: {memory: [memory.*]}\n"
        "      |         ^\n"
        "      = help: agents: {name: [memory.*], other: [engines.*]}",
    ),
    "a dimension of two": (
        ("npu", SPACE),
        ("hardware", 'agents: {a: ["*"], b: [engines.*]}\n'),
        "g.yaml:5:9: error[E202]: dimension engines.array.count needs one agent: agents a and b "
        "own it\n"
        '    5 | agents: {a: ["*"], b: [engines.*]}\n'
        "      |         ^\n"
        "      = help: agents: {name: [memory.*], other: [engines.*]}",
    ),
}


def said_of(make, case, folder: Path, monkeypatch) -> str:
    (hardware, space), (kind, more), _ = case
    monkeypatch.chdir(folder)
    Path("s.yaml").write_text(STUDY.format(hardware=hardware) + space)
    Path("g.yaml").write_text(GAME.format(kind=kind) + more)
    with pytest.raises(ArchsimError) as refused:
        make("g.yaml")
    return refused.value.render()


@pytest.mark.parametrize("name", CASES)
def test_one_agent_is_told(name, tmp_path, monkeypatch):
    assert said_of(archsim.gym.make, CASES[name], tmp_path, monkeypatch) == CASES[name][2]


@pytest.mark.parametrize("name", SEVERAL)
def test_several_agents_are_told(name, tmp_path, monkeypatch):
    found = said_of(archsim.gym.make_parallel, SEVERAL[name], tmp_path, monkeypatch)
    assert found == SEVERAL[name][2]


VECTOR = {"name": "a", "kind": "vector", "rows": 4, "cols": 16, "primitives": {"add": 1}}
LONE = {
    "schema": "archsim.workload/1",
    "name": "lone",
    "model": {"config": {"architecture": "graph", "ops": [VECTOR]}},
    "dtypes": dict.fromkeys(("weights", "activations", "kv_cache", "accumulators"), "bf16"),
}
EMPTY = {
    ("mapping", "npu"): "error[E201]: no mapping game of lone: none of its ops are products\n"
    "      = help: a workload of matrix products, such as llama-3-8b-decode",
    ("placement", "npu-host"): "error[E201]: no placement game of lone on npu-host: nothing large "
    "lies behind the chip\n"
    "      = help: a larger model, or a longer context",
}


@pytest.mark.parametrize(("kind", "hardware"), EMPTY)
def test_a_game_without_turns_is_refused(kind, hardware, monkeypatch):
    monkeypatch.setattr("archsim.gym.tensors.SMALL", 1)  # everything is too small for a turn
    study = {
        "schema": "archsim.explore/1", "name": "t", "hardware": hardware, "workloads": [LONE],
        "fidelity": "analytic",
    }  # fmt: skip
    with pytest.raises(InputError) as refused:
        archsim.gym.make({"schema": "archsim.gym/1", "name": "t", "kind": kind, "study": study})
    assert refused.value.render() == EMPTY[kind, hardware]


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ([-1, 0], "memory.hbm.bandwidth has levels 0 to 1, not -1"),
        ([0], "1 numbers for 2 dimensions: [0]"),
    ],
)
def test_an_action_that_chooses_nothing_is_told(action, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(STUDY.format(hardware="npu") + SPACE)
    env = archsim.gym.make("s.yaml")
    env.reset()
    with pytest.raises(InvalidAction) as refused:
        env.step(action)
    assert str(refused.value) == said


@pytest.mark.parametrize("library", ["gymnasium", "pettingzoo"])
def test_a_library_that_is_not_there_is_told_with_its_extra(library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    make = archsim.gym.make if library == "gymnasium" else archsim.gym.make_parallel
    with pytest.raises(MissingExtra) as refused:
        make("npu-bandwidth")
    assert refused.value.render() == (
        f'error: environments are of {library}\n      = help: pip install "archsim[gym]"'
    )


def test_a_folder_without_trajectories_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as refused:
        list(rows("played"))
    assert refused.value.render() == (
        "error[E003]: played holds no trajectories: No such file or directory\n"
        "      = help: play with `archsim.gym.Logged(env, folder)`"
    )
