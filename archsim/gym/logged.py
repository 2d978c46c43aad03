"""An environment whose every step is kept as a row of a dataset, the moment it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from archsim.core.errors import InputError
from archsim.gym.trajectories import FILE, line_of, to_parquet


class Logged(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps what an agent does.

    Args:
        env: any environment of this room.
        folder: where `trajectories.jsonl` is written; see `gym.trajectories` for its rows.
        fresh: begin anew in a folder that has trajectories.

    Raises:
        InputError: E707 for a folder that has trajectories.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], folder: str | Path, *, fresh: bool = False):
        super().__init__(env)
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / FILE
        if file.exists() and not fresh:
            raise InputError(
                f"{self.folder} has trajectories",
                code="E707",
                help="another folder, or fresh=True to begin anew",
            )
        self._file = file.open("w", encoding="utf-8", buffering=1)  # a line is out when it ends
        self._episode, self._step = -1, 0
        self._before: Any = None
        self._mask: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin the next episode."""
        seen, info = self.env.reset(seed=seed, options=options)
        self._episode, self._step = self._episode + 1, 0
        self._before, self._mask = seen, info.get("action_mask")
        return seen, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Make a step and keep it."""
        seen, reward, terminated, truncated, info = self.env.step(action)
        row = {
            "episode": self._episode,
            "step": self._step,
            "observation": _plain(self._before),
            "action": _plain(action),
            "action_mask": None if self._mask is None else _plain(self._mask),
            "reward": float(reward),
            "next_observation": _plain(seen),
            "terminated": terminated,
            "truncated": truncated,
        } | {name: info.get(name) for name in ("status", "key", "settings", "metrics")}
        self._file.write(line_of(row))
        self._step += 1
        self._before, self._mask = seen, info.get("action_mask")
        return seen, reward, terminated, truncated, info

    def to_parquet(self, path: str | Path) -> None:
        """All that was kept so far as a Parquet file.

        Raises:
            MissingExtra: when DuckDB is not installed.
        """
        to_parquet(self.folder, path)

    def close(self) -> None:
        """Close the environment and the file."""
        self._file.close()
        self.env.close()


def _plain(value: Any) -> list[Any]:
    """Numbers of an array, or a single one, as a list."""
    found: list[Any] = np.atleast_1d(np.asarray(value)).tolist()
    return found
