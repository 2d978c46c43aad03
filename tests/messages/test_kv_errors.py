"""Is the error helpful? Mistakes in phases and in options of the KV cache, with their full text."""

from textwrap import dedent

import pytest

from archsim.core.errors import ArchsimError
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload

HEAD = "schema: archsim.workload/1\nname: w\nmodel: {preset: %s}\n"
DECODE = "{kind: decode, batch: 6, context: [9, 8, 7, 9, 9, 9]}"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def refused(kv, model="llama-3-8b", phase=DECODE):
    with open("w.yaml", "w") as file:
        file.write(HEAD % model + f"phase: {phase}\n" + (f"kv: {kv}\n" if kv else ""))
    with pytest.raises(ArchsimError) as caught:
        lower(load_workload("w.yaml")[0])
    assert caught.value.exit_code == 3
    return caught.value.render()


def check(found, expected):
    assert found == dedent(expected).strip("\n")


def test_e107_a_window_longer_than_the_context():
    expected = """
        w.yaml:5:14: error[E107]: a window of 10 tokens is longer than the context of 9
            5 | kv: {window: 10}
              |              ^^
              = help: window: 1 to 9
        """
    check(refused("{window: 10}"), expected)


def test_e202_heads_that_do_not_divide():
    expected = """
        w.yaml:5:13: error[E202]: 5 key-value heads do not divide 32 heads
            5 | kv: {heads: 5}
              |             ^
              = help: one of 1, 2, 4, 8, 16, 32
        """
    check(refused("{heads: 5}"), expected)


def test_e202_heads_of_latent_attention():
    expected = """
        w.yaml:5:13: error[E202]: latent attention has no key-value heads
            5 | kv: {heads: 4}
              |             ^
        """
    check(refused("{heads: 4}", model="deepseek-v3"), expected)


def test_e202_a_width_of_values_that_are_keys():
    expected = """
        w.yaml:5:14: error[E202]: a latent is key and value: it has one width
            5 | kv: {v_bits: 4}
              |              ^
              = help: k_bits alone
        """
    check(refused("{v_bits: 4}", model="deepseek-v3"), expected)


def test_e107_a_share_of_nothing():
    expected = """
        w.yaml:5:12: error[E107]: kv.kept must be in (0, 1], got 0
            5 | kv: {kept: 0}
              |            ^
              = help: `85 %` or `0.85`
        """
    check(refused("{kept: 0}"), expected)


def test_e107_a_share_of_more_than_all():
    expected = """
        w.yaml:5:12: error[E107]: kv.kept must be in (0, 1], got 1.5
            5 | kv: {kept: 1.5}
              |            ^^^
              = help: `85 %` or `0.85`
        """
    check(refused("{kept: 1.5}"), expected)


def test_e107_a_choice_by_more_than_a_key():
    expected = """
        w.yaml:5:31: error[E107]: a choice by 200 elements exceeds the 128 of a key
            5 | kv: {kept: 0.5, select_width: 200}
              |                               ^^^
              = help: select_width: 1 to 128
        """
    check(refused("{kept: 0.5, select_width: 200}"), expected)


def test_e202_scales_of_no_format():
    expected = """
        w.yaml:5:1: error[E202]: group is of k_bits or v_bits, and there is none
            5 | kv: {group: 8}
              | ^^
        """
    check(refused("{group: 8}"), expected)


def test_e202_a_choice_in_a_shared_prefix():
    expected = """
        w.yaml:5:1: error[E202]: tokens are chosen for each sequence, so they cannot share a prefix
            5 | kv: {kept: 0.5, shared_prefix: 3}
              | ^^
              = help: kept or shared_prefix
        """
    check(refused("{kept: 0.5, shared_prefix: 3}"), expected)


def test_e107_a_prefix_that_leaves_nothing():
    expected = """
        w.yaml:5:21: error[E107]: a prefix of 7 tokens leaves none of a context of 7
            5 | kv: {shared_prefix: 7}
              |                     ^
              = help: shared_prefix: 1 to 6
        """
    check(refused("{shared_prefix: 7}"), expected)


def test_e202_sharers_that_do_not_make_up_the_batch():
    expected = """
        w.yaml:5:33: error[E202]: groups of 4 do not make up 6 sequences
            5 | kv: {shared_prefix: 3, sharers: 4}
              |                                 ^
        """
    check(refused("{shared_prefix: 3, sharers: 4}"), expected)


def test_e107_more_bits_than_a_cache_has():
    expected = """
        w.yaml:5:14: error[E107]: kv.k_bits must be 16 or less, got 17
            5 | kv: {k_bits: 17}
              |              ^^
        """
    check(refused("{k_bits: 17}"), expected)


def test_e101_an_unknown_option():
    expected = """
        w.yaml:5:6: error[E101]: unknown key "k_bit" in kv
            5 | kv: {k_bit: 4}
              |      ^^^^^
              = help: did you mean "k_bits"?  (archsim schema workload lists all keys)
        """
    check(refused("{k_bit: 4}"), expected)


def test_e107_a_mixed_step_without_prompts():
    expected = """
        w.yaml:4:53: error[E107]: an empty list says nothing to run
            4 | phase: {kind: mixed, decode: {context: 9}, prefill: []}
              |                                                     ^
        """
    phase = "{kind: mixed, decode: {context: 9}, prefill: []}"
    check(refused(None, phase=phase), expected)


def test_e102_a_mixed_step_without_sequences_that_decode():
    expected = """
        w.yaml:4:1: error[E102]: phase needs "decode"
            4 | phase: {kind: mixed, prefill: [{tokens: 9}]}
              | ^^^^^
              = help: example `decode: {"batch": 32, "context": 2048}`
        """
    phase = "{kind: mixed, prefill: [{tokens: 9}]}"
    check(refused(None, phase=phase), expected)


def test_e107_no_steps():
    expected = """
        w.yaml:4:42: error[E107]: phase.steps must be 1 or more, got 0
            4 | phase: {kind: decode, context: 9, steps: 0}
              |                                          ^
        """
    phase = "{kind: decode, context: 9, steps: 0}"
    check(refused(None, phase=phase), expected)


def test_e107_a_chunk_behind_the_last_position():
    expected = """
        w.yaml:4:32: error[E107]: 1029 tokens exceed the 1024 positions of the model
            4 | phase: {kind: prefill, tokens: 9, context_before: 1020}
              |                                ^
        """
    phase = "{kind: prefill, tokens: 9, context_before: 1020}"
    check(refused(None, model="gpt2-small", phase=phase), expected)


def test_e107_a_chunk_of_a_mixed_step_beyond_the_positions():
    expected = """
        w.yaml:4:53: error[E107]: 1025 tokens exceed the 1024 positions of the model
            4 | phase: {kind: mixed, decode: {context: 9}, prefill: [{tokens: 1025}]}
              |                                                     ^
        """
    phase = "{kind: mixed, decode: {context: 9}, prefill: [{tokens: 1025}]}"
    check(refused(None, model="gpt2-small", phase=phase), expected)


def test_e202_contexts_of_a_mixed_step_that_disagree_with_its_batch():
    expected = """
        w.yaml:4:22: error[E202]: batch 3 disagrees with 2 contexts
            4 | phase: {kind: mixed, decode: {batch: 3, context: [9, 8]}, prefill: [{tokens: 1}]}
              |                      ^^^^^^
              = help: drop batch, or list one context for each sequence
        """
    phase = "{kind: mixed, decode: {batch: 3, context: [9, 8]}, prefill: [{tokens: 1}]}"
    check(refused(None, phase=phase), expected)
