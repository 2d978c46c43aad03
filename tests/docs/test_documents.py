"""Do the examples in the manual run, do its links lead somewhere, and is its transcript real?"""

from __future__ import annotations

import contextlib
import functools
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser
from typer.testing import CliRunner

from archsim.cli import _app

if TYPE_CHECKING:
    from collections.abc import Callable

    from sybil import Example

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def invoke(line: str) -> tuple[int, str]:
    """Status and stdout of an `archsim ...` command line, run in this process."""
    program, *arguments = shlex.split(line)
    assert program == "archsim", f"only archsim is run here, not {line!r}"
    done = CliRunner().invoke(_app.build(), arguments, prog_name="archsim")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done.exit_code, done.stdout


def shape(text: str) -> list[str]:
    """Lines of a transcript without what a number's digits change: digits, bars, column widths."""
    lines = []
    for line in text.strip().splitlines():
        plain = re.sub(r"key [0-9a-f]{8}", "key #", line)
        plain = re.sub(r"[0-9a-f]{8}/result", "#/result", plain)
        plain = re.sub(r"\d+(\.\d+)?(e[+-]\d+)?", "#", plain)
        lines.append(re.sub(r"\s+", " ", re.sub("━+", "━", plain)).strip())
    return lines


def check_transcript(example: Example) -> str | None:
    """Run each `$ ` line of a console block and compare what follows it, in shape."""
    for block in re.split(r"^\$ ", str(example.parsed), flags=re.MULTILINE)[1:]:
        command, _, expected = block.partition("\n")
        if not command.startswith("archsim "):
            assert not expected.strip(), f"output of {command!r} is shown but cannot be checked"
            continue
        status, text = invoke(command)
        if status != 0:
            return f"{command}: exit status {status}"
        if expected.strip() and shape(text) != shape(expected):
            return f"{command} prints:\n{text}"
    return None


SYBIL = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser("console", check_transcript)],
    path=str(ROOT),
)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_block_of_code_in_a_document_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for example in SYBIL.parse(path).examples():
        example.evaluate()


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", path.read_text())
    assert [t for t in targets if not (path.parent / t).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_path_that_a_document_names_exists(path: Path) -> None:
    """Backquoted paths of the tree: a moved file must take its mentions with it."""
    rooms = "archsim|configs|workloads|docs|tests|schemas|benchmarks"
    named = re.findall(rf"`((?:{rooms})/[\w./-]+)`", path.read_text())
    wanted = [name for name in named if "my_" not in name.lower()]
    assert [name for name in wanted if not (ROOT / name).exists()] == []


HF_CONFIG = """{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
"num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 1000}"""


SWEEP = "archsim sweep npu gpt2-small-prefill --executor serial"
TWO = f"{SWEEP} --fidelity analytic --vary engines.array.count=4,8"
MANY = "--vary engines.array.rows=64,96,128,160,192,224,256 --vary engines.array.count=4,6,8"
MADE = {  # what makes the folders that examples start from
    "runs/mine": "archsim run npu gpt2-small-prefill",
    "runs/other": "archsim run h100 gpt2-small-prefill",
    "sweeps/mine": TWO,
    "sweeps/part-1": f"{TWO} --shard 1/2",
    "sweeps/part-2": f"{TWO} --shard 2/2",
    "sweeps/learned": f"{SWEEP} --fidelity bound {MANY}",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A place with one folder of MADE in it, each made once for all examples."""

    @functools.cache
    def place_with(folder: str) -> Path:
        place = tmp_path_factory.mktemp("made")
        with contextlib.chdir(place):
            assert invoke(f"{MADE[folder]} -o {folder}")[0] == 0
        return place

    return place_with


@pytest.mark.parametrize(
    "line",
    [line for module in _app.verbs().values() for line in module.EXAMPLES],
    ids=lambda line: line.replace("/", "."),
)
def test_every_example_of_the_help_runs(
    line: str, made: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(HF_CONFIG)
    (tmp_path / "layers.csv").write_text("layer, M, N, K,\nfc, 64, 128, 256,\n")
    for folder in MADE:
        if folder in line:
            shutil.copytree(made(folder), tmp_path, dirs_exist_ok=True)
    status, text = invoke(line)
    assert status == 0
    assert text.strip() or "--out" in line


def test_the_index_of_decisions_lists_every_decision() -> None:
    folder = ROOT / "docs" / "adr"
    listed = set(re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text()))
    assert listed == {path.name for path in folder.glob("0*.md")}


def test_every_decision_has_the_three_parts() -> None:
    for path in (ROOT / "docs" / "adr").glob("0*.md"):
        heads = re.findall(r"^## (.+)$", path.read_text(), re.MULTILINE)
        assert heads == ["Context", "Decision", "Consequences"], path.name
