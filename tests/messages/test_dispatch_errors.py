"""Is the error helpful? Dispatch rules that contradict themselves, or ask for what cannot be."""

from textwrap import dedent

import pytest

import archsim
from archsim.core.errors import ArchsimError

WORK = {
    "schema": "archsim.workload/1", "name": "w", "model": {"preset": "gpt2-small"},
    "phase": {"kind": "decode", "batch": 8, "context": 64},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(rule):
    with open("m.yaml", "w") as file:
        file.write(f"extends: npu\nname: m\ndispatch:\n  - {rule}\n")
    with pytest.raises(ArchsimError) as caught:
        archsim.run("m.yaml", WORK, fidelity="analytic")
    return caught.value.render()


def says(text):
    return dedent(text).strip("\n")


def test_e201_auto_chooses_among_an_engine_that_does_not_exist():
    assert refused("{ops: ffn, run_on: auto, among: [array, aray]}") == says("""
        m.yaml:4:45: error[E201]: dispatch[0].among[1] names engine "aray", which does not exist
            4 |   - {ops: ffn, run_on: auto, among: [array, aray]}
              |                                             ^^^^
              = help: names: array, vector; did you mean "array"?
        """)


def test_e201_a_split_is_over_an_engine_that_does_not_exist():
    assert refused("{ops: ffn, split: {over: [array, pim]}}") == says("""
        m.yaml:4:38: error[E201]: dispatch[0].split.over[1] names engine "pim", which does not exist
            4 |   - {ops: ffn, split: {over: [array, pim]}}
              |                                      ^^^
              = help: names: array, vector
        """)


def test_e201_none_of_the_engines_that_auto_chooses_among_runs_the_op():
    assert refused("{ops: norm, run_on: auto, among: [array]}") == (
        "m.yaml:4:38: error[E201]: dispatch[0] chooses among array for "
        "layer/attn_norm, and none of them runs this vector op\n"
        "    4 |   - {ops: norm, run_on: auto, among: [array]}\n"
        "      |                                      ^\n"
        "      = help: it runs: conv, gemm; vector ops run on vector"
    )


def test_e201_a_family_of_which_an_engine_runs_nothing():
    assert refused("{ops: elementwise, run_on: array}") == (
        "m.yaml:4:32: error[E201]: dispatch[0] sends layer/attn.residual to array, "
        "but a systolic_array cannot run a vector op\n"
        "    4 |   - {ops: elementwise, run_on: array}\n"
        "      |                                ^^^^^\n"
        "      = help: it runs: conv, gemm; vector ops run on vector"
    )


def test_e202_the_least_exceeds_the_most():
    assert refused("{ops: ffn, min_intensity: 16, max_intensity: 4, run_on: array}") == says("""
        m.yaml:4:5: error[E202]: min_intensity 16 exceeds max_intensity 4: no op is in between
            4 |   - {ops: ffn, min_intensity: 16, max_intensity: 4, run_on: array}
              |     ^
              = help: min_intensity: 4 or less
        """)


def test_e202_what_auto_weighs_where_an_engine_is_named():
    assert refused("{ops: ffn, run_on: array, prefer: energy}") == says("""
        m.yaml:4:5: error[E202]: prefer is of a choice, and run_on is none
            4 |   - {ops: ffn, run_on: array, prefer: energy}
              |     ^
              = help: run_on: auto
        """)


def test_e202_neither_an_engine_nor_a_split():
    assert refused("{ops: ffn, max_rows: 4}") == says("""
        m.yaml:4:5: error[E202]: a rule has run_on or split, and this one has neither
            4 |   - {ops: ffn, max_rows: 4}
              |     ^
              = help: run_on: auto
        """)


def test_e108_a_phase_that_there_is_not():
    assert refused("{ops: ffn, phase: [decoding], run_on: array}") == (
        'm.yaml:4:24: error[E108]: phase[0] "decoding" is not one of decode, '
        "encode, infer, mixed, prefill, train\n"
        "    4 |   - {ops: ffn, phase: [decoding], run_on: array}\n"
        "      |                        ^^^^^^^^\n"
        '      = help: did you mean "decode"?'
    )


def test_e201_a_rule_that_names_nothing_and_nearly_something():
    assert refused("{ops: [softmax, atention_score], run_on: array}") == says("""
        m.yaml:4:21: error[E201]: dispatch[0] names "atention_score", and w has no such class of ops
            4 |   - {ops: [softmax, atention_score], run_on: array}
              |                     ^^^^^^^^^^^^^^
              = help: did you mean "attention_score"?
        """)
