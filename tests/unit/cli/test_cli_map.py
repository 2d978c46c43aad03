"""Does `map` print mappings in every form, and is the YAML one that a machine takes?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done

    Program = Callable[..., Done]

PREFILL = ("npu", "gpt2-small-prefill")
ONE = (*PREFILL, "--op", "layer/ffn.up")


def test_yaml_is_rules_that_give_the_same_mappings(archsim: Program) -> None:
    text = archsim("map", *PREFILL, "--format", "yaml").stdout
    assert text.startswith("# mappings of gpt2-small-prefill on npu: use it with --set-file\n")
    assert "# layer/attn.score: flash_attention is no nest, a rule below asks for it\n" in text
    Path("maps.yaml").write_text(text)
    before = archsim("map", *PREFILL).stdout
    assert archsim("map", *PREFILL, "--set-file", "maps.yaml").stdout == before
    assert archsim("map", *PREFILL, "--set-file", "maps.yaml", "--format", "yaml").stdout == text


def test_yaml_of_regions_names_their_ops(archsim: Program) -> None:
    fabric = ("sn40l-fabric", "gpt2-small", "--phase", "decode", "--batch", "1", "--context", "64")
    text = archsim("map", *fabric, "--op", "head/*", "--format", "yaml").stdout
    assert text == (
        "# mappings of gpt2-small on sn40l-fabric: use it with --set-file\n"
        "mapping:\n- ops:\n  - head/final_norm\n  - head/lm_head\n  fuse: region\n"
    )
    text = archsim("map", *fabric, "--format", "yaml").stdout
    Path("maps.yaml").write_text(text)
    before = archsim("map", *fabric).stdout
    assert archsim("map", *fabric, "--set-file", "maps.yaml").stdout == before
    assert archsim("map", *fabric, "--set-file", "maps.yaml", "--format", "yaml").stdout == text


def test_yaml_says_who_asks_for_what_is_no_nest(archsim: Program) -> None:
    decode = ("gpt2-small", "--phase", "decode", "--batch", "1", "--context", "64")
    shown = ("--op", "head/lm_head", "--format", "yaml")
    alone = ("--set", "mapping=[{ops: '*', fuse: none}]")
    text = archsim("map", "sn40l-fabric", *decode, *shown, *alone).stdout
    assert "# head/lm_head: region is no nest, a rule below asks for it\nmapping:\n" in text
    text = archsim("map", "a100", *decode, *shown).stdout
    assert "# head/lm_head: tile_grid is no nest, its engine chooses it\nmapping:\n" in text


def test_yaml_of_one_op_has_a_line_for_each_level(archsim: Program) -> None:
    lines = archsim("map", *ONE, "--format", "yaml").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:9]] == [
        "mapping:", "-", "nest:", "dataflow:", "levels:", "dram:", "buffer:", "registers:",
    ]  # fmt: skip
    assert lines[2] == "- ops: layer/ffn.up"


def test_text_and_table_are_one(archsim: Program) -> None:
    text = archsim("map", *ONE).stdout
    assert text == archsim("map", *ONE, "--format", "text").stdout
    assert text == archsim("map", *ONE, "--format", "table").stdout
    (found,) = json.loads(archsim("map", *ONE, "--format", "json").stdout)
    assert found["op"] == "layer/ffn.up"


def test_a_nest_with_a_mistake_is_shown_where_it_is(archsim: Program) -> None:
    text = archsim("map", *ONE, "--format", "yaml").stdout
    Path("maps.yaml").write_text(text.replace("@rows", "@rowz"))
    done = archsim("map", *ONE, "--set-file", "maps.yaml")
    assert done.status == 3
    assert done.stderr.startswith("maps.yaml:8:")
    assert 'help: did you mean "rows"?' in done.stderr
