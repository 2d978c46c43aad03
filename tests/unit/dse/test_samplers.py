"""Does every sampler ask for the same designs again, and learn where it should?"""

import pytest

from archsim.core.errors import InputError
from archsim.dse.dimension import DimensionSpec, dimension
from archsim.dse.samplers.base import Search, Told, samplers
from archsim.dse.space import Space

SPACE = Space(
    (
        dimension("rows", (1, 2, 4, 8)),
        dimension("kind", ("x", "y")),
        dimension("bandwidth", DimensionSpec(log_range=("1 TB/s", "8 TB/s"))),
    )
)
DRAWING = tuple(k for k in samplers.names() if k not in ("grid", "list"))


def asked(kind, evaluations=24, seed=3, batch=8):
    """Designs that a sampler asks for when more rows are faster and larger, and `x` is neither."""
    sampler = samplers.get(kind)(SPACE, Search(2, evaluations, batch, seed))
    found = []
    for first in range(0, sampler.total, sampler.batch):
        numbers = range(first, min(first + sampler.batch, sampler.total))
        designs = [sampler.ask(n) for n in numbers]
        worse = [design["kind"] == "x" for design in designs]
        told = [
            Told((1 / d["rows"] + w, float(d["rows"]) + w), (d["rows"] - 4.0,))
            if d["rows"] != 1 else Told(None)
            for d, w in zip(designs, worse, strict=True)
        ]  # fmt: skip
        sampler.tell(numbers, told)
        found += designs
    return found


@pytest.mark.parametrize("kind", DRAWING)
def test_the_same_seed_asks_for_the_same_designs_and_another_for_others(kind):
    assert asked(kind) == asked(kind)
    assert asked(kind) != asked(kind, seed=4)


@pytest.mark.parametrize("kind", DRAWING)
def test_a_longer_study_begins_with_the_designs_of_a_shorter_one(kind):
    assert asked(kind, evaluations=24)[:16] == asked(kind, evaluations=16)


@pytest.mark.parametrize("kind", ["nsga2", "nsga3", "tpe"])
def test_a_search_turns_to_what_did_well(kind):
    late = asked(kind, evaluations=64)[40:]
    assert sum(design["kind"] == "y" for design in late) > len(late) / 2


def test_points_of_qmc_fill_every_half_of_every_dimension_evenly():
    designs = asked("qmc", evaluations=16)
    assert sorted(design["rows"] for design in designs) == [1] * 4 + [2] * 4 + [4] * 4 + [8] * 4
    assert [design["kind"] for design in designs].count("x") == 8


def test_a_grid_takes_every_design_once():
    space = Space(SPACE.dimensions[:2])
    grid = samplers.get("grid")(space, Search())
    designs = [tuple(grid.ask(n).values()) for n in range(grid.total)]
    assert designs == [(rows, kind) for rows in (1, 2, 4, 8) for kind in ("x", "y")]


def test_a_list_takes_points_as_they_are():
    points = ({"a": 1}, {"b": 2})
    listed = samplers.get("list")(Space(()), Search(points=points))
    assert [listed.ask(n) for n in range(listed.total)] == list(points)


@pytest.mark.parametrize(
    ("kind", "search", "message"),
    [
        ("grid", Search(), "bandwidth has no steps, and a grid needs them"),
        ("random", Search(), "sampler random draws without end"),
        ("list", Search(points=({"a": 1},)), "a list of points has no space"),
    ],
)
def test_a_sampler_says_what_it_cannot_draw_from(kind, search, message):
    with pytest.raises(InputError, match=message):
        samplers.get(kind)(SPACE, search)
