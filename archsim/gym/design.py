"""The game over designs: a step is a design of the space, an episode is some of them.

For the parameters of machines, of workloads and of controllers alike: the space says which. Several
agents that share a design are in `gym.parallel`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded
from numpy.typing import NDArray

from archsim.dse.dimension import Dimension
from archsim.dse.point import Outcome
from archsim.dse.space import Space
from archsim.gym.asker import Asker
from archsim.gym.judge import LIMIT, Judge

STEPS = 16  # of an episode, by default: assumed
Seen = NDArray[np.float32]


class DesignEnv(gymnasium.Env[Seen, NDArray[Any]]):
    """Choose a design a step.

    The action has a number a dimension, in the order of `space.dimensions`: its level, or, where
    any dimension of the space is a continuum, the share in [0, 1] of the way through each; a share
    beyond these ends counts as the end.

    An episode never ends by itself: after its steps it is truncated.

    The observation is float32: the observed metrics as powers of two of those of the base, whether
    the design keeps all constraints, the share of the episode that is left, and the place of the
    design in each dimension as a share (-1 before the first design, which is the base).

    Attributes:
        asker: who answers designs.
        judge: what counts in them.
        space: what an action chooses.
        steps: designs of an episode.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, asker: Asker, judge: Judge, steps: int = STEPS) -> None:
        self.asker, self.judge, self.steps = asker, judge, steps
        self.space: Space = asker.plan.space
        dimensions = self.space.dimensions
        self.action_space = actions(dimensions)
        metrics, places = len(judge.observed), len(dimensions)
        low = [-LIMIT] * metrics + [0.0, 0.0] + [-1.0] * places
        high = [LIMIT] * metrics + [1.0] * (2 + places)
        self.observation_space = spaces.Box(
            np.array(low, np.float32), np.array(high, np.float32), dtype=np.float32
        )
        self._left = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """Begin an episode at the base; nothing is drawn."""
        super().reset(seed=seed)
        self._left = self.steps
        metrics = [0.0] * len(self.judge.observed)
        found = [*metrics, 1.0, 1.0, *[-1.0] * len(self.space.dimensions)]
        return np.array(found, np.float32), {"metrics": dict(self.judge.base)}

    def step(self, action: NDArray[Any]) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """Run a design, unless it ran before.

        Raises:
            ResetNeeded: after the end of an episode.
            InvalidAction: as `settings`; the step is not counted then.
        """
        if not self._left:
            raise ResetNeeded("the episode is over: reset the environment first")
        settings = self.settings(action)
        places = shares(self.space.dimensions, self.action_space, action)
        self._left -= 1
        task, outcome = self.asker.ask(settings)
        seen = [
            *self.judge.seen(outcome),
            float(self.judge.kept(outcome)),
            self._left / self.steps,
            *places,
        ]
        info = told(task.key, settings, outcome, self.judge)
        return (
            np.array(seen, np.float32), self.judge.reward(outcome), False, self._left == 0, info,
        )  # fmt: skip

    def settings(self, action: NDArray[Any] | Sequence[float]) -> dict[str, Any]:
        """Path and value of all that an action sets.

        Raises:
            InvalidAction: for a level that a dimension does not have, for what is no number, and
                where numbers are not as many as dimensions.
        """
        dimensions = self.space.dimensions
        if len(action) != len(dimensions):
            raise InvalidAction(f"{len(action)} numbers for {len(dimensions)} dimensions: {action}")
        if isinstance(self.action_space, spaces.Box):
            return self.space.at(shares(dimensions, self.action_space, action))
        return self.space.settings(
            [_level(one, number) for one, number in zip(dimensions, action, strict=True)]
        )


def _level(dimension: Dimension, number: float) -> Any:
    """The value of a level by its number."""
    levels = dimension.levels or ()
    if number not in range(len(levels)):
        raise InvalidAction(f"{dimension.path} has levels 0 to {len(levels) - 1}, not {number}")
    return levels[int(number)]


def actions(dimensions: Sequence[Dimension]) -> spaces.MultiDiscrete | spaces.Box:
    """What may be chosen in some dimensions: levels, or shares where any is a continuum."""
    if any(d.levels is None for d in dimensions):
        return spaces.Box(0.0, 1.0, (len(dimensions),), np.float32)
    return spaces.MultiDiscrete([len(d.levels or ()) for d in dimensions])


def shares(
    dimensions: Sequence[Dimension], space: spaces.Space[Any], action: Sequence[Any] | NDArray[Any]
) -> list[float]:
    """Where an action lies in each dimension, in [0, 1].

    Raises:
        InvalidAction: for a share that is no number.
    """
    if isinstance(space, spaces.Box):
        if any(isnan(share) for share in action):
            raise InvalidAction(f"a share of it is no number: {action}")
        return [min(max(float(share), 0.0), 1.0) for share in action]
    counts = [max(1, len(d.levels or ()) - 1) for d in dimensions]
    return [int(level) / count for level, count in zip(action, counts, strict=True)]


def told(key: str, settings: Mapping[str, Any], outcome: Outcome, judge: Judge) -> dict[str, Any]:
    """What is said of a design beside its reward: plain data, the same whenever it is asked for."""
    return {
        "key": key,
        "settings": dict(settings),
        "status": outcome.status,
        "metrics": dict(outcome.metrics),
        "violations": judge.violations(outcome),
        "error": dict(outcome.error) if outcome.error else None,
    }
