"""Do the laws of a study hold: an end alters nothing, and a front is one?"""

from threading import Event

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.dse.pareto import best, front, ranks
from archsim.dse.samplers.base import samplers
from archsim.dse.study import Memory, Study
from archsim.testing.studies import Formulas, plan_of

SPACE = {"a": {"int_range": [1, 16]}, "b": ["x", "y", "z"], "c": {"range": [0.0, 4.0]}}
OBJECTIVES = [{"metric": "metrics.m"}, {"metric": "metrics.n"}]
POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 3)), max_size=24)


def formula(said, fidelity):
    a, b, c = said.get("a", 3), "xyz".index(said.get("b", "x")), said.get("c", 1.0)
    if a == 13:
        return None
    shift = 0.3 * b if fidelity == "analytic" else 0.0
    return {"metrics.m": a * (1 + b) + shift, "metrics.n": (c - 2) ** 2 + 16 / a}


def ended_after(plan, memory, most):
    executor = Formulas(formula, most=most, ended=Event())
    return Study(plan, memory, executor, ended=executor.ended).run(), executor.ran


@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from([k for k in samplers.names() if k not in ("grid", "list")]),
    ends=st.lists(st.integers(0, 20), max_size=3),
    screened=st.booleans(),
)
def test_a_study_that_ended_and_went_on_is_the_study_that_never_ended(kind, ends, screened):
    search = {"sampler": kind, "evaluations": 24, "population": 6, "seed": 5}
    screen = {"screen": {"fidelity": "analytic", "keep": 0.5}} if screened else {}
    plan = plan_of(SPACE, objectives=OBJECTIVES, constraints=["metrics.m <= 30"], search=search,
                   **screen)  # fmt: skip
    whole, once = ended_after(plan, Memory(), None)
    memory, ran = Memory(), []
    for most in ends:
        ran += ended_after(plan, memory, most)[1]
    found, rest = ended_after(plan, memory, None)
    assert found.summary() == whole.summary()
    assert sorted(ran + rest) == sorted(once)  # nothing was run twice


@given(POINTS)
def test_none_of_a_front_is_dominated_and_all_others_are(points):
    def dominated(p):
        return any(all(a <= b for a, b in zip(q, p, strict=True)) and q != p for q in points)

    assert front(points) == [i for i, p in enumerate(points) if not dominated(p)]


@given(POINTS, st.integers(0, 24))
def test_the_best_share_never_leaves_out_a_better_front(points, count):
    chosen = best(points, count)
    rank = ranks(points) if points else []
    left = set(range(len(points))) - set(chosen)
    assert len(chosen) == min(count, len(points))
    assert all(rank[i] <= rank[j] for i in chosen for j in left)
