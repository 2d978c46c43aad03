"""What does a step of an environment cost over the bare simulation of its design?

    python -m benchmarks gym [--turns N] [--out FOLDER]

Designs of one machine on a decode step of Llama-3-8B at `tile`, all unlike: some evaluated bare,
some by `env.step`, some by a logged environment, a few of each in every turn, so that a busy
machine slows all alike. Then whole episodes of the games of turns, by drawn legal moves, beside the
evaluation inside them. CPU seconds of this process; the ratio is the median over turns or episodes.
Bar: a step, or an episode, takes at most 1.10 times its evaluation. Which moves are legal is found
out once by an environment; `once_s` is what that costs, beside the bar.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from archsim.dse.evaluate import evaluate
from archsim.dse.point import Outcome, Task
from archsim.gym.design import DesignEnv
from archsim.gym.logged import Logged
from archsim.gym.making import make
from archsim.gym.turns import TurnsEnv
from benchmarks.tables import write_csv

MOST = 1.10
FEW = 6  # designs of each way in a turn
LEVELS = 1000
GAMES = {"mapping": "npu", "placement": "npu-host"}  # machines by kind
STUDY = {
    "schema": "archsim.explore/1", "name": "steps", "hardware": "npu",
    "workloads": ["llama-3-8b-decode"], "fidelity": "tile",
    "space": {"memory.hbm.bandwidth": {"int_range": [1000, 999 + LEVELS], "unit": "GB/s"}},
}  # fmt: skip


def environment() -> DesignEnv:
    """One that has answered nothing but the machine as described."""
    spec = {"schema": "archsim.gym/1", "name": "steps", "steps": LEVELS, "study": STUDY}
    env = make(spec)
    assert isinstance(env, DesignEnv)
    env.reset()
    return env


def measured(turns: int) -> dict[str, list[float]]:
    """CPU seconds of each turn, by way of asking; one turn before the first is not counted."""
    levels = np.random.default_rng(0).permutation(LEVELS)
    plan, one = environment().asker.plan, environment()
    took: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        logged = Logged(environment(), folder)
        logged.reset()
        ways: dict[str, Callable[[Any], object]] = {
            "bare": lambda action: evaluate(plan.task(one.settings(action), "tile")),
            "step": one.step,
            "logged": logged.step,
        }
        names, used = list(ways), 0
        for turn in range(-1, turns):
            for name in names[turn % 3 :] + names[: turn % 3]:  # nobody is always first
                some, used = [np.array([n]) for n in levels[used : used + FEW]], used + FEW
                began = time.process_time()
                for action in some:
                    ways[name](action)
                if turn >= 0:
                    took.setdefault(name, []).append(time.process_time() - began)
        logged.close()
    return {name: took[name] for name in names}


def played(kind: str, hardware: str, episodes: int) -> tuple[list[float], list[float], float]:
    """CPU seconds of episodes and of the evaluations inside them, and what the first costs more.

    Episodes whose design ran before are not counted.
    """
    study = STUDY | {"hardware": hardware, "space": {}}
    env = make({"schema": "archsim.gym/1", "name": kind, "kind": kind, "study": study})
    assert isinstance(env, TurnsEnv)
    inside: list[float] = []

    def timed(task: Task) -> Outcome:
        began = time.process_time()
        found = evaluate(task)
        inside.append(time.process_time() - began)
        return found

    env.asker.run = timed
    env.action_space.seed(0)
    whole: list[float] = []
    while len(whole) <= episodes:
        began, ran, over = time.process_time(), len(inside), False
        _, info = env.reset()
        while not over:
            _, _, over, _, info = env.step(env.action_space.sample(info["action_mask"]))
        if len(inside) > ran:
            whole.append(time.process_time() - began)
    return whole[1:], inside[1:], whole[0] - inside[0]


def row(
    way: str, designs: int, took: list[float], bare: list[float], once_s: float = 0.0
) -> dict[str, Any]:
    """A line of the table, from CPU seconds that belong together."""
    return {
        "way": way,
        "designs_per_s": designs * len(took) / sum(took),
        "over_bare": median(a / b for a, b in zip(took, bare, strict=True)),
        "once_s": once_s,
    }


def main(argv: list[str] | None = None) -> bool:
    """Run, print, write where asked; True when the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=36)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(argv)
    took = measured(given.turns)
    rows = [row(name, FEW, some, took["bare"]) for name, some in took.items()]
    for kind, hardware in GAMES.items():
        whole, inside, once_s = played(kind, hardware, given.turns)
        rows.append(row(kind, 1, whole, inside, once_s))
    print(f"{'way':10} {'designs/s':>10} {'over bare':>10} {'once, s':>10}")
    for one in rows:
        numbers = one["designs_per_s"], one["over_bare"], one["once_s"]
        print(f"{one['way']:10} {numbers[0]:10.1f} {numbers[1]:10.3f} {numbers[2]:10.2f}")
    if given.out:
        write_csv(given.out / "gym.csv", rows)
    return all(float(one["over_bare"]) <= MOST for one in rows)


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
