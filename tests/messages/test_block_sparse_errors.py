"""Is the error helpful? Masks of blocks that suit no model or phase, with their full text."""

from textwrap import dedent

import pytest

from archsim.core.errors import ArchsimError
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload

PREFILL = "{kind: prefill, tokens: 256}"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def check(expected, mask="{block: 64}", model="llama-3-8b", phase=PREFILL, more=""):
    with open("w.yaml", "w") as file:
        file.write(f"schema: archsim.workload/1\nname: w\nmodel: {{preset: {model}}}\n")
        file.write(f"phase: {phase}\nattention: {{block_sparse: {mask}}}\n{more}")
    with pytest.raises(ArchsimError) as caught:
        lower(load_workload("w.yaml")[0])
    assert caught.value.exit_code == 3
    assert caught.value.render() == dedent(expected).strip("\n")


def test_e202_a_prompt_of_no_whole_number_of_blocks():
    check(
        """
        w.yaml:4:32: error[E202]: tokens 200 is no whole number of blocks of 64
            4 | phase: {kind: prefill, tokens: 200}
              |                                ^^^
              = help: tokens: 256, or another block
        """,
        phase="{kind: prefill, tokens: 200}",
    )


def test_e202_a_chunk_that_begins_inside_a_block():
    check(
        """
        w.yaml:4:53: error[E202]: context_before 100 is no whole number of blocks of 64
            4 | phase: {kind: prefill, tokens: 256, context_before: 100}
              |                                                     ^^^
              = help: context_before: 128, or another block
        """,
        phase="{kind: prefill, tokens: 256, context_before: 100}",
    )


def test_e202_a_model_without_attention():
    check(
        """
        w.yaml:5:27: error[E202]: resnet-50 is no Transformer: there is no attention to mask
            5 | attention: {block_sparse: {block: 64}}
              |                           ^
        """,
        model="resnet-50",
        phase="{kind: infer}",
    )


def test_e202_a_model_with_a_window_of_its_own():
    check(
        """
        w.yaml:5:27: error[E202]: a mask of blocks does not go with sliding_window
            5 | attention: {block_sparse: {block: 64}}
              |                           ^
        """,
        model="mistral-7b",
    )


def test_e202_latent_attention():
    check(
        """
        w.yaml:5:27: error[E202]: a mask of blocks does not go with latent attention
            5 | attention: {block_sparse: {block: 64}}
              |                           ^
        """,
        model="deepseek-v3",
    )


def test_e202_a_choice_of_tokens_beside_it():
    check(
        """
        w.yaml:5:27: error[E202]: blocks are chosen by a mask, so kv.kept has nothing to say
            5 | attention: {block_sparse: {block: 64}}
              |                           ^
              = help: without kv.kept
        """,
        phase="{kind: decode, context: 256}",
        more="kv: {kept: 0.5}\n",
    )


def test_e101_an_unknown_key_of_a_mask():
    check(
        """
        w.yaml:5:39: error[E101]: unknown key "locl" in attention.block_sparse
            5 | attention: {block_sparse: {block: 64, locl: 2}}
              |                                       ^^^^
              = help: did you mean "local"?  (archsim schema workload lists all keys)
        """,
        mask="{block: 64, locl: 2}",
    )
