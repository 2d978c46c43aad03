"""Does an imported model stand alone: the same graph without the file it came from?"""

from __future__ import annotations

import json
from pathlib import Path

import archsim as package

LLAMA = {
    "model_type": "llama", "hidden_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 1000,
}  # fmt: skip


def test_a_config_becomes_a_workload_that_needs_it_no_more(archsim) -> None:
    Path("config.json").write_text(json.dumps(LLAMA))
    direct = package.run("npu", "config.json", phase="decode", batch=2, context=64)
    done = archsim(
        "import", "hf", "config.json", "--phase", "decode", "--batch", "2", "--context", "64",
        "--out", "own.yaml",
    )  # fmt: skip
    assert done.status == 0
    Path("config.json").unlink()
    own = package.run("npu", "own.yaml")
    assert own.result["time_ps"] == direct.result["time_ps"]
    assert own.result["model"]["parameters"] == direct.result["model"]["parameters"]


def test_without_a_phase_the_file_has_one_and_runs(archsim) -> None:
    Path("config.json").write_text(json.dumps(LLAMA))
    assert archsim("import", "hf", "config.json", "--out", "own.yaml").status == 0
    assert package.run("npu", "own.yaml").result["model"]["phase"]["kind"] == "decode"


def test_fields_that_have_no_effect_are_said_when_a_config_is_imported(archsim) -> None:
    Path("config.json").write_text(json.dumps(LLAMA | {"final_logit_softcapping": 30.0}))
    done = archsim("import", "hf", "config.json")
    text = "final_logit_softcapping of config.json has no effect: nothing reads it"
    assert (done.status, done.stderr) == (0, f"warning: W101 {text}\n")


def test_a_file_of_another_format_is_refused(archsim) -> None:
    Path("layers.csv").write_text("layer, M, N, K,\nfc, 64, 128, 256,\n")
    done = archsim("import", "hf", "layers.csv")
    assert done.status == 2
    assert "layers.csv does not end in .json, as hf files do" in done.stderr
