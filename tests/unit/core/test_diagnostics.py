"""Do errors carry their place, their text and their exit code?"""

import pytest

from archsim.core import errors
from archsim.core.errors import ArchsimError, Diagnostic, InputError, nearest


def test_a_diagnostic_without_a_place_is_one_line_and_its_help():
    text = Diagnostic("E401", "weights need 87.0 GiB", help="fp8 weights").render()
    assert text == "error[E401]: weights need 87.0 GiB\n      = help: fp8 weights"


def test_a_diagnostic_without_a_code_says_just_error():
    assert Diagnostic("", "it broke", "a.yaml").render() == "a.yaml: error: it broke"


def test_the_caret_line_repeats_tabs_so_that_carets_stand_under_the_text():
    text = Diagnostic("E1", "m", "f", 3, 2, source_line="\tabc", width=3).render()
    assert text.splitlines()[1:] == ["    3 | \tabc", "      | \t^^^"]


def test_carets_never_reach_beyond_the_line():
    text = Diagnostic("E1", "m", "f", 1, 3, source_line="abcd", width=99).render()
    assert text.endswith("      |   ^^")


def test_a_long_line_is_cut_around_the_caret():
    line = "x" * 300 + "HERE" + "y" * 300
    text = Diagnostic("E1", "m", "f", 1, 301, source_line=line, width=4).render()
    _, shown, carets = text.splitlines()
    start = carets.index("^")
    assert shown[start : start + 4] == "HERE"
    assert len(shown) < 140


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("ArchsimError", 1),
        ("LawViolation", 1),
        ("InputError", 3),
        ("Unsupported", 4),
        ("Infeasible", 5),
        ("Unmappable", 5),
        ("SimulationStopped", 6),
        ("OutsideTolerance", 7),
    ],
)
def test_every_error_has_the_exit_code_of_its_kind(name, status):
    error = getattr(errors, name)("it broke")
    assert error.exit_code == status
    assert error.to_dict()["exit_code"] == status
    assert isinstance(error, ArchsimError)


def test_kinds_of_errors_with_one_code_have_it_without_being_told():
    raised = [errors.Unsupported("m"), errors.Infeasible("m"), errors.SimulationStopped("m")]
    assert [e.code for e in raised] == ["E301", "E401", "E501"]


def test_an_error_speaks_at_the_place_it_was_given():
    where = Diagnostic("E301", "", "config.json", 2, 17, source_line='"model_type": "foo"', width=5)
    error = errors.Unsupported('model_type "foo" has no builder', where=where, help="closest: bar")
    first, *_, last = error.render().splitlines()
    assert first == 'config.json:2:17: error[E301]: model_type "foo" has no builder'
    assert last == "      = help: closest: bar"


def test_details_are_kept_for_programs():
    error = errors.Infeasible("too big", details={"short_bytes": 7})
    assert error.to_dict()["details"] == {"short_bytes": 7}


def test_a_missing_extra_is_helped_by_its_pip_line():
    error = errors.MissingExtra("cycle on this input needs numba", extra="fast")
    assert error.exit_code == 8
    assert error.render().endswith('= help: pip install "archsim[fast]"')


def test_input_errors_sort_their_diagnostics_and_take_the_first_message():
    late, early = Diagnostic("E2", "late", "f", 9, 1), Diagnostic("E1", "early", "f", 2, 5)
    error = InputError.of([late, early])
    assert error.diagnostics == (early, late)
    assert (error.message, error.code) == ("early", "E1")
    assert str(error) == error.render()


def test_one_diagnostic_more_than_is_shown_is_counted_in_the_singular():
    many = [Diagnostic("E1", "m", "f", line) for line in range(1, 22)]
    assert InputError.of(many).render().endswith("and 1 more error")


def test_the_nearest_word_ignores_case_only_when_nothing_else_is_close():
    assert nearest("bandwith", ["bandwidth", "banks"]) == "bandwidth"
    assert nearest("ghz", ["GHz", "MHz"]) == "GHz"
    assert nearest("zzz", ["bandwidth"]) is None
    assert nearest("x", []) is None
