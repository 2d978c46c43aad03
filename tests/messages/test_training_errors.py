"""Is the error helpful? Training steps that a model does not have, with their full text."""

from textwrap import dedent

import pytest

from archsim.core.errors import ArchsimError
from archsim.lowering.lower import lower
from archsim.lowering.spec import load_workload


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def check(expected, model, phase="{kind: train, tokens: 128}", more=""):
    with open("w.yaml", "w") as file:
        file.write(f"schema: archsim.workload/1\nname: w\nmodel: {{preset: {model}}}\n")
        file.write(f"phase: {phase}\n{more}")
    with pytest.raises(ArchsimError) as caught:
        lower(load_workload("w.yaml")[0])
    assert caught.value.exit_code == 3
    assert caught.value.render() == dedent(expected).strip("\n")


def test_e108_a_model_whose_backward_pass_is_not_known():
    check(
        """
        w.yaml:4:15: error[E108]: phase "train" is not one of decode, prefill, mixed
            4 | phase: {kind: train, tokens: 128}
              |               ^^^^^
              = help: those are what w's model does
        """,
        "mixtral-8x7b",
    )


def test_e202_a_mask_of_blocks():
    check(
        """
        w.yaml:4:15: error[E202]: no backward pass is known of a mask of blocks
            4 | phase: {kind: train, tokens: 128}
              |               ^^^^^
              = help: without attention.block_sparse
        """,
        "gpt2-small",
        more="attention: {block_sparse: {block: 64}}\n",
    )


def test_e108_an_encoder():
    check(
        """
        w.yaml:4:15: error[E108]: phase "train" is not one of encode
            4 | phase: {kind: train, tokens: 128}
              |               ^^^^^
              = help: those are what w's model does
        """,
        "bert-base",
    )


def test_e107_more_tokens_than_positions():
    check(
        """
        w.yaml:4:30: error[E107]: 2000 tokens exceed the 1024 positions of the model
            4 | phase: {kind: train, tokens: 2000}
              |                              ^^^^
        """,
        "gpt2-small",
        "{kind: train, tokens: 2000}",
    )


def test_e108_an_unknown_optimizer():
    check(
        """
        w.yaml:4:46: error[E108]: optimizer "adm" is not one of adam, none, sgd
            4 | phase: {kind: train, tokens: 128, optimizer: adm}
              |                                              ^^^
              = help: did you mean "adam"?
        """,
        "gpt2-small",
        "{kind: train, tokens: 128, optimizer: adm}",
    )
