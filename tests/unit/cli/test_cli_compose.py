"""Does `compose` print what a composition found in every form, and write its figures?"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Done

    Archsim = Callable[..., Done]

FILE = """\
schema: archsim.composition/1
name: t
router: {model: gpt2-small}
experts: [{name: e, model: gpt2-small, count: 8}]
requests: {count: 12, batch: 4, prompt_tokens: 16, output_tokens: 8}
"""
SMALL = ("--set", "memory.hbm.capacity=1 GiB")


@pytest.fixture
def composed(archsim: Archsim) -> Callable[..., Done]:
    Path("c.yaml").write_text(FILE)
    return lambda *flags: archsim("compose", "npu-host", "c.yaml", *flags)


def test_the_text_begins_with_the_answer_and_fits_a_pipe(composed) -> None:
    done = composed(*SMALL)
    lines = done.stdout.splitlines()
    assert lines[0] == "t on npu-host: 8 experts, 1 device, fidelity tile"
    assert " requests/s, " in lines[2]
    assert max(map(len, lines)) <= 80
    titles = (
        "One request alone, in ms",
        "All requests, 12 turns",
        "latency [ms]",
        "Of each device",
    )
    for title in titles:
        assert any(line.startswith(title) for line in lines)
    assert "Misses vanish with" in done.stdout


def test_json_holds_the_whole_answer(composed) -> None:
    data = json.loads(composed(*SMALL, "--format", "json").stdout)
    assert data["schema"] == "archsim.composed/1"
    assert data["inputs"] == {
        "hardware": "npu-host", "composition": "t", "experts": 8, "fidelity": "tile", "seed": 0,
    }  # fmt: skip
    assert data["turns"] == data["hits"] + data["misses"] == 12
    assert sum(data["shares"].values()) == pytest.approx(1)
    assert len(data["more_memory"]) == 9


def test_a_roomy_machine_is_said_to_miss_nothing(composed) -> None:
    text = composed("--set", "memory.hbm.capacity=8 GiB").stdout
    assert "12 found theirs in hbm (100.0%)" in text
    assert "Misses vanish" not in text


def test_a_folder_holds_result_turns_and_figures(composed) -> None:
    done = composed(*SMALL, "--out", "found")
    assert done.status == 0
    assert {path.name for path in Path("found").iterdir()} == {
        "result.json", "turns.csv", "time.svg", "time.png",
        "more_memory.csv", "more_memory.svg", "more_memory.png",
    }  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(Path("found/turns.csv").read_text())))
    assert len(rows) == 12
    assert rows[0]["batch"] == "0"
    assert rows[-1]["expert"].startswith("e-")
    assert composed(*SMALL, "--out", "found").status == 2  # not without --force


def test_its_folder_has_a_page(composed, archsim) -> None:
    composed(*SMALL, "--out", "found")
    assert archsim("report", "found", "--static").stdout == "found/report.html\n"
    text = Path("found/report.html").read_text()
    assert "<script" not in text
    for said in ("t on npu-host", "waiting for experts", "Misses vanish with", "Not modelled",
                 "archsim compose npu-host t --fidelity tile --out found",
                 "archsim report found --static"):  # fmt: skip
        assert said in text
    for figure in ("time", "tiers", "more_memory", "energy"):
        assert f'id="figure-{figure}"' in text
