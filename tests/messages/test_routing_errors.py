"""Is the error helpful? Mistakes in experts, in routing and in its traces, with their full text."""

from textwrap import dedent

import numpy as np
import pytest

from archsim.core.errors import ArchsimError
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload

MODEL = (
    "{architecture: transformer, layers: 3, hidden: 8, heads: 2, kv_heads: 1, head_dim: 4, "
    "ffn: 16, ffn_matrices: 3, activation: silu, norm: rms, position: rope, vocab: 9, "
    "dense_layers: 1, moe: %s}"
)
EXPERTS = "{experts: 4, top_k: 2, ffn: 16}"
HEAD = "schema: archsim.workload/1\nname: w\n"
PHASE = "phase: {kind: decode, batch: 3, context: 4}\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(text):
    with open("w.yaml", "w") as file:
        file.write(text)
    with pytest.raises(ArchsimError) as caught:
        lower(load_workload("w.yaml")[0])
    assert caught.value.exit_code == 3
    return caught.value.render()


def experts(moe):
    return refused(f"{HEAD}model:\n  config:\n    moe: {moe}\n" + _rest() + PHASE)


def _rest():
    plain = MODEL[1 : MODEL.index(", moe:")]
    return "".join(f"    {part}\n" for part in plain.split(", "))


def routing(section, trace=None):
    if trace is not None:
        with open("routing.csv", "w") as file:
            file.write(trace)
    model = f"model: {{config: {MODEL % EXPERTS}}}\n"
    return refused(f"{HEAD}{model}{PHASE}routing: {section}\n")


def traced(text):
    return routing("{kind: trace, file: routing.csv}", text)


def check(found, expected):
    assert found == dedent(expected).strip("\n")


def test_e107_more_experts_a_token_than_there_are():
    expected = """
        w.yaml:5:5: error[E107]: top_k 9 exceeds the 4 experts
            5 |     moe: {experts: 4, top_k: 9, ffn: 16}
              |     ^^^
              = help: top_k: 1 to 4
        """
    check(experts("{experts: 4, top_k: 9, ffn: 16}"), expected)


def test_e107_more_experts_a_token_than_its_groups_have():
    expected = """
        w.yaml:5:5: error[E107]: top_k 3 exceeds the 2 experts of the groups chosen among
            5 |     moe: {experts: 4, top_k: 3, ffn: 16, groups: 2}
              |     ^^^
              = help: top_k: 1 to 2
        """
    check(experts("{experts: 4, top_k: 3, ffn: 16, groups: 2}"), expected)


def test_e202_a_width_of_shared_experts_without_any():
    expected = """
        w.yaml:5:5: error[E202]: shared_ffn is of shared experts, and there are none
            5 |     moe: {experts: 4, top_k: 2, ffn: 16, shared_ffn: 8}
              |     ^^^
              = help: shared: 1
        """
    check(experts("{experts: 4, top_k: 2, ffn: 16, shared_ffn: 8}"), expected)


def test_e202_an_exponent_of_uniform_routing():
    expected = """
        w.yaml:5:1: error[E202]: exponent is of zipf routing, and the kind is uniform
            5 | routing: {kind: uniform, exponent: 1.2}
              | ^^^^^^^
              = help: kind: zipf
        """
    check(routing("{kind: uniform, exponent: 1.2}"), expected)


def test_e102_a_trace_without_a_file():
    expected = """
        w.yaml:5:1: error[E102]: a routing trace needs a file or counts, got none
            5 | routing: {kind: trace}
              | ^^^^^^^
              = help: example `routing: {kind: trace, file: routing.csv}`
        """
    check(routing("{kind: trace}"), expected)


def test_e201_a_trace_that_does_not_exist():
    expected = """
        w.yaml:5:30: error[E201]: file names "no.csv", which does not exist
            5 | routing: {kind: trace, file: no.csv}
              |                              ^^^^^^
        """
    check(routing("{kind: trace, file: no.csv}"), expected)


