"""The placement game: tensor by tensor, which memory holds it; time saved is the reward.

The form is that of mallocGame (Wang et al., Optimizing Memory Mapping Using Deep Reinforcement
Learning, arXiv 2305.07440, 2023): one buffer after the other gets a place, and moves are legal by
size and lifetime. What fits is in `gym.tensors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from glob import escape
from typing import Any

from archsim.dse.point import Outcome
from archsim.gym.judge import LIMIT
from archsim.gym.tensors import ACTIVATIONS, Board

TIME = "metrics.time_s"
ROLES = ("weights", "kv_cache", ACTIVATIONS)
OF_PIECE = 3 + len(ROLES)  # features of what is placed next
OF_MEMORY = 2


@dataclass
class PlacementGame:
    """Where tensors lie, one after the other.

    A choice is a memory. It is legal where the tensor fits and all that follow still find room. The
    reward is the share of the time of the default policy that is saved, below zero where it is not.

    Attributes:
        board: what is placed, and how much fits.
        base_s: time under the default policy.
        penalty: the reward of a design without an answer, turned round.
    """

    board: Board
    base_s: float
    penalty: float
    _found: dict[tuple[int, ...], tuple[str, ...] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Name turns and choices."""
        self.turns = [piece.name for piece in self.board.pieces]
        self.words = self.board.memories
        self.features = OF_PIECE + OF_MEMORY * len(self.words)

    def legal(self, chosen: Sequence[int]) -> list[bool]:
        """See `Game.legal`."""
        return [self._whole((*chosen, i)) is not None for i in range(len(self.words))]

    def instead(self, chosen: Sequence[int]) -> int:
        """See `Game.instead`: where the placement that shows that all find room has it."""
        whole = self._whole(tuple(chosen))
        assert whole is not None  # the chosen ones were legal
        return self.words.index(whole[len(chosen)])

    def _whole(self, chosen: tuple[int, ...]) -> tuple[str, ...] | None:
        """A placement of all that begins so: the last one where it goes on so, or a new one."""
        if chosen not in self._found:
            names = tuple(self.words[i] for i in chosen)
            before = self._whole(chosen[:-1]) if chosen else None
            if before is not None and before[: len(names)] == names:
                self._found[chosen] = before
            elif names and names[-1] not in self.board.pieces[len(names) - 1].memories:
                self._found[chosen] = None
            else:
                self._found[chosen] = self.board.completed(names)
        return self._found[chosen]

    def seen(self, chosen: Sequence[int]) -> list[float]:
        """See `Game.seen`: of the next tensor, of the game, and of each memory.

        Of the tensor: its share of all bytes, the share of it that a run touches (once or oftener
        is 1), its role. Of the game: the share of turns that is left. Of a memory: the share of its
        room that is free, and its bandwidth relative to the fastest.
        """
        board = self.board
        total = sum(piece.size_bytes for piece in board.pieces)
        if len(chosen) < len(board.pieces):
            piece = board.pieces[len(chosen)]
            found = [piece.size_bytes / total, min(1.0, piece.touched_bytes / piece.size_bytes)]
            found += [float(piece.role == role) for role in ROLES]
        else:
            found = [0.0] * (OF_PIECE - 1)
        found.append(1 - len(chosen) / len(board.pieces))
        free = board.free([self.words[i] for i in chosen])
        fastest = max(board.bytes_per_s.values())
        for name in self.words:
            found += [
                free[name] / max(1, board.room_bytes[name]),
                board.bytes_per_s[name] / fastest,
            ]
        return found

    def settings(self, chosen: Sequence[int]) -> dict[str, Any]:
        """See `Game.settings`."""
        rules, found = [], {}
        for piece, i in zip(self.board.pieces, chosen, strict=True):
            if piece.name == ACTIVATIONS:
                found["placement.activations"] = [*self.board.on_chip, self.words[i]]
            else:
                rules.append({"of": escape(piece.name), "memories": [self.words[i]]})
        return {**found, "placement.residency": rules}

    def reward(self, outcome: Outcome) -> float:
        """See `Game.reward`."""
        if outcome.status != "ok":
            return -self.penalty
        return max(1 - outcome.metrics[TIME] / self.base_s, -LIMIT)
