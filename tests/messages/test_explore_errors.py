"""Is the error helpful when a study cannot be run as described?"""

from __future__ import annotations

from pathlib import Path

import pytest

from archsim.core.errors import InputError
from archsim.dse.plan import prepare
from archsim.dse.python import explore
from archsim.dse.spec import load_explore
from archsim.dse.vary import space_of

FILE = """\
schema: archsim.explore/1
name: t
hardware: npu
workloads: [gpt2-small-prefill]
fidelity: analytic
space:
  engines.array.count: [4, 8]
constraints:
  - metrics.area_mm2.total <= 850 mm^2
search: {sampler: grid}
"""
CASES = {
    "unknown setting": (
        ("array.count", "array.cont"),
        "s.yaml:7:3: error[E601]: no such setting\n"
        "    7 |   engines.array.cont: [4, 8]\n"
        "      |   ^^^^^^^^^^^^^^^^^^\n"
        "      = help: did you mean `engines.array.count`?",
    ),
    "value of another kind": (
        ("[4, 8]", "[4, many]"),
        's.yaml:7:24: error[E105]: count expects a whole number, got "many"\n'
        "    7 |   engines.array.count: [4, many]\n"
        "      |                        ^\n"
        "      = help: write it like `1`",
    ),
    "value of another kind in the middle": (
        ("[4, 8]", "[4, many, 8]"),
        's.yaml:7:24: error[E105]: count expects a whole number, got "many"\n'
        "    7 |   engines.array.count: [4, many, 8]\n"
        "      |                        ^\n"
        "      = help: write it like `1`",
    ),
    "rounds that do not rise": (
        ("search: {", "screen: {fidelity: tile}\nsearch: {"),
        "s.yaml:10:20: error[E202]: a round at tile before one at analytic saves nothing\n"
        "   10 | screen: {fidelity: tile}\n"
        "      |                    ^^^^\n"
        "      = help: rounds rise in fidelity: bound, analytic, tile, cycle",
    ),
    "empty space": (
        ("  engines.array.count: [4, 8]", "  {}"),
        "s.yaml:7:3: error[E102]: the space is empty: nothing varies\n"
        "    7 |   {}\n"
        "      |   ^\n"
        "      = help: example `space: {memory.hbm.bandwidth: [1 TB/s, 2 TB/s]}`",
    ),
    "no choices": (
        ("[4, 8]", "[]"),
        "s.yaml:7:24: error[E107]: no choices\n"
        "    7 |   engines.array.count: []\n"
        "      |                        ^\n"
        "      = help: a list with one value or more",
    ),
    "through zero": (
        ("[4, 8]", "{log_range: [0, 8]}"),
        "s.yaml:7:24: error[E107]: a range of ratios from 0, 8 goes through zero\n"
        "    7 |   engines.array.count: {log_range: [0, 8]}\n"
        "      |                        ^\n"
        "      = help: both ends greater than 0, or equal steps: `range`, after --vary `lin:`",
    ),
    "no steps for a grid": (
        ("[4, 8]", "{range: [4, 8]}"),
        "s.yaml:7:24: error[E102]: engines.array.count has no steps, and a grid needs them\n"
        "    7 |   engines.array.count: {range: [4, 8]}\n"
        "      |                        ^\n"
        "      = help: add `steps: 5`, after --vary `:5`; or another sampler: `sampler: qmc`",
    ),
    "unknown sampler": (
        ("grid}", "gird}"),
        's.yaml:10:19: error[E108]: sampler "gird" is not one of grid, list, nsga2, nsga3, qmc, '
        "random, tpe\n"
        "   10 | search: {sampler: gird}\n"
        "      |                   ^^^^\n"
        '      = help: did you mean "grid"?',
    ),
    "no evaluations": (
        ("grid}", "random}"),
        "s.yaml:10:9: error[E102]: sampler random draws without end\n"
        "   10 | search: {sampler: random}\n"
        "      |         ^\n"
        "      = help: say how often: `evaluations: 64`",
    ),
    "evaluations below 1": (
        ("grid}", "random, evaluations: 0}"),
        "s.yaml:10:40: error[E107]: search.evaluations must be greater than 0, got 0\n"
        "   10 | search: {sampler: random, evaluations: 0}\n"
        "      |                                        ^",
    ),
    "no quantity": (
        ("850 mm^2", "850"),
        "s.yaml:9:5: error[E701]: the right side 850 needs a unit\n"
        "    9 |   - metrics.area_mm2.total <= 850\n"
        "      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "      = help: example `metrics.area_mm2.total <= 850 mm^2`",
    ),
    "set twice": (
        ("[4, 8]", "[4, 8]\n  x: {choices: [{engines.array.count: 2}]}"),
        "s.yaml:8:6: error[E202]: engines.array.count is set by engines.array.count too\n"
        "    8 |   x: {choices: [{engines.array.count: 2}]}\n"
        "      |      ^\n"
        "      = help: leave it out of one of them",
    ),
    "unknown machine": (
        ("hardware: npu", "hardware: npq"),
        's.yaml:3:11: error[E003]: no file and no shipped name "npq"\n'
        "    3 | hardware: npq\n"
        "      |           ^^^\n"
        '      = help: did you mean "npu"?',
    ),
}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def write(old: str, new: str) -> str:
        assert old in FILE
        Path("s.yaml").write_text(FILE.replace(old, new))
        return "s.yaml"

    return write


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_a_study_is_told_at_its_place(case, written):
    change, text = CASES[case]
    with pytest.raises(InputError) as refused:
        prepare(*load_explore(written(*change)))
    assert refused.value.render() == text


@pytest.mark.parametrize(
    ("new", "text"),
    [
        (
            "metrics.area.totl <= 1 mm^2",
            's.yaml:9:5: error[E701]: constraint uses "metrics.area.totl", which a run at fidelity '
            "analytic does not have\n"
            "    9 |   - metrics.area.totl <= 1 mm^2\n"
            "      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
            '      = help: did you mean "metrics.area_mm2.total"?',
        ),
        (
            "metrics.area_mm2.total <= 2 mm^2",
            's.yaml:9:5: error[E704]: constraint "metrics.area_mm2.total <= 2 mm^2" cannot be met: '
            "the least of 2 designs is 21.13 mm2\n"
            "    9 |   - metrics.area_mm2.total <= 2 mm^2\n"
            "      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
            "      = help: by the closed forms of the bound, at engines.array.count=4",
        ),
    ],
)
def test_a_constraint_that_no_run_has_or_keeps_is_told_before_the_designs(new, text, written):
    with pytest.raises(InputError) as refused:
        explore(written("metrics.area_mm2.total <= 850 mm^2", new))
    assert refused.value.render() == text


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["a"], "--vary a: error[E601]: not of the form PATH=VALUES\n"),
        (["a=log:1"], "--vary a=log:1: error[E601]: not of the form log:LO:HI:N\n"),
        (["a=1", "a=2"], "--vary a=2: error[E002]: a is varied twice\n"),
    ],
)
def test_a_flag_that_says_no_dimension_is_told(flags, text):
    with pytest.raises(InputError) as refused:
        space_of(flags)
    assert refused.value.render().startswith(text)
