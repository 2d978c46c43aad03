"""Is each request for the expert that its mix says, and is a batch worked off in its order?"""

from collections import Counter

import pytest

from archsim.serving.composition import load_composition
from archsim.serving.requests import Visit, chosen, visits

BASE = {
    "schema": "archsim.composition/1", "name": "t",
    "experts": [{"name": "a", "model": "gpt2-small", "count": 3},
                {"name": "b", "model": "gpt2-medium"}],
}  # fmt: skip


def asked(mix, count=400, seed=0):
    requests = {"count": count, "prompt_tokens": 8, "output_tokens": 2, "mix": mix, "seed": seed}
    return chosen(*load_composition({**BASE, "requests": requests}))


def test_experts_are_named_by_group_and_number():
    requests = {"prompt_tokens": 8, "output_tokens": 2}
    spec, _ = load_composition({**BASE, "requests": requests})
    assert spec.names == ("a-0", "a-1", "a-2", "b")
    assert spec.models == ("gpt2-small",) * 3 + ("gpt2-medium",)


def test_an_even_mix_asks_for_each_expert_about_as_often():
    found = Counter(asked({"kind": "uniform"}))
    assert set(found) == {0, 1, 2, 3}
    assert all(70 < n < 130 for n in found.values())


def test_a_zipf_mix_asks_for_the_first_experts_most():
    found = Counter(asked({"kind": "zipf", "exponent": 2.0}, 4000))
    shares = [found[i] / 4000 for i in range(4)]
    whole = 1 + 1 / 4 + 1 / 9 + 1 / 16
    assert shares == pytest.approx([1 / whole / (i + 1) ** 2 for i in range(4)], abs=0.02)


def test_a_seed_gives_one_sequence_and_another_seed_another():
    mix = {"kind": "uniform"}
    assert asked(mix) == asked(mix) != asked(mix, seed=1)


def test_a_zipf_mix_of_exponent_zero_is_an_even_one():
    assert asked({"kind": "zipf", "exponent": 0.0}) == asked({"kind": "uniform"})


def test_a_trace_is_read_over_and_over(tmp_path):
    (tmp_path / "asked.txt").write_text("b  # first\n\na-2\n# a-0\na-1\n")
    file = tmp_path / "c.yaml"
    file.write_text(
        "schema: archsim.composition/1\nname: t\n"
        "experts: [{name: a, model: gpt2-small, count: 3}, {name: b, model: gpt2-medium}]\n"
        "requests: {count: 5, prompt_tokens: 8, output_tokens: 2,"
        " mix: {kind: trace, file: asked.txt}}\n"
    )
    assert chosen(*load_composition(file)) == (3, 2, 1, 3, 2)


def test_in_order_of_arrival_each_request_is_a_turn():
    found = visits((1, 0, 1, 2), 3, "arrival")
    assert found == (Visit(0, 1, 1), Visit(0, 0, 1), Visit(0, 1, 1), Visit(1, 2, 1))


def test_grouped_requests_of_an_expert_are_one_turn_of_their_batch():
    found = visits((1, 0, 1, 1), 3, "grouped")
    assert found == (Visit(0, 1, 2), Visit(0, 0, 1), Visit(1, 1, 1))
