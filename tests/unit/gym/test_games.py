"""Are the moves that games call legal accepted by the simulator, and what are they worth?"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from gymnasium.error import InvalidAction
from hypothesis import given, settings
from hypothesis import strategies as st

import archsim
from archsim import api
from archsim.gym.asker import Recent
from archsim.gym.placement import PlacementGame
from archsim.gym.tensors import Board, Piece

WORK = {"model": "gpt2-small", "phase": "decode", "batch": 16, "context": 1024}


def spec(kind, hardware, fidelity="tile"):
    study = {
        "schema": "archsim.explore/1", "name": "t", "hardware": hardware, "workloads": [WORK],
        "fidelity": fidelity,
    }  # fmt: skip
    return {"schema": "archsim.gym/1", "name": "t", "kind": kind, "study": study}


@cache
def crowding():
    """A machine of three tiers, the first two too small for the model and its cache."""
    sizes = ("memory.hbm.capacity=640 MiB", "memory.host.capacity=900 MiB")
    kept = ("placement.activations=[sram, hbm, host, flash]", "placement.kv_cache=[]")
    return api.load_hardware("npu-flash", set_=[*sizes, *kept]).to_data()


@pytest.fixture(scope="module")
def recent():
    """Answers of designs, which are the same whoever asks: the only thing that tests share."""
    return Recent()


@pytest.fixture
def crowded(recent):
    return archsim.gym.make(spec("placement", crowding()), recent=recent)


@pytest.fixture
def mapped(recent):
    return archsim.gym.make(spec("mapping", "npu", "analytic"), recent=recent)


def play(env, draw):
    """The last step of an episode of legal moves."""
    _, info = env.reset()
    over = False
    while not over:
        legal = np.flatnonzero(info["action_mask"])
        assert np.array_equal(info["action_mask"], env.unwrapped.action_masks())
        seen, reward, over, _, info = env.step(legal[draw(len(legal))])
        assert not info["refused"]
        assert env.observation_space.contains(seen)
    return reward, info


def test_the_simulator_accepts_every_placement_that_masks_allow(crowded):
    @settings(max_examples=8, deadline=None)
    @given(data=st.data())
    def played(data):
        reward, info = play(crowded, lambda n: data.draw(st.integers(0, n - 1)))
        assert info["status"] == "ok", info["error"]
        game = crowded.unwrapped.game
        assert reward == pytest.approx(1 - info["metrics"]["metrics.time_s"] / game.base_s)

    played()


def test_no_memory_holds_more_than_it_can(crowded):
    board = crowded.unwrapped.game.board
    _, info = crowded.reset()
    taken, refused, over = dict.fromkeys(board.memories, 0), 0, False
    while not over:  # the nearest memory as long as it goes
        turn = len(crowded.unwrapped._chosen)
        _, reward, over, _, info = crowded.step(0)
        refused += info["refused"]
        assert over or reward == (-8 if info["refused"] else 0)
        taken[info["decided"][board.pieces[turn].name]] += board.pieces[turn].size_bytes
    assert refused
    assert all(size <= board.room_bytes[name] for name, size in taken.items())
    assert board.room_bytes["hbm"] < 640 << 20  # staging areas are not for tensors
    assert info["status"] == "ok"


def toy(sizes, rooms):
    pieces = tuple(Piece(f"t{i}", "weights", n, n, tuple(rooms)) for i, n in enumerate(sizes))
    return Board(pieces, tuple(rooms), rooms, dict.fromkeys(rooms, 1.0), ())


@settings(max_examples=60, deadline=None)
@given(data=st.data(), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=7))
def test_a_game_that_can_begin_can_be_ended(data, sizes):
    rooms = {"near": data.draw(st.integers(0, 20)), "far": data.draw(st.integers(5, 30))}
    board = toy(sizes, rooms)
    if board.completed(()) is None:
        return
    game = PlacementGame(board, 1.0, 8.0)
    chosen = []
    for _ in sizes:
        legal = [i for i, one in enumerate(game.legal(chosen)) if one]
        assert game.instead(chosen) in legal
        chosen.append(data.draw(st.sampled_from(legal)))
    assert all(room >= 0 for room in board.free([game.words[i] for i in chosen]).values())


def test_a_tensor_that_only_one_memory_has_room_for_may_go_nowhere_else():
    game = PlacementGame(toy([6, 3, 3], {"near": 6, "far": 6}), 1.0, 8.0)
    assert game.legal([]) == [True, True]
    assert game.legal([0]) == [False, True]
    assert game.legal([0, 1]) == [False, True]
    assert game.settings([0, 1, 1])["placement.residency"][0] == {"of": "t0", "memories": ["near"]}


def test_every_legal_mapping_is_placed_and_the_described_one_is_worth_nothing(mapped):
    reward, info = play(mapped, lambda n: 0)
    assert (reward, info["settings"]) == (0, {})
    reward, info = play(mapped, lambda n: n - 1)
    assert info["status"] == "ok"
    rules = info["settings"]["mapping"]
    assert [rule["ops"] for rule in rules[:3]] == ["qkv_proj", "attention", "out_proj"]
    assert rules[1]["dataflow"] == "flash_attention"
    assert rules[0] == {"ops": "qkv_proj", "dataflow": "weight_stationary", "objective": "compute"}


def test_a_mapping_that_cannot_be_is_refused_and_ops_stay_as_described(mapped):
    _, info = mapped.reset()
    wrong = int(np.flatnonzero(info["action_mask"] == 0)[0])
    for none in (-1, len(info["action_mask"])):
        with pytest.raises(InvalidAction):
            mapped.step(none)
    _, reward, _, _, info = mapped.step(wrong)
    assert reward == -8
    assert (info["refused"], info["decided"]) == (True, {"qkv_proj": "as described"})