def test_e202_a_trace_of_the_wrong_width():
    expected = """
        routing.csv:2:1: error[E202]: a row of 3 numbers, and the model has 4 experts
            2 | 2, 2, 2
              | ^^^^^^^
              = help: 4 numbers: tokens of each expert; or 2: the experts of one token
        """
    check(traced("e0, e1, e2\n2, 2, 2\n"), expected)


def test_all_mistakes_of_a_trace_come_together():
    expected = """
        routing.csv:1:1: error[E202]: the row routes 7 tokens, the phase 6
            1 | 3, 2, 2, 0
              | ^^^^^^^^^^
              = help: 3 tokens x 2 experts each
        routing.csv:3:1: error[E107]: an expert has 4 tokens of 3
            3 | 4, 2, 0, 0
              | ^^^^^^^^^^
              = help: a token goes to an expert once
        """
    check(traced("3, 2, 2, 0\n# second layer\n4, 2, 0, 0\n"), expected)


def test_e202_a_trace_of_too_many_layers():
    expected = """
        routing.csv: error[E202]: the trace has 3 layer rows; 2 layers need one row each
              = help: 1 or 2 rows
        """
    check(traced("3, 3, 0, 0\n" * 3), expected)


def test_e202_a_trace_of_too_few_tokens():
    expected = """
        routing.csv: error[E202]: the trace has 2 token rows; 2 layers need 3 tokens in each
              = help: 3 or 6 rows
        """
    check(traced("0, 1\n" * 2), expected)


def test_e107_an_expert_that_does_not_exist_and_e202_one_chosen_twice():
    expected = """
        routing.csv:1:1: error[E107]: expert 4 of a model with 4 experts
            1 | 0, 4
              | ^^^^
              = help: experts count from 0 to 3
        routing.csv:2:1: error[E202]: a token goes to one expert twice
            2 | 1, 1
              | ^^^^
              = help: 2 distinct experts in each row
        """
    check(traced("0, 4\n1, 1\n0, 1\n"), expected)


def test_e105_a_word_in_a_trace():
    expected = """
        routing.csv:2:4: error[E105]: a trace holds whole numbers, got "-1"
            2 | 0, -1
              |    ^^
        """
    check(traced("0, 1\n0, -1\n"), expected)


def test_e102_an_empty_trace():
    check(traced("# nothing\n"), "routing.csv: error[E102]: the trace needs at least one row")


def test_e003_a_trace_that_is_no_text():
    with open("routing.csv", "wb") as file:
        file.write(b"\xff\xfe\x00")
    expected = "routing.csv: error[E003]: cannot be read: not UTF-8"
    check(routing("{kind: trace, file: routing.csv}"), expected)


def test_an_array_that_is_no_table_of_whole_numbers():
    np.save("a.npy", np.zeros((2, 4)))
    expected = """
        a.npy: error[E105]: expects a table of whole numbers from 0, got 2 dimensions of float64
        """
    check(routing("{kind: trace, file: a.npy}"), expected)
    with open("a.npy", "w") as file:
        file.write("text")
    expected = "a.npy: error[E003]: cannot be read: not an NPY array"
    check(routing("{kind: trace, file: a.npy}"), expected)


def test_counts_written_out_are_checked_at_their_place():
    expected = """
        w.yaml:5:33: error[E202]: a row of 2 numbers, and the model has 4 experts
            5 | routing: {kind: trace, counts: [[6, 0]]}
              |                                 ^
              = help: 4 numbers: tokens of each expert; or 2: the experts of one token
        """
    check(routing("{kind: trace, counts: [[6, 0]]}"), expected)


def test_w101_routing_of_a_model_without_experts():
    with open("w.yaml", "w") as file:
        file.write(f"{HEAD}model: {{preset: gpt2-small}}\n{PHASE}routing: {{seed: 3}}\n")
    graph = lower(load_workload("w.yaml")[0])
    assert graph.facts["warnings"] == [("W101", "routing has no effect: the model has no experts")]
