"""Is what the program says about a mistake the right text, on the right stream, with its status?"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from archsim.cli import _app

ROOT = Path(__file__).parents[2]
MODEL = ("llama-3-8b", "--phase", "decode", "--batch", "16", "--context", "2048")


def refused(*arguments: str) -> tuple[int, str]:
    """Status and stderr of a call that must not print a result."""
    done = CliRunner().invoke(_app.build(), list(arguments), prog_name="archsim")
    assert done.stdout == ""
    return done.exit_code, done.stderr


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def machine(folder: Path, old: str, new: str) -> str:
    """A copy of a shipped machine with one change."""
    text = (ROOT / "configs" / "npu.yaml").read_text()
    assert text.count(old) == 1
    (folder / "m.yaml").write_text(text.replace(old, new))
    return "m.yaml"


def test_a_mistyped_machine_names_the_closest() -> None:
    assert refused("run", "npuu", *MODEL) == (
        3,
        'error[E003]: no file and no shipped name "npuu"\n      = help: did you mean "npu"?\n',
    )


def test_an_unknown_key_shows_its_place_and_the_right_word(folder: Path) -> None:
    file = machine(folder, "lanes: 128", "lane: 128")
    status, text = refused("check", file)
    assert status == 3
    place = re.search(r'^m\.yaml:(\d+):5: error\[E101\]: unknown key "lane" in engines\.vector$',
                      text, re.MULTILINE)  # fmt: skip
    assert place
    assert f"\n{int(place[1]):5d} |     lane: 128\n      |     ^^^^\n" in text
    assert 'did you mean "lanes"?' in text


def test_a_mistyped_override_points_at_the_flag() -> None:
    status, text = refused("run", "npu", *MODEL, "--set", "memory.hbm.bandwith=4 TB/s")
    assert status == 3
    assert text.startswith("--set memory.hbm.bandwith")
    assert "error[E601]" in text
    assert "memory.hbm.bandwidth" in text


def test_a_rule_that_names_no_engine_is_shown_at_its_line(folder: Path) -> None:
    file = machine(folder, "mapping:\n", "dispatch:\n  - {ops: ffn, run_on: arry}\nmapping:\n")
    status, text = refused("check", file)
    assert status == 3
    assert re.match(r"m\.yaml:\d+:\d+: error\[E201\]: dispatch\[0\]\.run_on", text)
    assert '"arry"' in text


def test_a_model_that_does_not_fit_says_by_how_much() -> None:
    status, text = refused("run", "tpu-v4", "llama-3-70b", *MODEL[1:])
    assert status == 5
    assert "error[E401]" in text
    assert "short by" in text
    assert "= help: " in text


def test_errors_as_json_have_code_place_and_message(folder: Path) -> None:
    file = machine(folder, "80 GiB", "80")
    done = CliRunner().invoke(_app.build(), ["check", file, "--format", "json"])
    assert (done.exit_code, done.stderr) == (3, "")
    (error,) = json.loads(done.stdout)["errors"]
    assert (error["code"], error["file"], error["path"]) == (
        "E103", "m.yaml", "memory.hbm.capacity",
    )  # fmt: skip
    assert error["message"] == "memory.hbm.capacity needs a unit, got 80"


def test_a_suite_that_does_not_exist_names_the_closest() -> None:
    status, text = refused("validate", "scalesym")
    assert status == 3
    assert "scalesim" in text


def test_a_missing_workload_file_is_an_input_error() -> None:
    status, text = refused("run", "npu", "no/such/file.yaml")
    assert status == 3
    assert "no/such/file.yaml" in text


@pytest.mark.parametrize("flag", ["--batch", "--context", "--tokens"])
def test_counts_below_one_are_usage_errors(flag: str) -> None:
    status, text = refused("run", "npu", "llama-3-8b", flag, "0")
    assert status == 2
    assert flag in text


def test_an_op_that_is_mistyped_names_the_closest() -> None:
    chosen = ("map", "npu", "gpt2-small", "--phase", "decode", "--context", "64", "--op")
    assert refused(*chosen, "fnn") == (
        3,
        '--op fnn: error[E201]: covers no op\n      = help: did you mean "ffn"?\n',
    )
    status, text = refused(*chosen, "xyzzy")
    assert status == 3
    assert text.startswith(
        "--op xyzzy: error[E201]: covers no op\n      = help: paths are: embed/embed, "
    )


def test_overrides_that_reach_none_of_the_checked_files_are_refused() -> None:
    assert refused("check", "gpt2-small", "--set", "phase.batch=4") == (
        3,
        "--set phase.batch=4: error[E601]: no machine among the files that it could change\n"
        "      = help: of a workload it is `--set workload.phase.batch=4`\n",
    )
    assert refused("check", "npu", "--set", "workload.name=x") == (
        3,
        "--set workload.name=x: error[E601]: no workload among the files that it could change\n",
    )
    assert refused("check", "gpt2-small", "--set-file", "x.yaml") == (
        3,
        "--set-file x.yaml: error[E601]: no machine among the files that it could change\n",
    )


def test_a_machine_is_shown_without_a_phase() -> None:
    status, text = refused("show", "npu", "--phase", "decode")
    assert status == 2
    assert text.endswith("Error: Invalid value for --phase: a machine has no phase\n")


def test_a_timeout_without_a_unit_points_at_the_flag() -> None:
    assert refused("run", "npu", *MODEL, "--timeout", "5") == (
        3,
        "--timeout 5: error[E103]: the value needs a unit, got 5\n"
        "      = help: example `--timeout '60 s'`\n",
    )
