"""A game of turns: one choice after the other makes one design, which is run when all are made.

Which choices there are, and which of them are legal, is said by a game: `gym.placement` or
`gym.mapping`. A game is plain Python; what gymnasium wants of it is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded
from numpy.typing import NDArray

from archsim.dse.point import Outcome
from archsim.gym.asker import Asker

Seen = NDArray[np.float32]


class Game(Protocol):
    """What is decided turn by turn."""

    @property
    def turns(self) -> Sequence[str]:
        """What is decided in each turn, for people."""

    @property
    def words(self) -> Sequence[str]:
        """The choices, for people."""

    @property
    def features(self) -> int:
        """Numbers that are seen of a state."""

    def legal(self, chosen: Sequence[int]) -> list[bool]:
        """Which choices the next turn allows, after so many; at least one."""

    def instead(self, chosen: Sequence[int]) -> int:
        """The legal choice that is taken where another one is refused."""

    def seen(self, chosen: Sequence[int]) -> list[float]:
        """The state after some turns, in [0, 1]; of the last one too."""

    def settings(self, chosen: Sequence[int]) -> dict[str, Any]:
        """Path and value of all that the choices of every turn set."""

    def reward(self, outcome: Outcome) -> float:
        """What the design of a whole episode is worth."""


class TurnsEnv(gymnasium.Env[Seen, np.int64]):
    """Choose turn by turn; the reward comes with the last turn.

    An action is the number of a choice. One that is not legal is refused: it costs the penalty, and
    what the game takes instead counts. `action_masks()` and `info["action_mask"]` tell which are
    legal, as int8, in the form that `action_space.sample` takes.

    Attributes:
        asker: who answers designs.
        game: what is decided.
        penalty: what a refused action costs.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, asker: Asker, game: Game, penalty: float) -> None:
        self.asker, self.game, self.penalty = asker, game, penalty
        self.action_space = spaces.Discrete(len(game.words))
        self.observation_space = spaces.Box(0.0, 1.0, (game.features,), np.float32)
        self._chosen: list[int] = []
        self._over = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """Begin with nothing decided; nothing is drawn."""
        super().reset(seed=seed)
        self._chosen, self._over = [], False
        return self._seen(), self._next()

    def step(self, action: np.int64) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """Decide one thing; after the last, run the design, unless it ran before.

        Raises:
            ResetNeeded: after the end of an episode.
            InvalidAction: for what is the number of no choice; nothing is decided then.
        """
        if self._over:
            raise ResetNeeded("the episode is over: reset the environment first")
        if action not in range(len(self.game.words)):
            raise InvalidAction(f"choices are 0 to {len(self.game.words) - 1}, not {action}")
        wanted = int(action)
        refused = not self.game.legal(self._chosen)[wanted]
        choice = self.game.instead(self._chosen) if refused else wanted
        turn = self.game.turns[len(self._chosen)]
        self._chosen.append(choice)
        self._over = len(self._chosen) == len(self.game.turns)
        info = {"refused": refused, "decided": {turn: self.game.words[choice]}}
        reward = -self.penalty if refused else 0.0
        if self._over:
            settings = self.game.settings(self._chosen)
            task, outcome = self.asker.ask(settings)
            reward += self.game.reward(outcome)
            info |= {
                "key": task.key, "settings": settings, "status": outcome.status,
                "metrics": dict(outcome.metrics),
                "error": dict(outcome.error) if outcome.error else None,
            }  # fmt: skip
        return self._seen(), reward, self._over, False, info | self._next()

    def action_masks(self) -> NDArray[np.int8]:
        """Which actions are legal now: 1 or 0 each; all 0 after the end."""
        if self._over:
            return np.zeros(len(self.game.words), np.int8)
        return np.array(self.game.legal(self._chosen), np.int8)

    def _seen(self) -> Seen:
        return np.array(self.game.seen(self._chosen), np.float32).clip(0.0, 1.0)

    def _next(self) -> dict[str, Any]:
        turn = "" if self._over else self.game.turns[len(self._chosen)]
        return {"turn": turn, "action_mask": self.action_masks()}
