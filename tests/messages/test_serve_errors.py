"""Is the error helpful when a batch cannot be served as described?"""

from __future__ import annotations

from pathlib import Path

import pytest

from archsim.core.errors import ArchsimError
from archsim.serving.serve import serve

FILE = """\
schema: archsim.serving/1
name: t
model: mixtral-8x7b
batch: 4
lengths: {kind: fixed, prompt_tokens: 16, output_tokens: 8}
"""
LENGTHS = "{kind: fixed, prompt_tokens: 16, output_tokens: 8}"
CASES = {
    "no requests": (
        ("batch: 4", "batch: 0"), (),
        "s.yaml:4:8: error[E107]: batch must be greater than 0, got 0\n"
        "    4 | batch: 0\n"
        "      |        ^",
    ),
    "unknown model": (
        ("mixtral-8x7b", "mixtral-8x7"), (),
        's.yaml:3:8: error[E201]: no model and no file is named "mixtral-8x7"\n'
        "    3 | model: mixtral-8x7\n"
        "      |        ^^^^^^^^^^^\n"
        '      = help: did you mean "mixtral-8x7b"?',
    ),
    "unknown lengths": (
        ("fixed", "fixd"), (),
        's.yaml:5:17: error[E108]: kind "fixd" is not one of fixed, normal, trace, uniform\n'
        "    5 | lengths: {kind: fixd, prompt_tokens: 16, output_tokens: 8}\n"
        "      |                 ^^^^\n"
        '      = help: did you mean "fixed"?',
    ),
    "an override without its first word": (
        ("t", "t"), ("batch=4",),
        "--set batch=4: error[E601]: no such setting\n"
        "      = help: did you mean `serving.batch`?",
    ),
    "ends the wrong way round": (
        (LENGTHS, "{kind: uniform, prompt_tokens: [9, 3], output_tokens: [1, 2]}"), (),
        "s.yaml:5:1: error[E202]: prompt_tokens: the least, 9, is more than the most, 3\n"
        "    5 | lengths: {kind: uniform, prompt_tokens: [9, 3], output_tokens: [1, 2]}\n"
        "      | ^^^^^^^",
    ),
    "a trace that is not there": (
        (LENGTHS, "{kind: trace, file: none.csv}"), (),
        's.yaml:5:30: error[E003]: trace "none.csv" cannot be read: No such file or directory\n'
        "    5 | lengths: {kind: trace, file: none.csv}\n"
        "      |                              ^^^^^^^^",
    ),
    "a trace without a column": (
        (LENGTHS, "{kind: trace, file: experts.csv}"), (),
        's.yaml:5:30: error[E102]: trace "experts.csv" has no column prompt_tokens\n'
        "    5 | lengths: {kind: trace, file: experts.csv}\n"
        "      |                              ^^^^^^^^^^^\n"
        "      = help: columns prompt_tokens, output_tokens",
    ),
    "a request without an answer": (
        (LENGTHS, "{kind: trace, file: asked.csv}"), (),
        "asked.csv:3:1: error[E105]: a request has tokens, 1 or more, got '8' and '0'\n"
        "    3 | 8,0\n"
        "      | ^",
    ),
    "experts of a model without": (
        ("model: mixtral-8x7b", "model: gpt2-small\nrouting: {kind: uniform}"), (),
        "s.yaml:4:1: error[E202]: gpt2-small has no experts\n"
        "    4 | routing: {kind: uniform}\n"
        "      | ^^^^^^^\n"
        "      = help: drop routing",
    ),
    "a token with one expert": (
        ("batch: 4", "batch: 4\nrouting: {kind: trace, file: experts.csv}"), (),
        "experts.csv:2:1: error[E202]: a token goes to 2 distinct experts of 8, counted from 0\n"
        "    2 | 3,3\n"
        "      | ^^^\n"
        "      = help: a row such as 0, 1",
    ),
    "more requests than fit": (
        ("batch: 4", "batch: 4000"), ("memory.hbm.capacity=11 GiB",),
        "error[E401]: a batch of 4000 does not fit: the machine holds 291 requests at full length"
        "\n      = help: --set serving.batch=291, narrower types, or more devices",
    ),
    "more requests than can be followed": (
        ("batch: 4", "batch: 64\nstages: 1000000"), (),
        "error[E202]: a batch of 64 sees about 8,000,064 requests in 1,000,000 stages, at most "
        "2,000,000 can be followed\n"
        "      = help: set fewer stages, or a smaller batch",
    ),
    "a setting that is none": (
        ("", ""), ("serving.bach=2",),
        "--set serving.bach=2: error[E601]: no such setting\n"
        "      = help: did you mean `serving.batch`?",
    ),
    "a machine without room for one": (
        ("", ""), ("memory.hbm.capacity=8 GiB",),
        "error[E401]: each of 8 devices: t needs 10.88 GiB, hbm holds 8.00 GiB (short by 2.88 GiB),"
        " as the default plan (tensor: 8) divides it\n"
        "      = help: weights 10.88 GiB, kv_cache 384.00 KiB, activations 62.50 KiB; narrower "
        "dtypes, a smaller batch, or --set memory.hbm.capacity=...",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_error_says_where_what_and_what_to_do(
    case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old, new), sets, text = case
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(FILE.replace(old, new, 1) if old else FILE)
    Path("asked.csv").write_text("prompt_tokens,output_tokens\n8,4\n8,0\n")
    Path("experts.csv").write_text("0, 1\n3,3\n")
    with pytest.raises(ArchsimError) as caught:
        serve("h100x8", "s.yaml", set_=sets, fidelity="analytic")
    assert caught.value.render() == text


def test_a_sample_of_a_fit_is_refused() -> None:
    with pytest.raises(ArchsimError) as caught:
        serve("h100x8", "mixtral-closed-loop", sample=30, fit=30)
    assert caught.value.render() == "error[E202]: sample and fit exclude each other"
