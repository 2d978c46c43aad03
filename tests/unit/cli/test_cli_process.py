"""Does the program behave as a process: pipes, signals, hash seeds, an empty folder?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from archsim.core.yamlio import load_yaml

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-m", "archsim.cli"]


def call(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], cwd=cwd, env={**os.environ, **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def reversed_keys(value: Any) -> Any:
    """The same data with every mapping written the other way round, rules left in order."""
    if isinstance(value, dict):
        return {key: reversed_keys(value[key]) for key in reversed(value)}
    return [reversed_keys(item) for item in value] if isinstance(value, list) else value


def test_equal_inputs_give_equal_bytes_whatever_the_hash_seed_or_key_order(tmp_path: Path) -> None:
    for kind, name in (("configs", "npu"), ("workloads", "gpt2-small-prefill")):
        data = reversed_keys(load_yaml(ROOT / kind / f"{name}.yaml").data)
        (tmp_path / f"{name}.yaml").write_text(json.dumps(data))
    plain = ("run", "npu", "gpt2-small-prefill", "--format", "json", "-q")
    runs = [
        call(*plain, cwd=tmp_path / folder, PYTHONHASHSEED=seed)
        for folder, seed in (("a", "0"), ("b", "1"))
        if (tmp_path / folder).mkdir() is None
    ]
    shuffled = ("run", "npu.yaml", "gpt2-small-prefill.yaml", "--format", "json", "-q")
    runs.append(call(*shuffled, cwd=tmp_path, PYTHONHASHSEED="2"))
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert len({run.stdout for run in runs}) == 1


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "schema", "hardware"], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


CTRL_C = """
import os, signal, threading
from archsim import api, cli
threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
cli.main({arguments})
"""


def test_ctrl_c_ends_with_130_and_leaves_no_half_written_file(tmp_path: Path) -> None:
    """A run of half a minute is interrupted after one second."""
    arguments = ["run", "npu", "gpt3-175b-prefill", "--set", "memory.hbm.capacity=2 TiB",
                 "--engine", "simpy", "--exact"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C.format(arguments=arguments)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "archsim: interrupted; no file is half written\n"
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("shell_word", ["-h", "--help"])
def test_help_works_as_a_module_and_in_an_empty_folder(tmp_path: Path, shell_word: str) -> None:
    done = call(shell_word, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: archsim ")
    assert list(tmp_path.iterdir()) == []
