"""Do the allocation policies place, evict and count as they say, on flows worked out by hand?"""

from __future__ import annotations

import sys

import pytest

from archsim.core.errors import Infeasible, InputError, LawViolation, MissingExtra
from archsim.memory.allocation.allocate import HEURISTICS, POLICIES, SOLVED, allocate
from archsim.memory.allocation.cosma import least_room, parts
from archsim.memory.allocation.lifetimes import Allocation, Flow, Sized, Stay, Step


def flow(steps: list[tuple[str, str]], *, kept: str = "", **sizes: int) -> Flow:
    """Ops as pairs of texts, what they read and write, one letter a tensor."""
    names = sorted(sizes)
    at = {name: i for i, name in enumerate(names)}
    return Flow(
        "hand",
        tuple(Sized(name, sizes[name]) for name in names),
        tuple(
            Step(f"op{i}", tuple(at[x] for x in reads), tuple(at[x] for x in writes))
            for i, (reads, writes) in enumerate(steps)
        ),
        frozenset(at[x] for x in kept),
    )


def chain() -> Flow:
    """a -> b -> c -> d, with b needed again by the last op."""
    return flow(
        [("a", "b"), ("b", "c"), ("c", "d"), ("bd", "e")], kept="e", a=5, b=3, c=5, d=5, e=1
    )


@pytest.mark.parametrize("policy", POLICIES)
def test_a_chain_with_room_moves_what_it_must_and_nothing_else(policy: str) -> None:
    found = allocate(chain(), 20, policy)
    found.check()
    assert (found.compulsory_bytes, found.non_compulsory_bytes) == (5 + 1, 0)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_tensor_that_must_make_room_is_written_once_and_read_once(policy: str) -> None:
    found = allocate(chain(), 10, policy)  # c and d fill it; b waits off chip
    found.check()
    assert (found.evicted_bytes, found.refetched_bytes) == (3, 3)
    assert found.occupied_bytes == 10


@pytest.mark.parametrize("policy", POLICIES)
def test_what_comes_from_outside_is_dropped_without_writing(policy: str) -> None:
    given = flow([("a", "b"), ("b", "c"), ("ac", "d")], kept="d", a=4, b=4, c=4, d=1)
    found = allocate(given, 9, policy)
    found.check()
    assert (found.evicted_bytes, found.refetched_bytes) == (0, 4)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_result_that_is_read_again_is_dropped_without_writing_twice(policy: str) -> None:
    given = flow(
        [("a", "b"), ("b", "c"), ("c", "d"), ("bd", "e")], kept="be", a=5, b=3, c=5, d=5, e=1
    )
    found = allocate(given, 10, policy)
    found.check()
    assert (found.compulsory_bytes, found.evicted_bytes, found.refetched_bytes) == (9, 0, 3)


def test_first_fit_takes_the_lowest_hole_and_best_fit_the_narrowest() -> None:
    # after op1, holes of 4 at 0 and of 2 at 6; f is 2 bytes wide
    given = flow([("", "abc"), ("ac", "d"), ("bd", "f"), ("bdf", "g")],
                 kept="g", a=4, b=2, c=2, d=2, f=2, g=1)  # fmt: skip
    at = {}
    for policy in ("first-fit", "best-fit"):
        found = allocate(given, 10, policy)
        found.check()
        at[policy] = next(
            s.address_bytes for s in found.stays if given.tensors[s.tensor].name == "f"
        )
    assert at == {"first-fit": 0, "best-fit": 6}


def test_greedy_by_size_puts_the_largest_at_the_bottom() -> None:
    given = flow([("a", "b"), ("b", "c"), ("c", "d")], kept="d", a=2, b=5, c=3, d=1)
    found = allocate(given, 8, "greedy-by-size")
    found.check()
    at = {given.tensors[s.tensor].name: s.address_bytes for s in found.stays}
    assert at == {"a": 5, "b": 0, "c": 5, "d": 0}


def test_the_joint_problem_changes_the_order_to_evict_less() -> None:
    # two arms that swell and shrink: one after the other, they never meet at their widest
    given = flow(
        [("a", "b"), ("a", "c"), ("b", "d"), ("c", "e"), ("de", "f")],
        kept="f", a=1, b=6, c=6, d=1, e=1, f=1,
    )  # fmt: skip
    exact, joint = (allocate(given, 9, policy) for policy in ("exact", "cosma"))
    joint.check()
    assert (exact.non_compulsory_bytes, exact.status) == (24, "optimal")
    assert (joint.non_compulsory_bytes, joint.status) == (0, "optimal")
    assert joint.order in ((0, 2, 1, 3, 4), (1, 3, 0, 2, 4))


