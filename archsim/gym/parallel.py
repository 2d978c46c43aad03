"""The game over designs for several agents: each owns some dimensions, all share the reward.

The parallel API of PettingZoo. In every step all agents act, and their actions together are one
design of `gym.design`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from archsim.core.errors import InputError
from archsim.dse.dimension import Dimension
from archsim.gym.design import DesignEnv, Seen, actions

Action = NDArray[Any]


class ParallelDesignEnv(ParallelEnv[str, Seen, Action]):  # type: ignore[misc]
    """Several agents choose a design a step together; each sees all of it.

    Attributes:
        whole: the game as one agent would play it.
        owned: numbers of the dimensions that each agent chooses, in the order of the space.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": [], "name": "archsim_designs_v0"}

    def __init__(self, whole: DesignEnv, owned: Mapping[str, Sequence[int]]) -> None:
        self.whole, self.owned = whole, owned
        self.possible_agents = list(owned)
        self.agents: list[str] = []
        dimensions = whole.space.dimensions
        shared = isinstance(whole.action_space, spaces.Box)
        self.action_spaces = {
            agent: _box(len(own)) if shared else actions([dimensions[i] for i in own])
            for agent, own in owned.items()
        }
        self.observation_spaces = dict.fromkeys(owned, whole.observation_space)

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """What an agent sees: the same for all."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """What an agent chooses: a number for each of its dimensions."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Seen], dict[str, dict[str, Any]]]:
        """Begin an episode; nothing is drawn."""
        seen, info = self.whole.reset(seed=seed)
        self.agents = list(self.possible_agents)
        return self._each(seen), {agent: dict(info) for agent in self.agents}

    def step(
        self, actions: dict[str, Action]
    ) -> tuple[
        dict[str, Seen], dict[str, float], dict[str, bool], dict[str, bool],
        dict[str, dict[str, Any]],
    ]:  # fmt: skip
        """Run the design that all actions are together."""
        action: list[Any] = [0] * len(self.whole.space.dimensions)
        for agent, own in self.owned.items():
            for i, value in zip(own, actions[agent], strict=True):
                action[i] = value
        seen, reward, over, cut, info = self.whole.step(np.array(action))
        found = (
            self._each(seen), dict.fromkeys(self.agents, reward), dict.fromkeys(self.agents, over),
            dict.fromkeys(self.agents, cut), {agent: dict(info) for agent in self.agents},
        )  # fmt: skip
        if over or cut:
            self.agents = []
        return found

    def _each(self, seen: Seen) -> dict[str, Seen]:
        return {agent: seen.copy() for agent in self.agents}


def _box(count: int) -> spaces.Box:
    return spaces.Box(0.0, 1.0, (count,), np.float32)


def owners(
    dimensions: Sequence[Dimension], said: Mapping[str, Sequence[str]]
) -> dict[str, tuple[int, ...]]:
    """Numbers of the dimensions that each agent owns.

    Args:
        dimensions: of the space.
        said: globs on paths by agent; where there are none, an agent for each component, which the
            first two words of a path name.

    Raises:
        InputError: E202 for a dimension of no agent or of two, and for an agent without any.
    """
    found: dict[str, list[int]] = {agent: [] for agent in said}
    for i, one in enumerate(dimensions):
        paths = [p for value in one.levels or (None,) for p in one.settings(value)]
        if not said:
            found.setdefault(".".join(paths[0].split(".")[:2]), []).append(i)
            continue
        names = [one.path, *paths]
        own = [
            a for a, globs in said.items() if any(fnmatchcase(p, g) for p in names for g in globs)
        ]
        if len(own) != 1:
            whose = f"agents {' and '.join(own)} own it" if own else "no agent owns it"
            raise InputError(
                f"dimension {one.path} needs one agent: {whose}",
                code="E202",
                help="agents: {name: [memory.*], other: [engines.*]}",
            )
        found[own[0]].append(i)
    idle = next((agent for agent, own in found.items() if not own), None)
    if idle is not None:
        raise InputError(f"agent {idle} owns no dimension", code="E202", help="leave it out")
    return {agent: tuple(own) for agent, own in found.items()}
