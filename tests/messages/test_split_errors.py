"""Is the error helpful? Rules that split what they cannot, or over what there is not."""

from textwrap import dedent

import pytest

import archsim
from archsim.core.errors import ArchsimError

MORE = "more: {kind: systolic_array, rows: 8, cols: 8}"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(line, status=3):
    with open("m.yaml", "w") as file:
        file.write(f"extends: npu\nname: m\nengines:\n  {MORE}\n{line}\n")
    with pytest.raises(ArchsimError) as caught:
        archsim.run("m.yaml", "mixtral-8x7b", phase="decode", batch=8, context=64)
    assert caught.value.exit_code == status
    return caught.value.render()


def rule(split, ops="moe_expert"):
    return f"dispatch:\n  - {{ops: {ops}, split: {{{split}}}}}"


CASES = {
    "over: [array]": """
        m.yaml:6:23: error[E202]: over names 1 engine
            6 |   - {ops: moe_expert, split: {over: [array]}}
              |                       ^^^^^
              = help: two or more, or run_on for one
        """,
    "over: [array, array]": """
        m.yaml:6:23: error[E202]: over names array twice
            6 |   - {ops: moe_expert, split: {over: [array, array]}}
              |                       ^^^^^
              = help: each engine once
        """,
    "over: [array, more], by: heads, spaces: 4": """
        m.yaml:6:23: error[E202]: spaces hold experts, and heads are dealt
            6 |   - {ops: moe_expert, split: {over: [array, more], by: heads, spaces: 4}}
              |                       ^^^^^
              = help: by: experts
        """,
    "over: [array, more, vector], ratio: 0.5": """
        m.yaml:6:23: error[E202]: ratio is of two engines, and over names 3
            6 |   - {ops: moe_expert, split: {over: [array, more, vector], ratio: 0.5}}
              |                       ^^^^^
              = help: leave ratio out: the fastest deal is found
        """,
    "over: [array, vector]": """
        m.yaml:6:45: error[E201]: dispatch[0] deals layer/moe.gate to vector, which does not run it
            6 |   - {ops: moe_expert, split: {over: [array, vector]}}
              |                                             ^^^^^^
              = help: a vector_unit runs: gather, move, vector
        """,
    "over: [array, mor]": """
        m.yaml:6:45: error[E201]: dispatch[0].split.over[1] names engine "mor", which does not exist
            6 |   - {ops: moe_expert, split: {over: [array, mor]}}
              |                                             ^^^
              = help: names: array, vector, more; did you mean "more"?
        """,
    "over: [array, more], by: tokens": """
        m.yaml:6:56: error[E108]: by "tokens" is not one of columns, experts, heads, sequences
            6 |   - {ops: moe_expert, split: {over: [array, more], by: tokens}}
              |                                                        ^^^^^^
        """,
    "over: [array, more], ratio: 50": """
        m.yaml:6:59: error[E107]: dispatch[0].split.ratio must be 1.0 or less, got 50
            6 |   - {ops: moe_expert, split: {over: [array, more], ratio: 50}}
              |                                                           ^^
        """,
}


@pytest.mark.parametrize("split", CASES)
def test_a_split_that_cannot_be(split):
    assert refused(rule(split)) == dedent(CASES[split]).strip("\n")


def test_e107_one_sub_batch_is_the_batch():
    text = refused("interleave: {sub_batches: 1}")
    assert text == dedent(
        """
        m.yaml:5:27: error[E107]: interleave.sub_batches must be 2 or more, got 1
            5 | interleave: {sub_batches: 1}
              |                           ^
        """
    ).strip("\n")
