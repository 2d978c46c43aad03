"""Does a description of a space become the values that it says?"""

import pytest

from archsim.core.errors import InputError
from archsim.dse.dimension import DimensionSpec, dimension
from archsim.dse.space import Space, split
from archsim.dse.vary import space_of


def levels(**said):
    return dimension("a", DimensionSpec(**said)).levels


def test_steps_of_a_quantity_keep_the_unit_of_the_low_end_and_reach_both_ends():
    assert levels(range=("0.5 TB/s", "2000 GB/s"), steps=4) == (
        "0.5 TB/s", "1 TB/s", "1.5 TB/s", "2 TB/s",
    )  # fmt: skip
    assert levels(log_range=("16 MiB", "1 GiB"), steps=4) == (
        "16 MiB", "64 MiB", "256 MiB", "1024 MiB",
    )  # fmt: skip


def test_bytes_between_steps_are_whole():
    assert levels(log_range=("1 MiB", "2 MiB"), steps=3) == ("1 MiB", "1482910 B", "2 MiB")


def test_whole_ends_have_whole_numbers_between_them_and_points_have_fractions():
    assert levels(log_range=(8, 64), steps=4) == (8, 16, 32, 64)
    assert levels(log_range=(8, 64), steps=7) == (8, 11, 16, 23, 32, 45, 64)
    assert levels(range=(0.0, 1.0), steps=3) == (0.0, 0.5, 1.0)


def test_what_is_drawn_between_two_ends_has_six_digits_and_the_ends_all_of_theirs():
    found = dimension("a", DimensionSpec(range=("0.1234567 TB/s", "4 TB/s")))
    shares = (0.0, 0.4, 1e-9, 1.0)
    assert [found.at(share) for share in shares] == [
        "0.1234567 TB/s", "1.67407 TB/s", "0.123457 TB/s", "4 TB/s",
    ]  # fmt: skip


def test_whole_numbers_may_have_a_step_and_a_unit():
    assert levels(int_range=(1, 8), step=3) == (1, 4, 7)
    assert levels(int_range=(1, 2), unit="FLOP/B") == ("1 FLOP/B", "2 FLOP/B")


def test_whole_numbers_by_log_are_drawn_by_ratios_and_counted_one_by_one():
    found = dimension("a", DimensionSpec(int_range=(1, 64), log=True))
    assert found.levels == tuple(range(1, 65))
    assert [found.at(share) for share in (0.0, 0.5, 1.0)] == [1, 8, 64]


def test_numbers_in_order_are_neighbours_and_words_are_not():
    assert dimension("a", ("1 MiB", "2 MiB", "1 GiB")).ordered
    assert not dimension("a", (1, 4, 2)).ordered
    assert not dimension("a", ("open", "closed")).ordered


def test_a_grid_counts_like_digits_and_a_choice_may_set_several_paths():
    space = Space(
        (dimension("pages", ({"a": 1}, {"a": 2, "b": 3})), dimension("c", ("x", "y", "z")))
    )
    assert space.size == 6
    assert [space.numbered(n) for n in (0, 2, 5)] == [
        {"a": 1, "c": "x"}, {"a": 1, "c": "z"}, {"a": 2, "b": 3, "c": "z"},
    ]  # fmt: skip


def test_descriptions_that_are_chosen_are_no_settings():
    settings = {"hardware": "npu", "a.b": 1, "workload": "w", "workload.phase.batch": 4}
    assert split(settings) == (
        {"hardware": "npu", "workload": "w"}, {"a.b": 1, "workload.phase.batch": 4},
    )  # fmt: skip


def test_flags_say_the_same_as_a_file():
    flags = [
        "a=1,2",
        "b=log:8 MiB:64 MiB:4",
        "c=int:1:9:2",
        "d=lin:0.0:1.0",
        "e={f: 1, g: 2},[3, 4]",
    ]
    assert space_of(flags).data == {
        "a": [1, 2],
        "b": {"log_range": ["8 MiB", "64 MiB"], "steps": 4},
        "c": {"int_range": [1, 9], "step": 2},
        "d": {"range": [0.0, 1.0]},
        "e": [{"f": 1, "g": 2}, [3, 4]],
    }


def test_a_quote_inside_a_word_is_a_letter_and_a_missing_value_is_refused():
    assert space_of(["a=it's,2,'x,y'"]).data == {"a": ["it's", 2, "x,y"]}
    with pytest.raises(InputError, match="a value is missing beside a comma"):
        space_of(["a=4,,8"])


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"choices": ()}, "no choices"),
        ({"choices": (1, 1)}, "1 is given twice"),
        ({"log_range": (0, 4), "steps": 3}, "a range of ratios from 0, 4 goes through zero"),
        (
            {"log_range": ("-1 mm2", "4 mm2")},
            "a range of ratios from -1 mm2, 4 mm2 goes through zero",
        ),
        ({"range": (4, 4)}, "the range from 4, 4 is empty"),
        ({"range": ("1 MiB", "2 GHz")}, "1 MiB, 2 GHz are not the same kind of quantity"),
        ({"range": ("1 MiB", 2)}, "one end of 1 MiB, 2 has a unit"),
        ({"range": ("big", "2 GHz")}, '"big" is no number and no quantity'),
        ({"int_range": (0, 8), "log": True}, "a range of ratios from 0, 8 goes through zero"),
    ],
)
def test_a_dimension_without_values_is_refused(said, message):
    with pytest.raises(InputError) as refused:
        levels(**said)
    assert refused.value.message == message


def test_two_dimensions_that_set_the_same_are_refused():
    space = Space((dimension("x", ({"a": 1}, {"b": 2})), dimension("b", (1, 2))))
    with pytest.raises(InputError, match="b is set by x too"):
        space.check()