def test_an_order_from_outside_is_kept_by_every_policy_but_the_joint_one() -> None:
    given = flow([("a", "b"), ("a", "c"), ("bc", "d")], kept="d", a=1, b=2, c=3, d=1)
    for policy in (*HEURISTICS, "exact"):
        found = allocate(given, 9, policy, order=(1, 0, 2))
        found.check()
        assert found.order == (1, 0, 2)


def test_the_least_room_is_that_of_the_best_order() -> None:
    given = flow(
        [("a", "b"), ("a", "c"), ("b", "d"), ("c", "e"), ("de", "f")],
        kept="f", a=1, b=6, c=6, d=1, e=1, f=1,
    )  # fmt: skip
    assert given.peak_bytes(range(5)) == 13
    assert given.largest_op_bytes() == 7
    found = least_room(given)
    assert (found.bytes, found.bound_bytes) == (8, 8)
    assert given.peak_bytes(found.order) == 8


def test_a_graph_falls_apart_where_one_result_is_all_that_lives() -> None:
    given = flow([("a", "b"), ("b", "c"), ("b", "d"), ("cd", "e"), ("e", "f")],
                 kept="f", a=1, b=1, c=1, d=1, e=1, f=1)  # fmt: skip
    assert list(parts(given, range(5), free_order=True)) == [(0,), (1, 2, 3), (4,)]


def test_what_is_needed_on_both_sides_keeps_a_graph_together() -> None:
    given = flow([("a", "b"), ("b", "c"), ("ac", "d")], kept="d", a=1, b=1, c=1, d=1)
    assert list(parts(given, range(3), free_order=True)) == [(0, 1, 2)]


def test_a_tensor_without_bytes_only_orders_ops() -> None:
    given = flow([("a", "t"), ("at", "b")], kept="tb", a=2, b=3, t=0)
    found = allocate(given, 5, "cosma")
    found.check()
    assert found.non_compulsory_bytes == 0


def test_an_op_larger_than_the_budget_is_named() -> None:
    with pytest.raises(Infeasible) as caught:
        allocate(chain(), 9, "first-fit")
    assert caught.value.render() == (
        "error[E401]: op2 needs 10 bytes at once, the budget is 9\n"
        "      = help: the largest op of hand needs 10 bytes"
    )


def test_a_policy_that_does_not_exist_gets_the_closest_name() -> None:
    with pytest.raises(InputError, match='there is no allocation policy "first-fat"') as caught:
        allocate(chain(), 20, "first-fat")
    assert caught.value.help == 'did you mean "first-fit"?'


@pytest.mark.parametrize("policy", SOLVED)
def test_without_the_solver_the_error_is_the_line_that_installs_it(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    with pytest.raises(
        MissingExtra, match="an exact allocation needs the library ortools"
    ) as caught:
        allocate(chain(), 10, policy)
    assert caught.value.help == 'pip install "archsim[solver]"'


def test_where_a_heuristic_evicts_nothing_no_solver_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    assert allocate(chain(), 20, "cosma").status == "optimal"


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([("b", "c"), ("a", "b")], "op0 reads b before it is written"),
        ([("a", "b"), ("b", "b")], "op1 writes b again"),
    ],
)
def test_a_flow_that_cannot_run_is_refused(steps: list[tuple[str, str]], text: str) -> None:
    with pytest.raises(LawViolation, match=text):
        flow(steps, a=1, b=1, c=1).check()


@pytest.mark.parametrize(
    ("stays", "text"),
    [
        ([Stay(0, 0, 1, 0), Stay(1, 0, 1, 1)], "b overlaps a"),
        ([Stay(0, 0, 1, 0), Stay(1, 0, 1, 6)], "b leaves the scratchpad"),
        ([Stay(0, 0, 1, 0)], "op0 runs without b"),
    ],
)
def test_a_plan_that_breaks_a_law_is_refused(stays: list[Stay], text: str) -> None:
    given = flow([("a", "b")], kept="b", a=4, b=4)
    with pytest.raises(LawViolation, match=text):
        Allocation("hand", given, 8, (0,), tuple(stays), "heuristic", 0).check()
